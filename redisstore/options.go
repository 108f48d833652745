package redisstore

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Option changes a default of [Open] or [New]. These check all options and return
// one error that lists every problem.
type Option func(*config)

type config struct {
	prefix    string
	replicas  int
	maxFlight int64
	log       *slog.Logger
	faults    []error
}

// WithPrefix sets the beginning of each key. The default is "session:". Programs
// with different prefixes can use one database. The prefix must not contain
// braces, because a cluster would store all keys on one node, or the characters
// * ? [ ] and \, which have a meaning in patterns.
func WithPrefix(prefix string) Option {
	return func(c *config) {
		c.prefix = prefix
		switch {
		case prefix == "":
			c.fault(`WithPrefix(""): leave the option out for the default`)
		case strings.ContainsAny(prefix, `{}*?[]\`):
			c.fault(`WithPrefix(%q): want a prefix without the characters { } * ? [ ] \`, prefix)
		}
	}
}

// WithReplicas makes each write wait until n replicas of the primary have it (the
// command WAIT). It must be from 1 to 100. The default is not to wait. If the
// replicas do not acknowledge the write within a second, the method returns
// [session.ErrUncertain]. A failover then keeps every acknowledged write, provided
// that each primary has n replicas. With more than n replicas, Redis may promote
// one without the write, although it prefers the replica with the most data.
func WithReplicas(n int) Option {
	return func(c *config) {
		c.replicas = n
		if n < 1 || n > 100 {
			c.fault("WithReplicas(%d): want 1 to 100; leave the option out for none", n)
		}
	}
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
// operations that wait for a connection or for another attempt. It must be from 1
// to 1,000,000. The default is ten times the size of the client's connection pool,
// and at least 1,000. Further operations fail immediately, so a slow server does not
// fill the app's memory.
func WithMaxInFlight(n int) Option {
	return func(c *config) {
		c.maxFlight = int64(n)
		if n < 1 || n > 1_000_000 {
			c.fault("WithMaxInFlight(%d): want 1 to 1000000", n)
		}
	}
}

func (c *config) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf("redisstore: "+format, args...))
}

const (
	flightsPerConn = 10
	leastFlights   = 1000
	// openTimeout is the timeout of Open if the URL has no dial_timeout.
	openTimeout = 10 * time.Second
	// defaultTimeout is the client's default for dialing, reading and writing.
	defaultTimeout = 5 * time.Second
	// waitTimeout is the time that replicas have for the acknowledgement of a
	// write.
	waitTimeout = time.Second
)

func configure(opts []Option) (config, error) {
	c := config{prefix: "session:", log: slog.Default()}
	for i, opt := range opts {
		if opt == nil {
			c.fault("option %d is nil", i+1)
			continue
		}
		opt(&c)
	}
	return c, errors.Join(c.faults...)
}
