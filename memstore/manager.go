package memstore

import (
	"crypto/rand"

	"github.com/holdfast-go/session"
)

// NewManager returns a Manager over a Store of its own, with a secret of its
// own, for the unit tests of handlers. It panics where [New] does, and with
// all their faults if opts are not valid.
func NewManager(opts ...session.Option) *session.Manager {
	m, err := session.New(New(), rand.Text()+rand.Text(), opts...)
	if err != nil {
		panic(err)
	}
	return m
}
