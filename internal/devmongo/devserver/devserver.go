// Package devserver starts a MongoDB-compatible server for development and tests, without any set-up.
//
// [Start] tries four engines in this order: the server in MONGO_URI, a mongod binary, a container if a Docker engine is
// running, and FerretDB embedded in this process. It reports each skipped engine and the reason to the [WithLog]
// function. If a server was requested by name (MONGO_URI, MONGOD, [WithEngine]) and is not available, Start returns an
// error. Another engine in its place would change the meaning of a passed test.
package devserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// The engines for [WithEngine].
const (
	EngineURI       = "uri"       // the server in the environment variable MONGO_URI
	EngineMongod    = "mongod"    // the binary in MONGOD, or the one in PATH
	EngineContainer = "container" // the image in DEVMONGO_IMAGE, by default mongo:8.0
	EngineFerretDB  = "ferretdb"  // FerretDB v1 with SQLite, in this process
)

// Server is a running server. [Start] sets its fields, which do not change afterwards.
type Server struct {
	// URI is the connection string. It is MONGO_URI itself if that was set, and may contain a password.
	URI string `json:"uri"`
	// Engine is a short name such as "mongod 8.0.4", taken from the response of the server.
	Engine string `json:"engine"`
	// TTL reports whether the server accepts a TTL index.
	TTL bool `json:"ttl"`
	// RetryableWrites reports whether the server has sessions and an oplog, as a replica set or a sharded cluster has.
	RetryableWrites bool `json:"retryableWrites"`

	stop func() error
}

// Close ends the server and removes its folder or container. Later calls return the same error. Close does not change
// the server in MONGO_URI.
func (s *Server) Close() error { return s.stop() }

// Option is an option of [Start].
type Option func(*config)

type config struct {
	engine string
	listen string
	log    func(format string, args ...any)
}

// WithLog sets the log function for the skipped engines. Each call is one line. By default nothing is logged.
func WithLog(printf func(format string, args ...any)) Option {
	return func(c *config) { c.log = printf }
}

// WithEngine selects one engine. By default Start tries the engines in the order of the constants.
func WithEngine(engine string) Option {
	return func(c *config) { c.engine = engine }
}

// WithListen sets the host:port of the embedded FerretDB, and implies [EngineFerretDB]. The default is a free port of
// the loopback interface. FerretDB asks for no password, so do not open it to a network.
func WithListen(addr string) Option {
	return func(c *config) { c.listen = addr }
}

// instance is a server started by an engine.
type instance struct {
	uri        string
	credential *options.Credential // credential of uri; nil if it has no user
	name       string              // overrides the name from the response of the server if not empty
	stop       func() error
}

// errSkipped marks an engine that is not installed here. A requested engine that fails is another error.
var errSkipped = errors.New("not there")

var engines = []struct {
	name  string
	start func(context.Context, *config) (*instance, error)
}{
	{EngineURI, useURI},
	{EngineMongod, startMongod},
	{EngineContainer, startContainer},
	{EngineFerretDB, startFerretDB},
}

// Start starts a server. ctx bounds the start only. The server runs until [Server.Close].
//
// A killed process does not call Close. Tests should use the command instead, because it ends with its parent.
func Start(ctx context.Context, opts ...Option) (*Server, error) {
	c := &config{log: func(string, ...any) {}}
	for _, opt := range opts {
		opt(c)
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	inst, err := start(ctx, c)
	if err != nil {
		return nil, err
	}
	s, err := describe(ctx, c, inst)
	if err != nil {
		return nil, errors.Join(err, inst.stop())
	}
	return s, nil
}

func (c *config) validate() error {
	if c.listen != "" && c.engine == "" {
		c.engine = EngineFerretDB
	}
	var names []string
	for _, e := range engines {
		names = append(names, e.name)
	}
	switch {
	case c.engine != "" && !slices.Contains(names, c.engine):
		return fmt.Errorf("devmongo: no engine %q: give one of %s", c.engine, strings.Join(names, ", "))
	case c.listen != "" && c.engine != EngineFerretDB:
		return fmt.Errorf("devmongo: an address to listen on is for the engine %s, not for %s", EngineFerretDB, c.engine)
	}
	return nil
}

func start(ctx context.Context, c *config) (*instance, error) {
	for _, e := range engines {
		if c.engine != "" && c.engine != e.name {
			continue
		}
		inst, err := e.start(ctx, c)
		switch {
		case err == nil:
			inst.stop = sync.OnceValue(inst.stop)
			return inst, nil
		case c.engine != "" || !errors.Is(err, errSkipped) || ctx.Err() != nil:
			return nil, fmt.Errorf("devmongo: %w", err)
		}
		c.log("devmongo: skipped %s: %v", e.name, err)
	}
	return nil, errors.New("devmongo: no engine is left to try") // FerretDB is never skipped
}

// skip returns an errSkipped with the reason.
func skip(format string, args ...any) error {
	return skipped{fmt.Errorf(format, args...)}
}

type skipped struct{ error }

func (skipped) Is(target error) bool { return target == errSkipped }
func (s skipped) Unwrap() error      { return s.error }
