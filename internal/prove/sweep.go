package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session/internal/faultmongo/realserver"
	"github.com/holdfast-go/session/mongostore"
)

func sweepSecantus(ctx context.Context, r *run) error {
	server, err := r.server("--standalone")
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	return r.sweeps(ctx, server, r.size(200_000, 2_000), 1_000)
}

func sweepFerret(ctx context.Context, r *run) error {
	server, err := realserver.FerretDB(ctx)
	if err != nil {
		return err
	}
	return errors.Join(r.sweeps(ctx, server, r.size(1_000, 100), 50), server.Stop())
}

// sweeps lets five replicas remove expired records and keep live ones.
func (r *run) sweeps(ctx context.Context, server *realserver.Server, expired, live int) error {
	client, done, err := connect(server.URI)
	if err != nil {
		return err
	}
	defer done()
	coll := client.Database("sweep").Collection("http_sessions")
	// Create the indexes first, as in production. On some servers, indexing a
	// full collection takes longer than Open waits.
	first, err := mongostore.OpenCollection(ctx, coll, mongostore.WithExpiry(mongostore.ExpiryNone))
	if err != nil {
		return err
	}
	defer first.Close(ctx)
	now := time.Now()
	if err := fill(ctx, coll, expired, now.Add(-time.Hour)); err != nil {
		return err
	}
	// Records within the margin of ten minutes and live records must stay.
	if err := fill(ctx, coll, live/2, now.Add(-8*time.Minute)); err != nil {
		return err
	}
	if err := fill(ctx, coll, live-live/2, now.Add(time.Hour)); err != nil {
		return err
	}
	var largest highest
	var batches atomic.Int64
	began := time.Now()
	var stores []*mongostore.Store
	for range 5 {
		s, stop, err := sweepingStore(ctx, server.URI, &largest, &batches)
		if err != nil {
			return err
		}
		defer stop()
		stores = append(stores, s)
	}
	left, err := drained(ctx, coll, live, now.Add(-30*time.Minute))
	took := time.Since(began)
	if err != nil {
		return err
	}
	closing := time.Now()
	for _, s := range stores {
		_ = s.Close(ctx)
	}
	closed := time.Since(closing)
	kept, err := coll.CountDocuments(ctx, bson.D{})
	if err != nil {
		return err
	}
	r.say("%s: five replicas swept %d expired records in %v (the first begins within 5 s), %d batches of at most %d; %d of %d others kept; closed in %v",
		server.Name, expired, took.Round(100*time.Millisecond), batches.Load(), largest.Load(), kept-left, live, closed.Round(time.Millisecond))
	f := new(failures)
	f.zero("expired records left", int(left))
	f.zero("live records removed", live-int(kept))
	if largest.Load() > 500 {
		f.add("a batch of %d records", largest.Load())
	}
	if closed > 2*time.Second {
		f.add("Close took %v", closed)
	}
	return f.err()
}

// fill inserts records that have only the fields used by the sweep.
func fill(ctx context.Context, coll *mongo.Collection, n int, expires time.Time) error {
	for n > 0 {
		docs := make([]any, min(n, 2_000))
		for i := range docs {
			id := make([]byte, 16)
			rand.Read(id)
			docs[i] = bson.D{{Key: "_id", Value: bson.Binary{Subtype: 4, Data: id}}, {Key: "expires", Value: expires}}
		}
		if _, err := coll.InsertMany(ctx, docs); err != nil {
			return err
		}
		n -= len(docs)
	}
	return nil
}

// sweepingStore opens the store of a replica and counts its batches.
func sweepingStore(ctx context.Context, uri string, largest *highest, batches *atomic.Int64) (*mongostore.Store, func(), error) {
	client, err := mongo.Connect(options.Client().ApplyURI(uri).SetMonitor(&event.CommandMonitor{
		Started: func(_ context.Context, e *event.CommandStartedEvent) {
			if e.CommandName != "delete" {
				return
			}
			batches.Add(1)
			values, _ := e.Command.Lookup("deletes", "0", "q", "_id", "$in").Array().Values()
			largest.take(int64(len(values)))
		},
	}))
	if err != nil {
		return nil, nil, err
	}
	s, err := mongostore.OpenCollection(ctx, client.Database("sweep").Collection("http_sessions"),
		mongostore.WithExpiry(mongostore.ExpirySweep), mongostore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		disconnect(client)
		return nil, nil, err
	}
	return s, func() { _ = s.Close(ctx); disconnect(client) }, nil
}

// drained waits until at most live records are left, for up to half an hour,
// and returns the number of older ones.
func drained(ctx context.Context, coll *mongo.Collection, live int, before time.Time) (int64, error) {
	for range 900 {
		all, err := coll.EstimatedDocumentCount(ctx)
		if err != nil {
			return 0, err
		}
		if all <= int64(live) {
			break
		}
		pause(ctx, 2*time.Second)
	}
	return coll.CountDocuments(ctx, bson.D{{Key: "expires", Value: bson.D{{Key: "$lt", Value: before}}}})
}
