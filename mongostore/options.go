package mongostore

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Option changes a default of [Open] or [OpenCollection]. These check all options
// and return one error that lists every problem.
type Option func(*config)

type config struct {
	database, collection string
	expiry               Expiry
	indexes              bool
	log                  *slog.Logger
	maxFlight            int64
	batched              bool
	client               []func(*options.ClientOptions)
	silence              time.Duration // see watchSilence
	faults               []error
}

// WithDatabase sets the name of the database. The default is the database of the
// URI, or app if the URI names no database. It has no effect on OpenCollection.
func WithDatabase(name string) Option {
	return func(c *config) { c.database = c.named("WithDatabase", name) }
}

// WithCollection sets the name of the collection. The default is http_sessions. It
// has no effect on OpenCollection.
func WithCollection(name string) Option {
	return func(c *config) { c.collection = c.named("WithCollection", name) }
}

// WithExpiry sets how expired documents are removed. The default is [ExpiryAuto].
func WithExpiry(e Expiry) Option {
	return func(c *config) {
		c.expiry = e
		if e < ExpiryAuto || e > ExpiryNone {
			c.fault("WithExpiry(%d): want ExpiryAuto, ExpiryTTL, ExpirySweep or ExpiryNone", e)
		}
	}
}

// WithoutIndexes stops [Open] from creating indexes. Use it if the app may not create
// any, and create them before the first deployment. docs/reference/indexes.md lists them.
// [ExpiryAuto] then removes no documents itself, so a server without TTL indexes
// needs [ExpirySweep].
func WithoutIndexes() Option {
	return func(c *config) { c.indexes = false }
}

// WithLogger sets the store's logger. The default is [slog.Default].
func WithLogger(log *slog.Logger) Option {
	return func(c *config) {
		c.log = log
		if log == nil {
			c.fault("WithLogger(nil): use slog.New(slog.DiscardHandler) for silence")
		}
	}
}

// WithMaxInFlight sets the maximum number of concurrent operations, including
// operations that wait for a connection, for another attempt or for a batch. It
// must be from 1 to 1,000,000. The default is ten times the size of the connection
// pool. Further operations fail immediately, so a slow server does not fill the
// app's memory.
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
	defaultPool    = 100 // the driver's default
	flightsPerConn = 10
	// openTimeout is the timeout of Open if the URI has no connectTimeoutMS.
	openTimeout = 10 * time.Second
)

func configure(opts []Option) (config, error) {
	c := config{database: "app", collection: "http_sessions", indexes: true, log: slog.Default(), silence: watchSilence}
	for i, opt := range opts {
		if opt == nil {
			c.fault("option %d is nil", i+1)
			continue
		}
		opt(&c)
	}
	return c, errors.Join(c.faults...)
}
