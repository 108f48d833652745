// Package faultmongo is a proxy between a MongoDB driver and one real server
// that makes the server look like a replica set of three, and fails as such a
// set does: elections, lost replies, silence, partitions, write concerns that
// are not met. What it does is chosen by the caller and by a seed, so that a
// run can be repeated.
//
// Behind the three members is one server: a member that has stepped down never
// lags, and nothing acknowledged is ever rolled back. MongoDB's own elections
// and replication are not proved by this.
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

// Config says what a proxy stands in front of.
type Config struct {
	// Backend is the host:port of the real server.
	Backend string
	// Views names the ways to the set, each with three ports of its own: one
	// for each process whose link is to fail alone. By default one, "app".
	Views []string
	// Seed decides what the caller leaves open.
	Seed uint64
	// KeepBook makes retryable writes the proxy's own business, for a server
	// that has none: it applies each once and repeats the answer.
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
	primary int    // -1: none
	reign   *reign // of the primary, or the last one
	faults  []*Active
	views   []*View
	links   map[*link]struct{}
	closed  bool
}

// reign is the time of one primary. When it has ended, code is what its last
// commands are answered.
type reign struct {
	ended chan struct{}
	code  int32
}

// View is one way to the set.
type View struct {
	name  string
	p     *Proxy
	ports []*port
	cut   chan struct{} // closed when a cut is healed; nil: not cut
}

type port struct {
	view   *View
	member int
	addr   string
	ln     net.Listener // nil: refuses
}

// Start begins to serve on free ports of the loopback interface, the first
// member being primary. It fails where the real server does not answer.
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

// listen takes a port below those that the system gives to outgoing
// connections: one that is refused for a while must be free again afterwards.
func listen() (ln net.Listener, err error) {
	for range 100 {
		ln, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 30100+rand.N(900)))
		if err == nil {
			return ln, nil
		}
	}
	return nil, fmt.Errorf("faultmongo: no free port: %w", err)
}

// View returns one by its name; a wrong name is a mistake of the caller.
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

// URI is the connection string of the set, without a database.
func (v *View) URI() string {
	addrs := make([]string, len(v.ports))
	for i, port := range v.ports {
		addrs[i] = port.addr
	}
	return "mongodb://" + strings.Join(addrs, ",") + "/?replicaSet=" + setName
}

// Sent is how many commands came through all views, without the hellos.
func (p *Proxy) Sent() int64 { return p.sent.Load() }

// Close ends every connection and returns when nothing of the proxy runs.
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
			return // closed, or out of files, which ends the test anyway
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

// Refuse closes the ports of a member, in all views, and its connections.
// Restore opens them again.
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

// hangUp closes the connections that are meant; the caller holds the lock. One
// whose command the real server is about to apply is closed after that: the
// client of a server that is gone finds a command applied or not, but never
// sees it applied later.
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

// Cut makes a view silent: nothing that is sent gets an answer, hellos
// included, until Heal. Commands that were swallowed are never applied, replies
// that were under way are lost.
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

// wait returns early, and false, when ctx ends.
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
