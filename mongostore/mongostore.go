// Package mongostore keeps sessions in MongoDB: a document each, read and
// written by its _id alone, which a TTL index removes after its time.
package mongostore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

	"github.com/holdfast-go/session"
)

// Store is a [session.Store] on a collection. It is safe for concurrent use.
// Reads go to the primary and writes are acknowledged by a majority's journals,
// whatever the URI or the client says.
//
// A method returns when its context ends: while it waits for a connection, for
// a reply, or to make another attempt. If the end comes while a command is under
// way, the driver closes the connection, and a write is uncertain. Pass a
// context that ends only if the server takes too long, as the Manager does. A
// deadline does not reach the server. The store ignores a session of the driver
// in the context, so it never takes part in a transaction of the caller.
type Store struct {
	config
	coll   *mongo.Collection
	client *mongo.Client // nil: the caller's own
	flight atomic.Int64

	noCollations atomic.Bool // the server does not know collations

	batches batcher
	sweeper sweeper
}

var _ session.Store = (*Store)(nil)

// Open connects to the server of a MongoDB URI, makes sure that it answers and
// that the indexes are there, and returns the store, which owns the
// connection: end it with Close. Where nobody answers it gives up after the
// URI's connectTimeoutMS, 10 seconds by default. Errors name the hosts, never
// the password.
func Open(ctx context.Context, uri string, opts ...Option) (*Store, error) {
	cs, err := parseURI(uri)
	c, cerr := configure(append([]Option{databaseOf(cs)}, opts...))
	if err := errors.Join(err, cerr); err != nil {
		return nil, err
	}
	co := options.Client().ApplyURI(uri)
	// With a timeout of its own the driver would repeat a failing command
	// until then, thousands of times a second; the Manager bounds each call.
	co.Timeout = nil
	pool := uint64(defaultPool)
	if co.MaxPoolSize != nil && *co.MaxPoolSize > 0 {
		pool = *co.MaxPoolSize
	}
	if c.maxFlight == 0 {
		c.maxFlight = int64(pool) * flightsPerConn
	}
	client, err := mongo.Connect(co)
	if err != nil {
		return nil, fmt.Errorf("mongostore: cannot use the URI: %s", redact(err, uri))
	}
	s := &Store{config: c, client: client, coll: client.Database(c.database).Collection(c.collection)}
	timeout := openTimeout
	if cs.ConnectTimeoutSet && cs.ConnectTimeout > 0 {
		timeout = cs.ConnectTimeout
	}
	if err := s.start(ctx, timeout, fmt.Sprintf(" at %v", cs.Hosts)); err != nil {
		s.Close(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("mongostore: %s", redact(err, uri))
	}
	return s, nil
}

// OpenCollection is Open on a collection of a client that stays the caller's.
// A timeout of that client applies to each call: better leave it unset.
func OpenCollection(ctx context.Context, coll *mongo.Collection, opts ...Option) (*Store, error) {
	c, err := configure(opts)
	if coll == nil {
		err = errors.Join(err, errors.New("mongostore: OpenCollection: the collection is nil"))
	}
	if err != nil {
		return nil, err
	}
	if c.maxFlight == 0 {
		c.maxFlight = defaultPool * flightsPerConn
	}
	s := &Store{config: c, coll: coll}
	if err := s.start(ctx, openTimeout, ""); err != nil {
		return nil, fmt.Errorf("mongostore: %w", err)
	}
	return s, nil
}

func databaseOf(cs *connstring.ConnString) Option {
	return func(c *config) {
		if cs != nil && cs.Database != "" {
			c.database = cs.Database
		}
	}
}

// start connects to the server, waits for it at most for timeout, and makes the
// indexes. Where names the server in errors.
func (s *Store) start(ctx context.Context, timeout time.Duration, where string) error {
	ctx = operation{ctx}
	journal := true
	s.coll = s.coll.Clone(options.Collection().
		SetReadPreference(readpref.Primary()).
		SetReadConcern(readconcern.Local()).
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journal}))
	if err := s.ping(ctx, timeout); err != nil {
		return fmt.Errorf("no usable server%s: %w", where, err)
	}
	if s.batched {
		s.batched = !s.onMongos(ctx)
	}
	sweeps := s.expiry == ExpirySweep
	if s.indexes {
		var err error
		if sweeps, err = s.ensureIndexes(ctx); err != nil {
			return err
		}
	}
	if sweeps {
		s.sweeper.start(s)
	}
	return nil
}

// ping is what the timeout bounds; to build an index of a large collection may
// take longer. It is no deadline: see Open.
func (s *Store) ping(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(timeout, cancel).Stop()
	return s.coll.Database().Client().Ping(ctx, readpref.Primary())
}

func (s *Store) onMongos(ctx context.Context) bool {
	var hello struct{ Msg string }
	err := s.coll.Database().RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello)
	return err != nil || hello.Msg == "isdbgrid"
}

// Collection returns the collection, to count or to look through. What it
// changes there the sessions' requests do not see coming.
func (s *Store) Collection() *mongo.Collection { return s.coll }

// Close stops what the store runs in the background and, after [Open], ends
// its connections. Operations under way fail when ctx ends. A second call does
// nothing.
func (s *Store) Close(ctx context.Context) error {
	s.sweeper.stop()
	if s.client == nil {
		return nil
	}
	if err := s.client.Disconnect(ctx); err != nil && !errors.Is(err, mongo.ErrClientDisconnected) {
		return fmt.Errorf("mongostore: close: %w", err)
	}
	return nil
}

// Load implements [session.Store].
func (s *Store) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	if s.batched {
		return s.loadBatched(operation{ctx}, id)
	}
	return s.loadAlone(operation{ctx}, id)
}

func (s *Store) loadAlone(ctx context.Context, id session.ID) (*session.Record, error) {
	var raw bson.Raw
	err := repeat(ctx, passing, func(ctx context.Context) (err error) {
		raw, err = s.coll.FindOne(ctx, filterID(id)).Raw()
		return readError(err)
	})
	if err != nil {
		return nil, err
	}
	return decodeRecord(id, raw), nil
}

// Insert implements [session.Store].
func (s *Store) Insert(ctx context.Context, rec *session.Record) error {
	return s.do(ctx, unapplied, func(ctx context.Context) error {
		_, err := s.coll.InsertOne(ctx, encodeRecord(rec))
		return writeError(err)
	})
}

// Update implements [session.Store].
func (s *Store) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	filter, update := encodeChange(id, ch)
	if update == nil {
		return s.expect(ctx, filter, ch)
	}
	return s.do(ctx, unapplied, func(ctx context.Context) error {
		res, err := s.coll.UpdateOne(ctx, filter, update)
		if err != nil {
			return writeError(err)
		}
		return matched(res.MatchedCount > 0, ch)
	})
}

// expect is an Update without effects: it checks only the guard.
func (s *Store) expect(ctx context.Context, filter bson.Raw, ch *session.Change) error {
	return s.do(ctx, passing, func(ctx context.Context) error {
		err := s.coll.FindOne(ctx, filter).Err()
		if errors.Is(err, mongo.ErrNoDocuments) {
			return matched(false, ch)
		}
		return err
	})
}

func matched(ok bool, ch *session.Change) error {
	switch {
	case ok:
		return nil
	case ch.If.IsZero():
		return session.ErrNotFound
	default:
		return session.ErrConflict
	}
}

// Delete implements [session.Store].
func (s *Store) Delete(ctx context.Context, id session.ID) error {
	return s.do(ctx, passing, func(ctx context.Context) error {
		res, err := s.coll.DeleteOne(ctx, filterID(id))
		if err == nil && res.DeletedCount == 0 {
			return s.expectNone(ctx, id)
		}
		return writeError(err)
	})
}

// expectNone is part of Delete. That a server has deleted nothing does not mean
// that there is nothing: DocumentDB answers so if the document is updated at
// the same time, and leaves it there.
func (s *Store) expectNone(ctx context.Context, id session.ID) error {
	err := s.coll.FindOne(ctx, filterID(id), options.FindOne().SetProjection(onlyID)).Err()
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return nil
	case err == nil:
		return errNotDeleted
	}
	return err
}

// List implements [session.Store].
func (s *Store) List(ctx context.Context, user string) (infos []session.Info, err error) {
	err = s.do(ctx, passing, func(ctx context.Context) error {
		infos, err = s.list(ctx, user)
		if notSupported(err) && !s.noCollations.Swap(true) {
			infos, err = s.list(ctx, user)
		}
		return err
	})
	return infos, err
}

// list compares each user again: a server that knows no collation in a query
// may still have one for the collection.
func (s *Store) list(ctx context.Context, user string) (infos []session.Info, err error) {
	opts := options.Find().SetProjection(withoutData)
	if !s.noCollations.Load() {
		opts.SetCollation(simple)
	}
	cur, err := s.coll.Find(ctx, filterUser(user), opts)
	if err != nil {
		return nil, err
	}
	defer cur.Close(ctx)
	for cur.Next(ctx) {
		if rec := decodeRecord(session.ID{}, cur.Current); rec.User == user {
			infos = append(infos, rec.Info)
		}
	}
	return infos, cur.Err()
}

// errNotDeleted asks for another attempt.
const errNotDeleted = temporaryError("mongostore: the server does not delete the record")
