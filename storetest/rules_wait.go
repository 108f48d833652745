package storetest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-go/session"
)

// patience is the time after which a rule gives up waiting.
const patience = 30 * time.Second

func batchLoads(t *trial) {
	store, ok := t.store.(session.BatchLoader)
	if !ok {
		return
	}
	recs := []*session.Record{t.inserted(), t.inserted(), t.bare(nil)}
	t.insert(recs[2])
	deleted := t.inserted()
	t.delete(deleted.ID)
	ch := t.change()
	t.update(recs[1].ID, ch)
	recs[1] = changed(recs[1], ch)

	left := map[session.ID]*session.Record{}
	ids := []session.ID{t.id(), deleted.ID}
	for _, rec := range recs {
		left[rec.ID] = clone(rec)
		ids = append(ids, rec.ID)
	}
	for range 2 { // a store may return the first records again
		found, err := store.LoadBatch(t.Context(), ids)
		if err != nil {
			t.Fatalf("LoadBatch: %v", err)
		}
		if len(found) != len(recs) {
			t.Fatalf("LoadBatch returned %d records, want %d", len(found), len(recs))
		}
		for _, rec := range found {
			want := left[rec.ID]
			if want == nil {
				t.Fatalf("LoadBatch returned a record that does not exist")
			}
			got := clone(rec)
			got.Values = want.Values
			if d := diff(got, want); d != "" {
				t.Fatalf("LoadBatch: %s", d)
			}
			scribble(rec)
		}
	}
	if found, err := store.LoadBatch(t.Context(), ids[:2]); err != nil || len(found) > 0 {
		t.Fatalf("LoadBatch of missing records: %d records, error %v", len(found), err)
	}
}

// batchCancelled matters because the Manager treats a record that is left out as
// ended.
func batchCancelled(t *trial) {
	store, ok := t.store.(session.BatchLoader)
	if !ok {
		return
	}
	id := t.inserted().ID
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if found, err := store.LoadBatch(ctx, []session.ID{id}); err == nil {
		t.Fatalf("LoadBatch with a cancelled context returned %d records and no error", len(found))
	}
}

// watching is a call of Watch.
type watching struct {
	stop    context.CancelFunc
	ready   chan struct{}
	changes chan session.ID
	ended   chan struct{}
	err     error // after ended is closed
	mu      sync.Mutex
	readies int
}

// watch begins to watch. The result is nil if the database cannot report changes.
func (t *trial) watch() *watching {
	t.Helper()
	store, ok := t.store.(session.Watcher)
	if !ok {
		return nil
	}
	ctx, stop := context.WithCancel(t.Context())
	w := &watching{stop: stop, ready: make(chan struct{}), changes: make(chan session.ID, 1000), ended: make(chan struct{})}
	t.Cleanup(func() {
		stop()
		select {
		case <-w.ended:
		case <-time.After(2 * patience):
		}
	})
	go func() {
		defer close(w.ended)
		w.err = store.Watch(ctx, w.begin, func(id session.ID) {
			select {
			case w.changes <- id:
			default: // changes of other programs
			}
		})
	}()
	select {
	case <-w.ready:
	case <-w.ended:
		if errors.Is(w.err, errors.ErrUnsupported) {
			return nil
		}
		t.Fatalf("Watch ended before it was ready: %v", w.err)
	case <-time.After(patience):
		t.Fatalf("Watch is not ready after %v", patience)
	}
	return w
}

func (w *watching) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.readies++; w.readies == 1 {
		close(w.ready)
	}
}

// reports fails unless each of the changes is reported.
func (w *watching) reports(t *trial, what string, ids ...session.ID) {
	t.Helper()
	left := map[session.ID]bool{}
	for _, id := range ids {
		left[id] = true
	}
	giveUp := time.After(patience)
	for len(left) > 0 {
		select {
		case id := <-w.changes:
			delete(left, id)
		case <-w.ended:
			t.Fatalf("Watch ended: %v", w.err)
		case <-giveUp:
			t.Fatalf("Watch did not report %s", what)
		}
	}
}

func watchReports(t *trial) {
	one, two, three := t.inserted(), t.inserted(), t.inserted()
	w := t.watch()
	if w == nil {
		return
	}
	t.update(one.ID, &session.Change{Verifier: randomBytes(32)})
	w.reports(t, "a new Verifier", one.ID)
	t.delete(two.ID)
	w.reports(t, "a Delete", two.ID)
	t.update(three.ID, t.change())
	t.delete(one.ID)
	w.reports(t, "an Update and a Delete", one.ID, three.ID)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.readies != 1 {
		t.Fatalf("Watch called ready %d times, want once", w.readies)
	}
}

func watchEnds(t *trial) {
	w := t.watch()
	if w == nil {
		return
	}
	w.stop()
	select {
	case <-w.ended:
		if w.err == nil {
			t.Fatalf("Watch with an ended context returned no error")
		}
	case <-time.After(patience):
		t.Fatalf("Watch did not return after its context had ended")
	}
}
