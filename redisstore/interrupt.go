package redisstore

import (
	"context"
	"net"
	"slices"
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
// time zone is unique. Only clients made by Open have such connections.
type interrupter struct {
	timeout  time.Duration // of reads and writes
	commands sync.Map      // *time.Location → *command
}

// command is the context of a command.
type command struct {
	context.Context
	zone    *time.Location
	timeout time.Duration

	mu    sync.Mutex
	over  bool
	conns []*conn // several for a pipeline in a cluster
}

// early makes the deadline earlier than the client's own, which it computes from a
// clock that is up to 50 ms late.
const early = 200 * time.Millisecond

// Deadline implements [context.Context].
func (c *command) Deadline() (time.Time, bool) {
	return time.Now().Add(c.timeout - early).In(c.zone), true
}

// run calls send. It returns the error of ctx if send failed because ctx ended.
func (i *interrupter) run(ctx context.Context, send func(context.Context) error) error {
	c := &command{Context: ctx, zone: new(time.Location), timeout: i.timeout}
	i.commands.Store(c.zone, c)
	defer i.commands.Delete(c.zone)
	stop := context.AfterFunc(ctx, c.interrupt)
	err := send(c)
	stop()
	if _, replied := code(err); err != nil && !replied && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// interrupt ends the command on all its connections.
func (c *command) interrupt() {
	c.mu.Lock()
	c.over = true
	conns := c.conns
	c.mu.Unlock()
	for _, n := range conns {
		n.interrupt(c)
	}
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// use makes n, which is locked, a connection of the command. It returns the deadline
// for n.
func (c *command) use(n *conn) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return past
	}
	if !slices.Contains(c.conns, n) {
		c.conns = append(c.conns, n)
	}
	return time.Now().Add(c.timeout)
}

// conn is a connection that knows the command it serves.
type conn struct {
	net.Conn
	i *interrupter

	mu    sync.Mutex
	owner *command // nil for a command of the client itself
}

// rawConn is a conn with a file descriptor, which the client checks before use.
type rawConn struct {
	*conn
	syscall.Conn
}

// dialer returns a dialer for connections that know their commands.
func (i *interrupter) dialer(dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		inner, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		n := &conn{Conn: inner, i: i}
		if raw, ok := inner.(syscall.Conn); ok {
			return rawConn{n, raw}, nil
		}
		return n, nil
	}
}

// SetDeadline implements [net.Conn].
func (n *conn) SetDeadline(t time.Time) error { return n.set(t, n.Conn.SetDeadline) }

// SetReadDeadline implements [net.Conn].
func (n *conn) SetReadDeadline(t time.Time) error { return n.set(t, n.Conn.SetReadDeadline) }

// SetWriteDeadline implements [net.Conn].
func (n *conn) SetWriteDeadline(t time.Time) error { return n.set(t, n.Conn.SetWriteDeadline) }

func (n *conn) set(t time.Time, set func(time.Time) error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.owner = nil
	if found, ok := n.i.commands.Load(t.Location()); ok {
		n.owner = found.(*command)
		t = n.owner.use(n)
	}
	return set(t)
}

// interrupt ends the reads and writes of a command, unless the connection serves
// another one by now.
func (n *conn) interrupt(c *command) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.owner == c {
		_ = n.Conn.SetDeadline(past)
	}
}
