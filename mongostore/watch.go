package mongostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/mongoctx"
)

var (
	_ session.Watcher     = (*Store)(nil)
	_ session.BatchLoader = (*Store)(nil)
)

const (
	// watchAwait is the time after which the server replies if nothing changes.
	watchAwait = time.Second
	// watchSilence is the time without a reply after which Watch returns.
	watchSilence = 10 * time.Second
)

// watched selects the changes for [session.Watcher]. A change of the collection, such
// as its drop, ends the stream. The server sends only the ID of a document.
var watched = mongo.Pipeline{
	{{Key: "$match", Value: bson.D{{Key: "$or", Value: bson.A{
		bson.D{{Key: "operationType", Value: bson.D{{Key: "$nin", Value: bson.A{"insert", "update"}}}}},
		bson.D{{Key: "updateDescription.updatedFields." + fieldVerifier, Value: bson.D{{Key: "$exists", Value: true}}}},
	}}}}},
	{{Key: "$project", Value: bson.D{{Key: "operationType", Value: 1}, {Key: "documentKey", Value: 1}}}},
}

// Watch implements [session.Watcher] by a change stream. The driver resumes it after
// a lost connection or an election. Watch returns an error if that fails, or if the
// server does not reply for ten seconds.
//
// The error wraps [errors.ErrUnsupported] on a standalone server, which has no change
// streams, and if the user lacks the privilege. It also does on a mongos. A mongos
// reports a change only when all shards have reported a later time, and a shard
// without writes does so every ten seconds.
//
// A change stream keeps one connection busy. It does not count towards
// [WithMaxInFlight].
func (s *Store) Watch(ctx context.Context, ready func(), changed func(session.ID)) error {
	ctx = mongoctx.New(ctx)
	coll := s.coll.Clone(options.Collection().SetReadConcern(readconcern.Majority())) // the only one for a stream
	var stream *mongo.ChangeStream
	err := within(ctx, s.silence, func(ctx context.Context) error {
		reply, err := s.hello(ctx)
		if err == nil && reply.sharded() {
			err = errSharded
		}
		if err != nil {
			return err
		}
		stream, err = coll.Watch(ctx, watched, options.ChangeStream().SetMaxAwaitTime(watchAwait))
		return err
	})
	if err != nil {
		return fmt.Errorf("mongostore: change stream: %w", streamError(err))
	}
	defer func() { _ = within(context.WithoutCancel(ctx), watchAwait, stream.Close) }()
	ready()
	for {
		var event bson.Raw
		err := within(ctx, s.silence, func(ctx context.Context) error {
			event = nil
			if stream.TryNext(ctx) {
				event = stream.Current
			}
			return stream.Err()
		})
		switch {
		case err != nil:
			return fmt.Errorf("mongostore: change stream: %w", err)
		case event == nil && stream.ID() == 0:
			return errStreamClosed
		case event == nil:
			continue
		}
		_, id, ok := event.Lookup("documentKey", fieldID).BinaryOK()
		switch {
		case !ok && event.Lookup("documentKey").IsZero():
			return errStreamClosed // the collection was dropped or renamed
		case len(id) == len(session.ID{}):
			changed(session.ID(id))
		}
	}
}

// errSharded is returned for a mongos, see Watch.
var errSharded = errors.New("mongostore: change streams of a sharded cluster are late")

// errStreamClosed is returned if the server has closed a change stream.
var errStreamClosed = errors.New("mongostore: change stream: closed by the server, because the collection was dropped or renamed")

// within calls f with a context that ends after d. It has no deadline, for the reason
// in Open.
func within(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(d, cancel).Stop()
	return f(ctx)
}

// streamError adds [errors.ErrUnsupported] to the error of a server that has no change
// streams, does not permit them or reports changes too late.
func streamError(err error) error {
	var server mongo.ServerError
	if errors.Is(err, errSharded) || errors.As(err, &server) && hasCode(server, codesNoStream...) {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}

var codesNoStream = []int{
	13,    // Unauthorized
	20,    // IllegalOperation
	115,   // CommandNotSupported
	238,   // NotImplemented
	303,   // a feature that DocumentDB or FerretDB lacks
	40324, // an unknown stage of a pipeline
	40573, // not a replica set
}

// LoadBatch implements [session.BatchLoader] with one find command. It leaves out the
// values. After a temporary error it tries again until ctx ends.
func (s *Store) LoadBatch(ctx context.Context, ids []session.ID) (recs []*session.Record, err error) {
	in := make(bson.A, len(ids))
	for i, id := range ids {
		in[i] = uuid(id)
	}
	filter := bson.D{{Key: fieldID, Value: bson.D{{Key: "$in", Value: in}}}}
	opts := options.Find().SetProjection(withoutData).SetBatchSize(int32(len(ids)) + 1)
	var docs []bson.Raw
	err = s.do(ctx, passing, func(ctx context.Context) error {
		cur, err := s.coll.Find(ctx, filter, opts)
		if err != nil {
			return err
		}
		docs, err = all(ctx, cur)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, doc := range docs {
		recs = append(recs, decodeRecord(session.ID{}, doc))
	}
	return recs, nil
}
