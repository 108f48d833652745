// Package faultmongo is a proxy between a MongoDB driver and one real server.
// It makes the server look like a replica set of three members and fails like
// one. Its faults are elections, lost replies, silence, partitions and failed
// write concerns. The caller and a seed choose the faults, so a run can be
// repeated.
//
// There is only one server behind the three members. A former primary never
// lags, and no acknowledged write is ever rolled back. Tests with this proxy
// prove nothing about the elections and the replication of MongoDB itself.
package faultmongo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	members     = 3
	dialTimeout = 10 * time.Second
)

// Config is the configuration of a Proxy.
type Config struct {
	// Backend is the host:port of the real server.
	Backend string
	// Views names the ways to the set. Each has three ports of its own. Use a
	// view for each process whose connections should fail separately. The
	// default is one view, "app".
	Views []string
	// Seed decides everything that the caller leaves open.
	Seed uint64
	// KeepBook makes the proxy handle retryable writes, for a server without
	// support for them. The proxy applies each write once and repeats its
	// reply.
	KeepBook bool
}

// Proxy is a running set. It is safe for concurrent use.
type Proxy struct {
	config Config
	limits limits
	book   book
	sent   atomic.Int64
	wg     sync.WaitGroup

	mu      sync.Mutex
	rng     *rand.Rand
	term    int64
	primary int    // index of the primary; -1 while there is no primary
	reign   *reign // reign of the primary, or of the last one
	faults  []*Active
	views   []*View
	links   map[*link]struct{}
	closed  bool
}

// reign is the time of one primary. After its end, code is the reply to its
// last commands.
type reign struct {
	ended chan struct{}
	code  int32
}

// View is one way to the set.
type View struct {
	name  string
	p     *Proxy
	ports []*port
	cut   chan struct{} // closed by Heal; nil if the view is not cut
}

type port struct {
	view   *View
	member int
	addr   string
	ln     net.Listener // nil while the port refuses connections
}

// Start starts a proxy on free ports of the loopback interface. The first
// member is the primary. Start returns an error if the real server does not
// respond.
func Start(c Config) (*Proxy, error) {
	if len(c.Views) == 0 {
		c.Views = []string{"app"}
	}
	p := &Proxy{
		config: c, rng: rand.New(rand.NewPCG(c.Seed, 0)), term: 1,
		reign: &reign{ended: make(chan struct{})}, links: make(map[*link]struct{}),
	}
	var err error
	if p.limits, err = askLimits(p); err != nil {
		return nil, fmt.Errorf("faultmongo: the server at %s does not answer: %w", c.Backend, err)
	}
	for _, name := range c.Views {
		if err := p.addView(name); err != nil {
			p.Close()
			return nil, err
		}
	}
	return p, nil
}

func (p *Proxy) addView(name string) error {
	v := &View{name: name, p: p}
	for member := range members {
		ln, err := listen()
		if err != nil {
			return err
		}
		port := &port{view: v, member: member, addr: ln.Addr().String()}
		v.ports = append(v.ports, port)
		p.open(port, ln)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.views = append(p.views, v)
	return nil
}

// listen takes a port below the range for outgoing connections. After a time in
// which it refuses connections, the port must still be free.
func listen() (ln net.Listener, err error) {
	for range 100 {
		ln, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 30100+rand.N(900)))
		if err == nil {
			return ln, nil
		}
	}
	return nil, fmt.Errorf("faultmongo: no free port: %w", err)
}

// View returns the view of a name. It panics if there is no such view.
func (p *Proxy) View(name string) *View {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range p.views {
		if v.name == name {
			return v
		}
	}
	panic("faultmongo: no view " + name)
}

// URI returns the connection string of the set, without a database.
func (v *View) URI() string {
	addrs := make([]string, len(v.ports))
	for i, port := range v.ports {
		addrs[i] = port.addr
	}
	return "mongodb://" + strings.Join(addrs, ",") + "/?replicaSet=" + setName
}

// Sent returns the number of commands through all views, except hello.
func (p *Proxy) Sent() int64 { return p.sent.Load() }

// Close ends every connection and returns when all goroutines of the proxy have
// ended.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	for _, v := range p.views {
		for _, port := range v.ports {
			if port.ln != nil {
				port.ln.Close()
			}
		}
	}
	for l := range p.links {
		l.conn.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *Proxy) dial() (net.Conn, error) {
	return net.DialTimeout("tcp", p.config.Backend, dialTimeout)
}

func (p *Proxy) open(port *port, ln net.Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		ln.Close()
		return
	}
	port.ln = ln
	p.wg.Go(func() { p.accept(port, ln) })
}

func (p *Proxy) accept(port *port, ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return // closed, or no file is left, which ends the test anyway
		}
		l := &link{p: p, port: port, conn: conn, gone: make(chan struct{})}
		p.mu.Lock()
		if p.closed || port.ln != ln {
			conn.Close()
		} else {
			p.links[l] = struct{}{}
			p.wg.Go(l.serve)
		}
		p.mu.Unlock()
	}
}

// Refuse closes the ports of a member in all views, and its connections.
// Restore opens the ports again.
func (p *Proxy) Refuse(member int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range p.views {
		if ln := v.ports[member].ln; ln != nil {
			ln.Close()
			v.ports[member].ln = nil
		}
	}
	p.hangUp(func(l *link) bool { return l.port.member == member })
}

// Restore ends a Refuse.
func (p *Proxy) Restore(member int) error {
	var errs []error
	for _, v := range p.views {
		port := v.ports[member]
		p.mu.Lock()
		open := port.ln != nil
		p.mu.Unlock()
		if open {
			continue
		}
		ln, err := net.Listen("tcp", port.addr)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.open(port, ln)
	}
	return errors.Join(errs...)
}

// hangUp closes the selected connections. The caller holds the lock. If the
// real server is about to apply a command, its connection is closed afterwards.
// The client of a lost server finds a command applied or not, but never sees it
// applied later.
func (p *Proxy) hangUp(meant func(*link) bool) {
	for l := range p.links {
		switch {
		case !meant(l):
		case l.busy:
			l.doomed = true
		default:
			l.conn.Close()
		}
	}
}

// Cut makes a view silent until Heal. No command gets a reply, not even hello.
// Commands during the cut are never applied, and replies on their way are lost.
func (v *View) Cut() {
	v.p.mu.Lock()
	defer v.p.mu.Unlock()
	if v.cut == nil {
		v.cut = make(chan struct{})
	}
}

// Heal ends a Cut.
func (v *View) Heal() {
	v.p.mu.Lock()
	defer v.p.mu.Unlock()
	if v.cut != nil {
		close(v.cut)
		v.cut = nil
	}
}

func (v *View) silence() chan struct{} {
	v.p.mu.Lock()
	defer v.p.mu.Unlock()
	return v.cut
}

// wait waits for d. It returns false if ctx ends before.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
