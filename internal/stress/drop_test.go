package stress_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// dropper is a proxy between the app and the database that loses the replies
// to some writes. It closes the connection when such a reply arrives.
type dropper struct {
	upstream string
	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex
	random  *rand.Rand
	conns   map[net.Conn]bool
	writes  int
	dropped int
}

const (
	dropShare = 10 // percent
	header    = 16 // length, request ID, response to, opcode
	opMsg     = 2013
)

// dropping returns a URI for uri through a dropper.
func dropping(t *testing.T, uri string) (string, *dropper) {
	t.Helper()
	u, err := url.Parse(uri)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := &dropper{upstream: u.Host, listener: l, random: rand.New(rand.NewPCG(1, 2)), conns: map[net.Conn]bool{}}
	d.running.Go(d.accept)
	t.Cleanup(d.close)
	u.Host = l.Addr().String()
	q := u.Query()
	q.Set("directConnection", "true")    // otherwise the driver connects to the address named by the server
	u.Path, u.RawQuery = "/", q.Encode() // without the path, the query is malformed
	return u.String(), d
}

func (d *dropper) accept() {
	for {
		c, err := d.listener.Accept()
		if err != nil {
			return
		}
		s, err := net.Dial("tcp", d.upstream)
		if err != nil {
			c.Close()
			continue
		}
		d.serve(c, s)
	}
}

// serve forwards messages both ways until either side closes or a reply is to
// be dropped.
func (d *dropper) serve(c, s net.Conn) {
	d.mu.Lock()
	d.conns[c], d.conns[s] = true, true
	d.mu.Unlock()
	end := func() {
		c.Close()
		s.Close()
		d.mu.Lock()
		delete(d.conns, c)
		delete(d.conns, s)
		d.mu.Unlock()
	}
	var doomed sync.Map // requests whose replies are to be dropped
	d.running.Go(func() {
		defer end()
		pass(s, c, func(msg []byte) bool {
			if isWrite(msg) && d.chance() {
				doomed.Store(binary.LittleEndian.Uint32(msg[4:]), true)
			}
			return true
		})
	})
	d.running.Go(func() {
		defer end()
		pass(c, s, func(msg []byte) bool {
			_, drop := doomed.Load(binary.LittleEndian.Uint32(msg[8:]))
			return !drop
		})
	})
}

// pass copies messages as long as may returns true.
func pass(to io.Writer, from io.Reader, may func(msg []byte) bool) {
	var size [4]byte
	for {
		if _, err := io.ReadFull(from, size[:]); err != nil {
			return
		}
		n := binary.LittleEndian.Uint32(size[:])
		if n < header || n > 64<<20 {
			return
		}
		msg := make([]byte, n)
		copy(msg, size[:])
		if _, err := io.ReadFull(from, msg[4:]); err != nil || !may(msg) {
			return
		}
		if _, err := to.Write(msg); err != nil {
			return
		}
	}
}

// isWrite reports whether a message is a write command. The first field of its
// document names the command. The document follows the flags and the section's
// kind, and begins with its length and the type of its first field.
func isWrite(msg []byte) bool {
	const field = header + 4 + 1 + 4 + 1
	if len(msg) < field || binary.LittleEndian.Uint32(msg[12:]) != opMsg {
		return false
	}
	name, _, _ := bytes.Cut(msg[field:], []byte{0})
	switch string(name) {
	case "insert", "update", "delete":
		return true
	}
	return false
}

func (d *dropper) chance() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes++
	if d.random.IntN(100) >= dropShare {
		return false
	}
	d.dropped++
	return true
}

func (d *dropper) figures() (writes, dropped int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writes, d.dropped
}

func (d *dropper) close() {
	d.listener.Close()
	d.mu.Lock()
	for c := range d.conns {
		c.Close()
	}
	d.mu.Unlock()
	d.running.Wait()
}
