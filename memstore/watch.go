package memstore

import (
	"context"
	"slices"

	"github.com/holdfast-go/session"
)

var (
	_ session.Watcher     = (*Store)(nil)
	_ session.BatchLoader = (*Store)(nil)
)

// watcher is a call of Watch.
type watcher struct{ changed func(session.ID) }

// Watch implements [session.Watcher]. It calls changed in the goroutine of the
// write. After [Store.Fail] with an error it reports no changes and returns that
// error.
func (s *Store) Watch(ctx context.Context, ready func(), changed func(session.ID)) error {
	unlock, err := s.lock(ctx, session.EventList)
	if err != nil {
		return err
	}
	w := &watcher{changed}
	s.watchers = append(s.watchers, w)
	unlock()
	ready()
	<-ctx.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers = slices.DeleteFunc(s.watchers, func(other *watcher) bool { return other == w })
	return ctx.Err()
}

// notify reports a change. The caller does not hold mu.
func (s *Store) notify(id session.ID) {
	s.mu.Lock()
	watchers := slices.Clone(s.watchers)
	s.mu.Unlock()
	for _, w := range watchers {
		w.changed(id)
	}
}

// LoadBatch implements [session.BatchLoader].
func (s *Store) LoadBatch(ctx context.Context, ids []session.ID) (recs []*session.Record, err error) {
	unlock, err := s.lock(ctx, session.EventLoad)
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, id := range ids {
		if rec, ok := s.records[id]; ok {
			recs = append(recs, clone(rec))
		}
	}
	return recs, nil
}
