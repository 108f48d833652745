package doctor

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/holdfast-go/session/cmd/session/internal/backend"
)

// checkTimeout limits the time of a check, without the time of Config.Wait.
const checkTimeout = time.Minute

// Config sets the details of the checks of a server.
type Config struct {
	// Rounds is the number of round trips. It is at least 1.
	Rounds int

	// Wait is the time to wait for the removal of an expired document. If it is
	// zero, doctor inserts no such document.
	Wait time.Duration

	// Progress is called when a check begins that takes long. done is called
	// after each of its steps.
	Progress func(what string, steps int) (step func())
}

// check is a check with its name.
type check struct {
	name string
	run  func(context.Context) []Finding
}

// Server checks a server and its sessions.
func Server(ctx context.Context, b backend.Backend, c Config) []Finding {
	list := named("connection", []Finding{ok("connected to %s", b.Address())})
	var checks []check
	var err error
	switch b := b.(type) {
	case *backend.Mongo:
		checks, err = mongoChecks(ctx, b, c)
	case *backend.Redis:
		checks, err = redisChecks(ctx, b, c)
	}
	if err != nil {
		return named("connection", []Finding{failed(err)})
	}
	for _, check := range checks {
		// With a deadline, the driver would send the remaining time with each
		// command, and repeatedWrites needs two equal ones.
		ctx, cancel := context.WithCancel(ctx)
		timer := time.AfterFunc(checkTimeout+c.Wait, cancel)
		list = append(list, named(check.name, check.run(ctx))...)
		timer.Stop()
		cancel()
	}
	return list
}

// examination has the state of the checks of MongoDB.
type examination struct {
	probes
	m          *backend.Mongo
	server     backend.Server
	indexes    []backend.Index
	collection *collectionInfo // nil if the collection does not exist
}

// mongoChecks returns the checks of MongoDB.
func mongoChecks(ctx context.Context, m *backend.Mongo, c Config) ([]check, error) {
	e := &examination{probes: probes{c, m}, m: m}
	var err error
	e.server, err = m.Server(ctx)
	return []check{
		{"version", e.version},
		{"topology", e.topology},
		{"write concern", e.writeConcern},
		{"clock", e.clock},
		{"privileges", e.privileges},
		{"collection", e.checkCollection},
		{"indexes", e.checkIndexes},
		{"expiry", e.expiry},
		{"round trip", e.ifCollection(e.roundTrip)},
		{"repeated writes", e.repeatedWrites},
	}, err
}

// ifCollection returns a check that is skipped if the collection does not exist.
func (e *examination) ifCollection(run func(context.Context) []Finding) func(context.Context) []Finding {
	return func(ctx context.Context) []Finding {
		if e.collection == nil {
			return []Finding{skipped("the collection does not exist")}
		}
		return run(ctx)
	}
}

// Indexes checks only the indexes.
func Indexes(ctx context.Context, m *backend.Mongo) []Finding {
	e := &examination{m: m}
	var err error
	if e.server, err = m.Server(ctx); err != nil {
		return named("indexes", []Finding{failed(err)})
	}
	if list := e.checkCollection(ctx); e.collection == nil {
		return named("collection", list)
	}
	return named("indexes", e.checkIndexes(ctx))
}

// admin runs a command on the database admin.
func (e *examination) admin(ctx context.Context, command bson.D) *mongo.SingleResult {
	return e.m.Collection().Database().Client().Database("admin").RunCommand(ctx, command)
}
