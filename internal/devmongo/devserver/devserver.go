// Package devserver gives development and tests a MongoDB-compatible server without any set-up.
//
// [Start] tries, in this order, the server that MONGO_URI names, a mongod binary, a container where a Docker engine
// answers, and FerretDB embedded in this process. What was skipped, and why, goes to the [WithLog] function. A
// server that was asked for by name (MONGO_URI, MONGOD, [WithEngine]) and cannot be had is an error: another engine
// in its place would make a green run mean something else.
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

// The engines that [WithEngine] takes.
const (
	EngineURI       = "uri"       // the server that the environment variable MONGO_URI names
	EngineMongod    = "mongod"    // the binary that MONGOD names, else the one in PATH
	EngineContainer = "container" // the image that DEVMONGO_IMAGE names, else mongo:8.0
	EngineFerretDB  = "ferretdb"  // FerretDB v1 with SQLite, in this process
)

// Server is a running server. Its fields are set by [Start] and not changed after.
type Server struct {
	// URI is the connection string. It is MONGO_URI itself where that was given, so it may hold a password.
	URI string `json:"uri"`
	// Engine is a short name for people, such as "mongod 8.0.4": what answered, not what was hoped for.
	Engine string `json:"engine"`
	// TTL tells that the server accepts a TTL index.
	TTL bool `json:"ttl"`
	// RetryableWrites tells that the server has sessions and an oplog: a replica set or a sharded cluster.
	RetryableWrites bool `json:"retryableWrites"`

	stop func() error
}

// Close ends what [Start] started and removes its folder or container. Later calls return what the first did. The
// server that MONGO_URI named is left as it is.
func (s *Server) Close() error { return s.stop() }

// Option changes what [Start] does.
type Option func(*config)

type config struct {
	engine string
	listen string
	log    func(format string, args ...any)
}

// WithLog sets where the skipped engines are reported, one line a call. The default says nothing.
func WithLog(printf func(format string, args ...any)) Option {
	return func(c *config) { c.log = printf }
}

// WithEngine asks for one engine and no other. The default tries them in the order of the constants.
func WithEngine(engine string) Option {
	return func(c *config) { c.engine = engine }
}

// WithListen sets the host:port at which the embedded FerretDB listens, and so implies [EngineFerretDB]. The default
// is a free port of the loopback interface. FerretDB asks for no password: do not open it to a network.
func WithListen(addr string) Option {
	return func(c *config) { c.listen = addr }
}

// instance is what an engine gives: where to connect, and how to end it.
type instance struct {
	uri        string
	credential *options.Credential // what uri signs in with; nil without
	name       string              // replaces what the server says of itself; empty where that is enough
	stop       func() error
}

// errSkipped marks an engine that is not there, as against one that was asked for and failed.
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

// Start gives a running server. ctx bounds the start only; the server then runs until [Server.Close].
//
// A process that is killed closes nothing: tests are better off with the command, which ends with its parent.
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

// skip wraps the reason why an engine is not there.
func skip(format string, args ...any) error {
	return skipped{fmt.Errorf(format, args...)}
}

type skipped struct{ error }

func (skipped) Is(target error) bool { return target == errSkipped }
func (s skipped) Unwrap() error      { return s.error }
