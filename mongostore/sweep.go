package mongostore

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	sweepInterval = 5 * time.Minute
	sweepFirst    = 5 * time.Second
	sweepBatch    = 500
	// sweepMargin is wider than the TTL index's: two clocks are involved, and
	// nothing hurries.
	sweepMargin = 10 * time.Minute
)

// sweeper runs the sweep of a store in the background.
type sweeper struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func (w *sweeper) start(s *Store) {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.done.Go(func() {
		for wait := rand.N(sweepFirst); ; wait = sweepInterval/2 + rand.N(sweepInterval) {
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
			if n, err := s.sweep(ctx); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "mongostore: a sweep of expired sessions failed and will be repeated", "removed", n, "error", err)
			}
		}
	})
}

func (w *sweeper) stop() {
	if w.cancel != nil {
		w.cancel()
	}
	w.done.Wait()
}

// sweep removes what has long expired, by the slower of two clocks, in batches
// that leave the server room for others.
func (s *Store) sweep(ctx context.Context) (removed int64, err error) {
	cutoff, err := s.cutoff(ctx)
	if err != nil {
		return 0, err
	}
	expired := bson.E{Key: fieldExpires, Value: bson.D{{Key: "$lt", Value: cutoff}}}
	cur, err := s.coll.Find(ctx, bson.D{expired},
		options.Find().SetBatchSize(sweepBatch).SetProjection(bson.D{{Key: fieldID, Value: 1}}))
	if err != nil {
		return 0, err
	}
	defer cur.Close(ctx)
	for {
		ids := nextIDs(ctx, cur)
		if len(ids) == 0 {
			return removed, cur.Err()
		}
		// The condition again: a touch may have come in between.
		res, err := s.coll.DeleteMany(ctx, bson.D{{Key: fieldID, Value: bson.D{{Key: "$in", Value: ids}}}, expired})
		if err != nil {
			return removed, err
		}
		removed += res.DeletedCount
		if res.DeletedCount == 0 {
			return removed, nil // another replica came first
		}
	}
}

// nextIDs returns those of the next documents, at most a batch.
func nextIDs(ctx context.Context, cur *mongo.Cursor) (ids bson.A) {
	for len(ids) < sweepBatch && cur.Next(ctx) {
		id := cur.Current.Lookup(fieldID)
		id.Value = bytes.Clone(id.Value) // the cursor's, until it moves on
		ids = append(ids, id)
	}
	return ids
}

func (s *Store) cutoff(ctx context.Context) (time.Time, error) {
	var hello struct {
		LocalTime time.Time `bson:"localTime"`
	}
	err := s.coll.Database().RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello)
	if err != nil {
		return time.Time{}, err
	}
	now := time.Now()
	if !hello.LocalTime.IsZero() && hello.LocalTime.Before(now) {
		now = hello.LocalTime
	}
	return now.Add(-sweepMargin), nil
}
