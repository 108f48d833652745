package memstore

import (
	"crypto/rand"

	"github.com/holdfast-go/session"
)

// NewManager returns a Manager for unit tests of handlers. It has a new Store and a
// random secret, so two Managers share no sessions. NewManager panics like [New]
// outside a test binary. If opts are invalid, it panics with an error that lists
// every problem.
func NewManager(opts ...session.Option) *session.Manager {
	m, err := session.New(New(), rand.Text()+rand.Text(), opts...)
	if err != nil {
		panic(err)
	}
	return m
}
