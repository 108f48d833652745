// Package redisproxy is a TCP proxy between a client and Redis servers. It counts
// commands and loses replies.
package redisproxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Verdict is the fate of a command.
type Verdict int

// The verdicts.
const (
	Pass      Verdict = iota
	DropReply         // closes the connection when the reply arrives
	Refuse            // closes the connection instead of passing the command on
	Hold              // passes the command on and never returns the reply
)

// Command is a command of a client, with its name in lower case.
type Command []string

// Name returns the name of the command.
func (c Command) Name() string { return strings.ToLower(c[0]) }

// IsWrite reports whether the store wrote the command to change something.
func (c Command) IsWrite() bool {
	return c.Name() == "evalsha" || c.Name() == "eval" || c.Name() == "zrem"
}

// Key returns the key of the command.
func (c Command) Key() string {
	at := 1
	if strings.HasPrefix(c.Name(), "eval") {
		at = 3
	}
	if len(c) <= at {
		return ""
	}
	return c[at]
}

// Proxy has a port for each server.
type Proxy struct {
	judge func(Command) Verdict

	mu      sync.Mutex
	ports   map[string]net.Listener // by the server's address
	conns   map[net.Conn]bool
	seen    []Command
	closed  bool
	running sync.WaitGroup

	old, new []byte // see Replace
}

// New returns a proxy that asks judge about each command. A nil judge passes all.
func New(t testing.TB, judge func(Command) Verdict) *Proxy {
	if judge == nil {
		judge = func(Command) Verdict { return Pass }
	}
	p := &Proxy{judge: judge, ports: map[string]net.Listener{}, conns: map[net.Conn]bool{}}
	t.Cleanup(p.close)
	return p
}

// Addr returns the address of the proxy's port for a server.
func (p *Proxy) Addr(server string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.ports[server]; l != nil {
		return l.Addr().String()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	p.ports[server] = l
	p.running.Go(func() { p.accept(l, server) })
	return l.Addr().String()
}

// Dial connects to a server through the proxy. It is a Dialer of go-redis.
func (p *Proxy) Dial(ctx context.Context, network, server string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, p.Addr(server))
}

// Replace replaces a text in all replies by another one of the same length. Call it
// before a client connects.
func (p *Proxy) Replace(old, by string) {
	if len(old) != len(by) {
		panic("redisproxy: the texts have different lengths")
	}
	p.old, p.new = []byte(old), []byte(by)
}

// Seen returns the commands that match.
func (p *Proxy) Seen(match func(Command) bool) (seen []Command) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.seen {
		if match(c) {
			seen = append(seen, c)
		}
	}
	return seen
}

// Forget forgets the commands seen so far.
func (p *Proxy) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = nil
}

func (p *Proxy) accept(l net.Listener, server string) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		upstream, err := net.Dial("tcp", server)
		if err != nil {
			client.Close()
			continue
		}
		p.serve(client, upstream)
	}
}

// serve passes on commands and replies until either side closes.
func (p *Proxy) serve(client, server net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		client.Close()
		server.Close()
		return
	}
	p.conns[client], p.conns[server] = true, true
	end := func() {
		client.Close()
		server.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, client)
		delete(p.conns, server)
	}
	var verdict atomic.Int32
	p.running.Go(func() {
		defer end()
		p.commands(bufio.NewReader(client), server, &verdict)
	})
	p.running.Go(func() {
		defer end()
		p.replies(client, server, &verdict)
	})
}

func (p *Proxy) commands(client *bufio.Reader, server io.Writer, verdict *atomic.Int32) {
	for {
		command, raw, err := readCommand(client)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.seen = append(p.seen, command)
		p.mu.Unlock()
		v := p.judge(command)
		if v == Refuse {
			return
		}
		if v != Pass {
			verdict.Store(int32(v))
		}
		if _, err := server.Write(raw); err != nil {
			return
		}
	}
}

// replies copies replies. A client that has not pipelined waits for the reply to
// its only command, so the next bytes are the reply to the last one.
func (p *Proxy) replies(client io.Writer, server io.Reader, verdict *atomic.Int32) {
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		switch Verdict(verdict.Load()) {
		case DropReply:
			return
		case Hold:
			continue
		}
		reply := buf[:n]
		if len(p.old) > 0 {
			reply = bytes.ReplaceAll(reply, p.old, p.new)
		}
		if _, err := client.Write(reply); err != nil {
			return
		}
	}
}

// readCommand reads an array of bulk strings.
func readCommand(r *bufio.Reader) (c Command, raw []byte, err error) {
	n, raw, err := readLength(r, '*', nil)
	if err != nil {
		return nil, nil, err
	}
	for range n {
		var size int
		if size, raw, err = readLength(r, '$', raw); err != nil {
			return nil, nil, err
		}
		arg := make([]byte, size+2)
		if _, err := io.ReadFull(r, arg); err != nil {
			return nil, nil, err
		}
		raw = append(raw, arg...)
		c = append(c, string(arg[:size]))
	}
	if len(c) == 0 {
		return nil, nil, errors.New("redisproxy: empty command")
	}
	return c, raw, nil
}

func readLength(r *bufio.Reader, kind byte, raw []byte) (int, []byte, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, nil, err
	}
	if line[0] != kind {
		return 0, nil, fmt.Errorf("redisproxy: want %c", kind)
	}
	n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	return n, append(raw, line...), err
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	for _, l := range p.ports {
		l.Close()
	}
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}
