package mongostore

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Option changes a default of [Open] and [OpenCollection].
type Option func(*config)

type config struct {
	database, collection string
	expiry               Expiry
	indexes              bool
	log                  *slog.Logger
	maxFlight            int64
	batched              bool
	faults               []error
}

// WithDatabase names the database, by default that of the URI, else app. It
// does not apply to OpenCollection.
func WithDatabase(name string) Option {
	return func(c *config) { c.database = c.named("WithDatabase", name) }
}

// WithCollection names the collection, http_sessions by default. It does not
// apply to OpenCollection.
func WithCollection(name string) Option {
	return func(c *config) { c.collection = c.named("WithCollection", name) }
}

// WithExpiry sets what removes expired sessions, [ExpiryAuto] by default.
func WithExpiry(e Expiry) Option {
	return func(c *config) {
		c.expiry = e
		if e < ExpiryAuto || e > ExpiryNone {
			c.fault("WithExpiry(%d): want ExpiryAuto, ExpiryTTL, ExpirySweep or ExpiryNone", e)
		}
	}
}

// WithoutIndexes leaves the indexes to somebody else: deploy tools, where the
// app may not create any. docs/reference/indexes.md lists them.
func WithoutIndexes() Option {
	return func(c *config) { c.indexes = false }
}

// WithLogger sets where the store logs, [slog.Default] by default.
func WithLogger(log *slog.Logger) Option {
	return func(c *config) {
		c.log = log
		if log == nil {
			c.fault("WithLogger(nil): use slog.New(slog.DiscardHandler) for silence")
		}
	}
}

// WithMaxInFlight bounds the operations under way at a time, including those
// that wait for a connection, for another attempt or for a batch. Beyond the
// bound they fail at once, so that a server that has become slow does not fill
// the memory. It must be from 1 to 1,000,000. The default is ten times the pool
// of connections.
func WithMaxInFlight(n int) Option {
	return func(c *config) {
		c.maxFlight = int64(n)
		if n < 1 || n > 1_000_000 {
			c.fault("WithMaxInFlight(%d): want 1 to 1000000", n)
		}
	}
}

func (c *config) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf("mongostore: "+format, args...))
}

func (c *config) named(option, name string) string {
	if name == "" {
		c.fault("%s(\"\"): leave the option out for the default", option)
	}
	return name
}

const (
	defaultPool    = 100 // the driver's own
	flightsPerConn = 10
	// openTimeout bounds Open where the URI has no connectTimeoutMS.
	openTimeout = 10 * time.Second
)

func configure(opts []Option) (config, error) {
	c := config{database: "app", collection: "http_sessions", indexes: true, log: slog.Default()}
	for i, opt := range opts {
		if opt == nil {
			c.fault("option %d is nil", i+1)
			continue
		}
		opt(&c)
	}
	return c, errors.Join(c.faults...)
}
