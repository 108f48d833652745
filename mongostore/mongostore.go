// Package mongostore stores sessions in MongoDB. Each session is one document,
// accessed by its _id. A TTL index removes expired documents.
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
	"github.com/holdfast-go/session/internal/mongoctx"
)

// Store is a [session.Store] on a collection, with all its optional interfaces. It is
// safe for concurrent use. All its methods except Collection do I/O. Reads go to the
// primary, and writes are acknowledged by the journals of a majority. Settings in
// the URI or the client do not change this.
//
// A method returns when its context ends, while it waits for a connection, for a
// reply or for another attempt. If a command has been sent by then, the driver
// closes the connection, and the outcome of a write is uncertain. So pass a context
// that ends only if the server takes too long, as the Manager does. A deadline is
// not sent to the server. The store ignores a session of the driver in the context,
// so it never takes part in a transaction of the caller.
type Store struct {
	config
	coll   *mongo.Collection
	client *mongo.Client      // nil after OpenCollection, because the caller owns it
	hide   func(error) string // the text of an error without secrets
	flight atomic.Int64

	noCollations atomic.Bool // whether the server does not support collations

	batches batcher
	sweeper sweeper
}

var (
	_ session.Store     = (*Store)(nil)
	_ session.Confirmer = (*Store)(nil)
)

// Open connects to the server of a MongoDB URI, waits for its reply, creates the
// indexes if they do not exist, and returns the store. The store owns its
// connections, so call Close at the end. Open returns an error if the server does
// not reply within the URI's connectTimeoutMS, 10 seconds by default. Creating an
// index may take longer. Errors name the hosts but never the password.
func Open(ctx context.Context, uri string, opts ...Option) (*Store, error) {
	cs, err := parseURI(uri)
	c, cerr := configure(append([]Option{databaseOf(cs)}, opts...))
	if err := errors.Join(err, cerr); err != nil {
		return nil, err
	}
	co, err := c.clientOptions(uri)
	if err != nil {
		return nil, err
	}
	if c.maxFlight == 0 {
		c.maxFlight = maxFlight(co)
	}
	hide := func(err error) string { return redact(err, uri, passwords(co)...) }
	client, err := mongo.Connect(co)
	if err != nil {
		return nil, fmt.Errorf("mongostore: cannot use the URI or the options of WithClientOptions: %s", hide(err))
	}
	s := &Store{config: c, client: client, coll: client.Database(c.database).Collection(c.collection), hide: hide}
	timeout := openTimeout
	if co.ConnectTimeout != nil && *co.ConnectTimeout > 0 {
		timeout = *co.ConnectTimeout
	}
	if err := s.setUp(ctx, timeout, fmt.Sprintf(" at %v", co.Hosts)); err != nil {
		s.Close(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("mongostore: %s", hide(err))
	}
	return s, nil
}

// OpenCollection is like [Open] but uses an existing collection. The caller remains
// responsible for disconnecting its client. Leave the client's Timeout unset. If it
// is set, it applies to each operation.
func OpenCollection(ctx context.Context, coll *mongo.Collection, opts ...Option) (*Store, error) {
	c, err := configure(opts)
	if coll == nil {
		err = errors.Join(err, errors.New("mongostore: OpenCollection: the collection is nil"))
	}
	if c.client != nil {
		err = errors.Join(err, errors.New("mongostore: WithClientOptions: OpenCollection uses the collection's client; set the options where you create that client"))
	}
	if err != nil {
		return nil, err
	}
	if c.maxFlight == 0 {
		c.maxFlight = defaultPool * flightsPerConn
	}
	s := &Store{config: c, coll: coll, hide: func(err error) string { return redact(err, "") }}
	if err := s.setUp(ctx, openTimeout, ""); err != nil {
		return nil, fmt.Errorf("mongostore: %w", err)
	}
	return s, nil
}

// databaseOf returns an option that sets the database of the URI, if it has one.
func databaseOf(cs *connstring.ConnString) Option {
	return func(c *config) {
		if cs != nil && cs.Database != "" {
			c.database = cs.Database
		}
	}
}

// setUp waits for a reply of the server until timeout, creates the indexes and
// starts the sweep. Errors name the server by address.
func (s *Store) setUp(ctx context.Context, timeout time.Duration, address string) error {
	ctx = mongoctx.New(ctx)
	journal := true
	s.coll = s.coll.Clone(options.Collection().
		SetReadPreference(readpref.Primary()).
		SetReadConcern(readconcern.Local()).
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journal}))
	if err := s.ping(ctx, timeout); err != nil {
		return fmt.Errorf("no usable server%s: %w", address, err)
	}
	if s.batched {
		reply, err := s.hello(ctx)
		s.batched = err == nil && !reply.sharded()
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

// ping waits for the server until timeout. It cancels ctx instead of setting a
// deadline, for the reason in Open.
func (s *Store) ping(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(timeout, cancel).Stop()
	return s.coll.Database().Client().Ping(ctx, readpref.Primary())
}

// helloReply is a part of the server's description of itself.
type helloReply struct {
	Msg       string
	LocalTime time.Time `bson:"localTime"`
}

// sharded reports whether the server is a mongos.
func (r *helloReply) sharded() bool { return r.Msg == "isdbgrid" }

func (s *Store) hello(ctx context.Context) (reply helloReply, err error) {
	err = s.coll.Database().RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&reply)
	return reply, err
}

// Collection returns the underlying collection, for counting or inspecting
// sessions. Do not modify its documents, because concurrent requests do not expect
// it. Deleting a document ends its session. A document without a verifier field is
// a revocation marker and not a session. Collection does no I/O.
func (s *Store) Collection() *mongo.Collection { return s.coll }

// Close stops the background sweep. After [Open] it also closes the connections. It
// waits for running operations until ctx ends, and these then fail. A second call
// does nothing.
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

// Load implements [session.Store]. After a temporary error it tries again until ctx
// ends.
func (s *Store) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	if s.batched {
		return s.loadBatched(mongoctx.New(ctx), id)
	}
	return s.loadAlone(mongoctx.New(ctx), id)
}

// loadAlone reads a record with a command of its own.
func (s *Store) loadAlone(ctx context.Context, id session.ID) (*session.Record, error) {
	var raw bson.Raw
	err := repeat(ctx, 0, passing, func(ctx context.Context) (err error) {
		raw, err = s.coll.FindOne(ctx, filterID(id)).Raw()
		return readError(err)
	})
	if err != nil {
		return nil, err
	}
	return decodeRecord(id, raw), nil
}

// Insert implements [session.Store]. After a temporary error it tries again until
// ctx ends, unless the record may have been stored.
func (s *Store) Insert(ctx context.Context, rec *session.Record) error {
	return s.do(ctx, unapplied, func(ctx context.Context) error {
		_, err := s.coll.InsertOne(ctx, encodeRecord(rec))
		return writeError(err)
	})
}

// Update implements [session.Store]. After a temporary error it tries again until
// ctx ends, unless the change may have been applied.
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

// expect is an Update without effects. It only checks the guard.
func (s *Store) expect(ctx context.Context, filter bson.Raw, ch *session.Change) error {
	return s.do(ctx, passing, func(ctx context.Context) error {
		err := s.coll.FindOne(ctx, filter).Err()
		if errors.Is(err, mongo.ErrNoDocuments) {
			return matched(false, ch)
		}
		return err
	})
}

// matched returns the result of an Update whose filter matched a document or not.
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

// Delete implements [session.Store]. After a temporary error it tries again until
// ctx ends.
func (s *Store) Delete(ctx context.Context, id session.ID) error {
	return s.do(ctx, passing, func(ctx context.Context) error {
		res, err := s.coll.DeleteOne(ctx, filterID(id))
		if err == nil && res.DeletedCount == 0 {
			return s.expectNone(ctx, id)
		}
		return writeError(err)
	})
}

// expectNone checks for Delete whether the document is gone. The server's count
// does not show it. If another request updates the document at the same time,
// DocumentDB reports 0 deleted documents and leaves it.
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

// List implements [session.Store]. After a temporary error it tries again until ctx
// ends.
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

// list compares each user again, because a server without collations for queries
// may have one for the collection.
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

// errNotDeleted is returned if the document still exists after a deletion.
const errNotDeleted = temporaryError("mongostore: the server did not delete the record")
