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
	// sweepMargin is longer than ttlMargin, because the sweep depends on two
	// clocks.
	sweepMargin = 10 * time.Minute
)

// sweeper deletes expired documents in the background.
type sweeper struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// start runs a sweep after a few seconds and then at random intervals, so replicas
// do not sweep at the same time.
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
				s.log.WarnContext(ctx, "mongostore: cannot delete expired sessions; will retry", "removed", n, "error", err)
			}
		}
	})
}

// stop cancels a running sweep and waits for its end.
func (w *sweeper) stop() {
	if w.cancel != nil {
		w.cancel()
	}
	w.done.Wait()
}

// sweep deletes documents that expired more than sweepMargin ago, by the slower of
// two clocks. It deletes in batches, so other commands can run in between.
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
		// The condition is repeated, because a request may have touched the
		// session since the find.
		res, err := s.coll.DeleteMany(ctx, bson.D{{Key: fieldID, Value: bson.D{{Key: "$in", Value: ids}}}, expired})
		if err != nil {
			return removed, err
		}
		removed += res.DeletedCount
		if res.DeletedCount == 0 {
			return removed, nil // another replica has deleted them
		}
	}
}

// nextIDs returns the IDs of the next documents, at most sweepBatch.
func nextIDs(ctx context.Context, cur *mongo.Cursor) (ids bson.A) {
	for len(ids) < sweepBatch && cur.Next(ctx) {
		id := cur.Current.Lookup(fieldID)
		id.Value = bytes.Clone(id.Value) // the cursor reuses its buffer
		ids = append(ids, id)
	}
	return ids
}

// cutoff returns the time before which a document must have expired to be deleted.
// It uses the earlier of the app's and the server's clock.
func (s *Store) cutoff(ctx context.Context) (time.Time, error) {
	reply, err := s.hello(ctx)
	if err != nil {
		return time.Time{}, err
	}
	now := time.Now()
	if !reply.LocalTime.IsZero() && reply.LocalTime.Before(now) {
		now = reply.LocalTime
	}
	return now.Add(-sweepMargin), nil
}
