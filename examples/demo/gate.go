package main

import (
	"io"
	"net"
	"sync"
	"time"
)

// gate is a proxy between the replicas and the database. It can take the database away by closing all connections, old
// and new.
type gate struct {
	ln     net.Listener
	server string

	mu    sync.Mutex
	until time.Time // time until which the gate is shut
	conns map[net.Conn]struct{}
}

func openGate(server string) (*gate, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gate{ln: ln, server: server, conns: make(map[net.Conn]struct{})}
	go g.accept()
	return g, nil
}

func (g *gate) addr() string { return g.ln.Addr().String() }

// shut takes the database away for d.
func (g *gate) shut(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.until = time.Now().Add(d)
	for conn := range g.conns {
		conn.Close()
	}
}

// away returns the time until the database is back.
func (g *gate) away() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(0, time.Until(g.until))
}

func (g *gate) close() {
	g.ln.Close()
	g.shut(0)
}

func (g *gate) accept() {
	for {
		conn, err := g.ln.Accept()
		if err != nil {
			return // closed
		}
		go g.serve(conn)
	}
}

func (g *gate) serve(client net.Conn) {
	if !g.pass(client) {
		return
	}
	defer g.drop(client)
	server, err := net.Dial("tcp", g.server)
	if err != nil || !g.pass(server) {
		return
	}
	defer g.drop(server)
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	_, _ = io.Copy(client, server)
}

// pass registers a connection for shut. It closes the connection if the gate is shut.
func (g *gate) pass(conn net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Now().Before(g.until) {
		conn.Close()
		return false
	}
	g.conns[conn] = struct{}{}
	return true
}

func (g *gate) drop(conn net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, conn)
	conn.Close()
}
