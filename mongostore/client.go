package mongostore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session/internal/mongoctx"
)

// WithClientOptions calls set with the driver's options before [Open] connects, for
// monitors and for authentication that a URI cannot express. The options hold the
// settings of the URI. If the option is given several times, all functions are
// called in their order.
//
// The store keeps its read preference, its read concern and its write concern,
// whatever set does. Open returns an error if set calls SetTimeout or ApplyURI.
// OpenCollection returns an error, because it creates no client.
func WithClientOptions(set func(*options.ClientOptions)) Option {
	return func(c *config) {
		if set == nil {
			c.fault("WithClientOptions(nil): pass a function, or leave the option out")
			return
		}
		c.client = append(c.client, set)
	}
}

// clientOptions returns the options for the client of Open.
func (c *config) clientOptions(uri string) (*options.ClientOptions, error) {
	co := options.Client().ApplyURI(uri)
	// With a timeout, the driver would repeat a failing command thousands of
	// times a second until its end. The Manager limits the time of each call.
	co.Timeout = nil
	if co.AppName == nil {
		co.SetAppName(appName())
	}
	for _, set := range c.client {
		set(co)
	}
	if co.Timeout != nil {
		return nil, errors.New("mongostore: WithClientOptions: remove SetTimeout, with which the driver repeats a failing command without a pause; session.WithStoreTimeout limits each call")
	}
	if co.GetURI() != uri {
		return nil, errors.New("mongostore: WithClientOptions: remove ApplyURI and pass the URI to Open")
	}
	return co, nil
}

// appName returns the name by which the server's log and currentOp show the store's
// connections, unless the URI has one.
func appName() string {
	const most = 128 // bytes, a limit of the handshake
	name := "holdfast-session " + filepath.Base(os.Args[0])
	return name[:min(len(name), most)]
}

// maxFlight returns the default of [WithMaxInFlight].
func maxFlight(co *options.ClientOptions) int64 {
	pool := uint64(defaultPool)
	if co.MaxPoolSize != nil && *co.MaxPoolSize > 0 {
		pool = *co.MaxPoolSize
	}
	return int64(pool) * flightsPerConn
}

// passwords returns the password of the options, if they have one.
func passwords(co *options.ClientOptions) []string {
	if co.Auth == nil || co.Auth.Password == "" {
		return nil
	}
	return []string{co.Auth.Password}
}

// pingTimeout bounds a Ping. It is short, because an orchestrator asks again.
const pingTimeout = 2 * time.Second

// Ping reports whether the primary replies, for a readiness probe. It returns an
// error after two seconds or when ctx ends. The error names the hosts, but never
// the password. Ping does not count towards [WithMaxInFlight].
//
// Do not use Ping in a liveness probe, because a restart of the app does not repair
// the database.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.ping(mongoctx.New(ctx), pingTimeout); err != nil {
		return fmt.Errorf("mongostore: the primary does not reply to a ping: %s", s.hide(err))
	}
	return nil
}
