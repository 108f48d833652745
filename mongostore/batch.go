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

// WithBatchedLoads combines concurrent loads into one find command. Up to 8
// commands run at a time. While all 8 are busy, further loads are collected into
// batches of at most 16. At low load every command reads one session, so latency
// does not increase. A batch is sent only after all its callers have asked, so no
// caller gets older data than from a command of its own. Loads waiting for a batch
// count towards [WithMaxInFlight], and so does the batch's command. The option is
// off by default. It has no effect on a mongos, because a batch would go to every
// shard.
//
// WithBatchedLoads is experimental and may change in a minor version.
func WithBatchedLoads() Option {
	return func(c *config) { c.batched = true }
}

const (
	batchSlots = 8
	batchSize  = 16
)

// batcher limits the number of find commands and collects the loads that wait.
type batcher struct {
	mu    sync.Mutex
	busy  int      // commands that are running
	queue []*batch // further callers join the last batch until it is full
}

// batch is a command for several callers. It counts towards WithMaxInFlight, in
// addition to each caller that waits for it.
type batch struct {
	ids     []session.ID
	callers int
	ctx     context.Context // ends when all callers have left
	cancel  context.CancelFunc
	done    chan struct{}
	found   map[session.ID]bson.Raw
	err     error
}

// loadBatched reads a record. It shares the command with other callers if all
// slots are busy. If the shared command fails, each caller sends its own.
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
	return decodeRecord(id, bytes.Clone(raw)), nil // another caller may get the same document
}

// join returns nil if the caller may send its own command now. Otherwise it
// returns the batch for which the caller must wait.
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

// leave removes a caller that no longer waits. The last one cancels the command.
func (l *batcher) leave(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b.callers--; b.callers == 0 {
		b.cancel()
	}
}

// next passes a free slot to the oldest batch in the queue.
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

// find reads several documents with one command. It copies them, because the
// cursor reuses its buffer.
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
	return endDocument(appendCondition(b, fieldID, func(b []byte) []byte {
		in, b := bsoncore.AppendArrayElementStart(b, "$in")
		for i, id := range ids {
			b = appendID(b, bsonIndex[i], id)
		}
		b, _ = bsoncore.AppendArrayEnd(b, in)
		return b
	}), at)
}

var bsonIndex = [batchSize]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"}
