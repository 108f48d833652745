package mongostore

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/holdfast-go/session"
)

// WithBatchedLoads lets loads that wait for each other share a command. A load
// that finds one of 8 slots free goes at once and alone, so that nobody waits
// at low load; the others gather, at most 16 in a batch, for the next slot. A
// batch starts after each of its callers has asked, so that none gets an older
// answer. Loads that wait for a batch count towards [WithMaxInFlight], and so
// does the batch's command. It is off by default, and on a mongos, which would
// ask every shard.
func WithBatchedLoads() Option {
	return func(c *config) { c.batched = true }
}

const (
	batchSlots = 8
	batchSize  = 16
)

// batcher hands out the slots.
type batcher struct {
	mu    sync.Mutex
	busy  int
	queue []*batch // the last one takes further callers until it is full
}

// batch is one command for several callers. It counts towards
// WithMaxInFlight, as each of them does while it waits.
type batch struct {
	ids     []session.ID
	callers int
	ctx     context.Context // ends when all callers have left
	cancel  context.CancelFunc
	done    chan struct{}
	found   map[session.ID]bson.Raw
	err     error
}

// load reads a record alone, or with others. Where the command for all fails,
// each caller tries by itself.
func (s *Store) loadBatched(ctx context.Context, id session.ID) (*session.Record, error) {
	b := s.batches.join(id)
	if b == nil {
		defer s.batches.next(s)
		return s.loadAlone(ctx, id)
	}
	select {
	case <-b.done:
	case <-ctx.Done():
		s.batches.leave(b)
		return nil, ctx.Err()
	}
	if b.err != nil {
		return s.loadAlone(ctx, id)
	}
	raw, ok := b.found[id]
	if !ok {
		return nil, session.ErrNotFound
	}
	return decodeRecord(id, bytes.Clone(raw)), nil // others may wait for the same record
}

// join takes a free slot and returns nil, or finds a batch for the caller.
func (l *batcher) join(id session.ID) *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy < batchSlots && len(l.queue) == 0 {
		l.busy++
		return nil
	}
	var b *batch
	if n := len(l.queue); n > 0 && len(l.queue[n-1].ids) < batchSize {
		b = l.queue[n-1]
	} else {
		b = &batch{done: make(chan struct{})}
		b.ctx, b.cancel = context.WithCancel(context.Background())
		l.queue = append(l.queue, b)
	}
	b.callers++
	if !slices.Contains(b.ids, id) {
		b.ids = append(b.ids, id)
	}
	return b
}

func (l *batcher) leave(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b.callers--; b.callers == 0 {
		b.cancel()
	}
}

// next gives a slot that has become free to the batch that waits longest.
func (l *batcher) next(s *Store) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		l.busy--
		return
	}
	b := l.queue[0]
	l.queue = slices.Delete(l.queue, 0, 1)
	s.flight.Add(1) // never refused: its callers have been admitted
	go func() {
		defer s.leave()
		defer l.next(s)
		defer b.cancel()
		defer close(b.done)
		b.found, b.err = s.find(b.ctx, b.ids)
	}()
}

// find reads several records at once. They outlive the reply's buffer.
func (s *Store) find(ctx context.Context, ids []session.ID) (map[session.ID]bson.Raw, error) {
	n := len(ids)
	cur, err := s.coll.Find(ctx, filterIDs(ids), options.Find().SetLimit(int64(n)).SetBatchSize(int32(n)))
	if err != nil {
		return nil, err
	}
	defer cur.Close(ctx)
	found := make(map[session.ID]bson.Raw, n)
	for cur.Next(ctx) {
		if _, id, ok := cur.Current.Lookup(fieldID).BinaryOK(); ok && len(id) == len(session.ID{}) {
			found[session.ID(id)] = bytes.Clone(cur.Current)
		}
	}
	return found, cur.Err()
}

func filterIDs(ids []session.ID) bson.Raw {
	at, b := bsoncore.AppendDocumentStart(make([]byte, 0, 32*len(ids)+32))
	return end(appendCondition(b, fieldID, func(b []byte) []byte {
		in, b := bsoncore.AppendArrayElementStart(b, "$in")
		for i, id := range ids {
			b = appendID(b, bsonIndex[i], id)
		}
		b, _ = bsoncore.AppendArrayEnd(b, in)
		return b
	}), at)
}

// bsonIndex are the keys of an array's elements.
var bsonIndex = [batchSize]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"}
