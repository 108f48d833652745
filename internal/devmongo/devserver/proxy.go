package devserver

import (
	"errors"
	"net"
	"sync"
	"time"
)

// proxy stands between clients and the embedded FerretDB and lets one write command through at a time: FerretDB v1
// finds the document and writes it in two steps, so two compare-and-swaps of one value can both succeed.
type proxy struct {
	ln      net.Listener
	backend string
	log     func(format string, args ...any)

	writing chan struct{} // holds a token while a write is under way; not a mutex, as waiters must be able to give up

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
	wg     sync.WaitGroup
}

// reads are the commands that may run beside a write. All others take their turn: a command that is not known here
// could write.
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

// newProxy forwards what arrives at ln to the address backend until close.
func newProxy(ln net.Listener, backend string, log func(format string, args ...any)) *proxy {
	p := &proxy{
		ln: ln, backend: backend, log: log,
		writing: make(chan struct{}, 1),
		conns:   make(map[net.Conn]struct{}),
	}
	p.wg.Go(p.accept)
	return p
}

// close ends every connection and returns when nothing of the proxy runs any more.
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
		case err != nil: // too many open files, perhaps: they may be closed soon
			p.log("devmongo: cannot accept a connection: %v", err)
			time.Sleep(acceptPause)
			continue
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

// serve forwards requests and replies in turn, as FerretDB answers each connection's requests in their order.
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

// receive reads requests until the client is gone or done is closed. It is apart from serve so that a client's end
// is seen while its write waits for its turn.
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

// exchange passes one request on and its reply back. The request is whole before the turn is taken and the turn ends
// with the reply or the server's connection: whatever the client does meanwhile, nobody waits for it.
func (p *proxy) exchange(client, server net.Conn, req frame, gone <-chan struct{}) error {
	name, err := req.command()
	if err != nil {
		p.log("devmongo: closed a client's connection: %v", err)
		return err
	}
	unacknowledged := req.flags()&moreToCome != 0
	if unacknowledged {
		gone = nil // a client may well write without waiting for a reply and hang up
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

// inTurn calls f, and a write only when no other write is under way. A write whose client has gone before its turn
// came is dropped: applied later, it could undo what that client did after it gave up.
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

// track remembers conn for close, or closes it at once when that has happened.
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
