package devserver

import (
	"errors"
	"net"
	"sync"
	"time"
)

// proxy stands between clients and the embedded FerretDB and forwards one write command at a time. FerretDB v1 finds a
// document and writes it in two steps, so without the proxy two compare-and-swaps of one value could both succeed.
type proxy struct {
	ln      net.Listener
	backend string
	log     func(format string, args ...any)

	writing chan struct{} // holds a token during a write; not a mutex, because waiting clients must be able to give up

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
	wg     sync.WaitGroup
}

// reads are the commands that may run during a write. All other commands wait for their turn, because an unknown
// command could write.
var reads = map[string]bool{
	"find": true, "getMore": true, "count": true, "distinct": true, "explain": true, "killCursors": true,
	"aggregate": true, // FerretDB v1 has no $out and no $merge
	"hello":     true, "isMaster": true, "ismaster": true, "ping": true, "endSessions": true,
	"saslStart": true, "saslContinue": true, "logout": true,
	"buildInfo": true, "buildinfo": true, "serverStatus": true, "getParameter": true,
	"listCollections": true, "listDatabases": true, "listIndexes": true,
	"collStats": true, "dbStats": true, "dataSize": true,
}

const (
	dialTimeout = 10 * time.Second
	acceptPause = 100 * time.Millisecond
)

// newProxy forwards connections on ln to the address backend until close.
func newProxy(ln net.Listener, backend string, log func(format string, args ...any)) *proxy {
	p := &proxy{
		ln: ln, backend: backend, log: log,
		writing: make(chan struct{}, 1),
		conns:   make(map[net.Conn]struct{}),
	}
	p.wg.Go(p.accept)
	return p
}

// close ends every connection and returns when all goroutines of the proxy have ended.
func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.ln.Close()
	for conn := range p.conns {
		conn.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *proxy) accept() {
	for {
		client, err := p.ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // perhaps too many open files, which may be closed soon
			p.log("devmongo: cannot accept a connection: %v", err)
			time.Sleep(acceptPause)
			continue
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

// serve forwards requests and replies in turn, because FerretDB answers the requests of a connection in order.
func (p *proxy) serve(client net.Conn) {
	if !p.track(client) {
		return
	}
	defer p.drop(client)
	server, err := net.DialTimeout("tcp", p.backend, dialTimeout)
	if err != nil {
		p.log("devmongo: cannot reach the embedded FerretDB: %v", err)
		return
	}
	if !p.track(server) {
		return
	}
	defer p.drop(server)

	requests, gone, done := make(chan frame), make(chan struct{}), make(chan struct{})
	defer close(done)
	p.wg.Go(func() {
		defer close(gone)
		receive(client, requests, done)
	})
	for {
		select {
		case req := <-requests:
			if err := p.exchange(client, server, req, gone); err != nil {
				return
			}
		case <-gone:
			return
		}
	}
}

// receive reads requests until the client has gone or done is closed. It is separate from serve, so that the end of a
// client is seen while its write waits for its turn.
func receive(client net.Conn, requests chan<- frame, done <-chan struct{}) {
	for {
		req, err := readFrame(client)
		if err != nil {
			return
		}
		select {
		case requests <- req:
		case <-done:
			return
		}
	}
}

// exchange forwards one request and its reply. The request has arrived completely before the turn begins. The turn ends
// with the reply or with the connection to the server, so no other client waits for this one.
func (p *proxy) exchange(client, server net.Conn, req frame, gone <-chan struct{}) error {
	name, err := req.command()
	if err != nil {
		p.log("devmongo: closed a client's connection: %v", err)
		return err
	}
	unacknowledged := req.flags()&moreToCome != 0
	if unacknowledged {
		gone = nil // a client may write without waiting for a reply and then hang up
	}
	reply, err := p.inTurn(!reads[name], gone, func() (frame, error) {
		return roundTrip(server, req.oneReply())
	})
	if err != nil || unacknowledged {
		return err
	}
	_, err = client.Write(reply)
	return err
}

// inTurn calls f. It calls f for a write only while no other write runs. A write is dropped if its client has gone
// before its turn. Applied later, it could undo a later change by the client.
func (p *proxy) inTurn(write bool, gone <-chan struct{}, f func() (frame, error)) (frame, error) {
	if !write {
		return f()
	}
	select {
	case p.writing <- struct{}{}:
	case <-gone:
		return nil, net.ErrClosed
	}
	defer func() { <-p.writing }()
	return f()
}

func roundTrip(server net.Conn, req frame) (frame, error) {
	if _, err := server.Write(req); err != nil {
		return nil, err
	}
	return readFrame(server)
}

// track registers conn for close. After close it closes conn at once.
func (p *proxy) track(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		conn.Close()
		return false
	}
	p.conns[conn] = struct{}{}
	return true
}

func (p *proxy) drop(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
	conn.Close()
}
