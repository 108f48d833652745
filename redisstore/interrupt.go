package redisstore

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// interrupter ends the reads and writes of a command when its context ends. go-redis
// observes only deadlines, and the Manager's context has none. Another goroutine
// for each command would double its CPU time.
//
// go-redis passes the deadline of the context to the connection before each read
// and write. So a deadline can tell the connection which command it serves: its
// time zone is unique. The connection then looks at the context of this command
// every 10 ms while it waits. Only clients made by Open have such connections.
type interrupter struct {
	timeout time.Duration // of reads and writes

	mu       sync.Mutex
	commands map[*time.Location]*command
}

const (
	// interval is the time after which a context is looked at again.
	interval = 10 * time.Millisecond
	// early makes the deadline earlier than the client's own, which it computes
	// from a clock that is up to 50 ms late.
	early = 200 * time.Millisecond
)

// command is the context of a command.
type command struct {
	context.Context
	zone    time.Location
	timeout time.Duration
}

// Deadline implements [context.Context].
func (c *command) Deadline() (time.Time, bool) {
	return time.Now().Add(c.timeout - early).In(&c.zone), true
}

// run calls send. It returns the error of ctx if send failed because ctx ended.
func (i *interrupter) run(ctx context.Context, send func(context.Context) error) error {
	c := &command{Context: ctx, timeout: i.timeout}
	i.mu.Lock()
	i.commands[&c.zone] = c
	i.mu.Unlock()
	err := send(c)
	i.mu.Lock()
	delete(i.commands, &c.zone)
	i.mu.Unlock()
	if err == nil {
		return nil
	}
	if _, replied := code(err); !replied && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// find returns the command of a deadline, or nil for one of the client itself.
func (i *interrupter) find(deadline time.Time) *command {
	zone := deadline.Location()
	if zone == time.Local || zone == time.UTC {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.commands[zone]
}

// dialer returns a dialer for connections that know their commands.
func (i *interrupter) dialer(timeout time.Duration, config *tls.Config) func(context.Context, string, string) (net.Conn, error) {
	dial := net.Dialer{Timeout: timeout, KeepAlive: 5 * time.Minute}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		inner, err := dial.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		n := &conn{Conn: inner, i: i}
		if config != nil {
			secure := tls.Client(n, config)
			if err := secure.HandshakeContext(ctx); err != nil {
				inner.Close()
				return nil, &net.OpError{Op: "dial", Net: network, Addr: inner.RemoteAddr(), Err: err}
			}
			return secure, nil
		}
		if raw, ok := inner.(syscall.Conn); ok {
			return rawConn{n, raw}, nil
		}
		return n, nil
	}
}

// rawConn is a conn with a file descriptor, which the client checks before use.
type rawConn struct {
	*conn
	syscall.Conn
}

// conn is a connection that knows the command it serves. The client uses it in one
// goroutine at a time.
type conn struct {
	net.Conn
	i           *interrupter
	read, write wait
}

// wait is the end of a read or a write.
type wait struct {
	command *command // nil for a command of the client itself
	until   time.Time
}

// SetDeadline implements [net.Conn].
func (n *conn) SetDeadline(t time.Time) error {
	return errors.Join(n.SetReadDeadline(t), n.SetWriteDeadline(t))
}

// SetReadDeadline implements [net.Conn].
func (n *conn) SetReadDeadline(t time.Time) error {
	n.read = wait{n.i.find(t), t}
	if n.read.command != nil {
		return nil // Read sets it
	}
	return n.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements [net.Conn].
func (n *conn) SetWriteDeadline(t time.Time) error {
	n.write = wait{n.i.find(t), t}
	if n.write.command != nil {
		return nil // Write sets it
	}
	return n.Conn.SetWriteDeadline(t)
}

// Read implements [net.Conn].
func (n *conn) Read(b []byte) (read int, err error) {
	err = n.read.each(n.Conn.SetReadDeadline, func() error {
		read, err = n.Conn.Read(b)
		return err
	})
	return read, err
}

// Write implements [net.Conn].
func (n *conn) Write(b []byte) (written int, err error) {
	err = n.write.each(n.Conn.SetWriteDeadline, func() error {
		m, err := n.Conn.Write(b[written:])
		written += m
		return err
	})
	return written, err
}

// each repeats op until it ends with another result than a timeout, or the deadline
// has passed, or the context has ended.
func (w wait) each(set func(time.Time) error, op func() error) error {
	if w.command == nil {
		return op()
	}
	for {
		now := time.Now()
		next := now.Add(interval)
		if w.until.Before(next) {
			next = w.until
		}
		if err := set(next); err != nil {
			return err
		}
		err := op()
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || !next.Before(w.until) {
			return err
		}
		if ended := w.command.Err(); ended != nil {
			return ended
		}
	}
}
