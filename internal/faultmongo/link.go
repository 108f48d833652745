package faultmongo

import (
	"net"
	"time"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
)

// link is one connection of a client.
type link struct {
	p    *Proxy
	port *port
	conn net.Conn
	gone chan struct{} // closed when the client has closed the connection or was disconnected

	server net.Conn // dialed when it is needed

	// The lock of the proxy protects these fields.
	busy   bool // the real server runs a command
	doomed bool // close the connection when the command has been applied
}

// serve runs commands in turn. Another goroutine reads, so that serve notices a
// lost client while its command waits. The command must not be applied later,
// because the client may have done something different by then.
func (l *link) serve() {
	requests := make(chan *request)
	done := make(chan struct{})
	l.p.wg.Go(func() { l.receive(requests, done) })
	defer l.end()
	defer close(done)
	for {
		select {
		case r := <-requests:
			if !l.exchange(r) {
				return
			}
		case <-l.gone:
			return
		}
	}
}

func (l *link) receive(requests chan<- *request, done <-chan struct{}) {
	defer close(l.gone)
	for {
		r, err := readRequest(l.conn)
		if err != nil {
			return
		}
		select {
		case requests <- r:
		case <-done:
			return
		}
	}
}

func (l *link) end() {
	l.p.mu.Lock()
	delete(l.p.links, l)
	l.p.mu.Unlock()
	l.conn.Close()
	if l.server != nil {
		l.server.Close()
	}
}

// exchange runs one command. It returns false if the connection must end.
func (l *link) exchange(r *request) bool {
	hello := isHello(r.name())
	if !l.heard(hello) {
		return false
	}
	f := l.p.pick(l.port, r.name())
	var answer bsoncore.Document
	ok := true
	switch {
	case f.Kind == BlackHole:
		return l.swallow()
	case hello:
		answer = l.p.hello(l.port.view, l.port.member)
	default:
		l.p.sent.Add(1)
		answer, ok = l.command(r, f)
	}
	if !ok || !l.heard(hello) {
		return false
	}
	return l.send(r.reply(answer), f)
}

// heard waits while the view is cut. A command from the time of the cut is not
// run after Heal. A hello is answered late, as after a partition.
func (l *link) heard(hello bool) bool {
	cut := l.port.view.silence()
	if cut == nil {
		return true
	}
	select {
	case <-cut:
		return hello
	case <-l.gone:
		return false
	}
}

// swallow sends no reply and waits until the client gives up.
func (l *link) swallow() bool {
	<-l.gone
	return false
}

// command runs a command with its fault.
func (l *link) command(r *request, f Fault) (bsoncore.Document, bool) {
	switch f.Kind {
	case CloseBefore:
		return nil, false
	case Answer:
		return r.refusal(f.Code), true
	case Delay:
		if !l.pause(f.For) {
			return nil, false
		}
	}
	reign, code := l.p.admit(l, r)
	if code != 0 {
		return r.refusal(code), true
	}
	answer, err := l.apply(r)
	if l.done() || err != nil {
		return nil, false
	}
	select {
	case <-reign.ended:
		return r.refusal(reign.code), reign.code != 0
	default:
	}
	switch {
	case f.Kind == CloseAfter:
		return nil, false
	case f.Kind == DropReply:
		return nil, l.swallow()
	case f.Kind == Unconfirmed && writes[r.name()] && isOK(answer):
		answer = r.unconfirmed(answer, f.Code)
	}
	return answer, true
}

// done ends the command that admit began, and reports whether the connection
// must end too.
func (l *link) done() (doomed bool) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.busy = false
	return l.doomed
}

// apply sends the command to the real server and waits for the reply even if
// the client has gone, as a server does.
func (l *link) apply(r *request) (bsoncore.Document, error) {
	if !l.p.config.KeepBook {
		return l.forward(r)
	}
	if r.name() == "endSessions" {
		return bsoncore.NewDocumentBuilder().AppendDouble("ok", 1).Build(), nil
	}
	return l.p.book.apply(r, func() (bsoncore.Document, error) {
		bare := *r
		if err := bare.strip("lsid", "txnNumber", "$clusterTime"); err != nil {
			return nil, err
		}
		return l.forward(&bare)
	})
}

// forward checks a last time whether the client has given up, and sends the
// command to the real server.
func (l *link) forward(r *request) (bsoncore.Document, error) {
	if l.server == nil {
		var err error
		if l.server, err = l.p.dial(); err != nil {
			return nil, err
		}
	}
	select {
	case <-l.gone:
		return nil, net.ErrClosed
	default:
		return roundTrip(l.server, r)
	}
}

// pause waits for d. It returns false if the client gives up before.
func (l *link) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.gone:
		return false
	}
}

const trickles = 8

func (l *link) send(b []byte, f Fault) bool {
	if f.Kind != Trickle {
		_, err := l.conn.Write(b)
		return err == nil
	}
	for i := range trickles {
		part := b[i*len(b)/trickles : (i+1)*len(b)/trickles]
		if _, err := l.conn.Write(part); err != nil || !l.pause(f.For/trickles) {
			return false
		}
	}
	return true
}
