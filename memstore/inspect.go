package memstore

import (
	"bytes"
	"context"
	"iter"
	"slices"

	"github.com/holdfast-go/session"
)

var _ session.Inspector = (*Store)(nil)

// Count implements [session.Inspector].
func (s *Store) Count(ctx context.Context, f session.Filter) (int64, error) {
	infos, err := s.matching(ctx, f)
	return int64(len(infos)), err
}

// All implements [session.Inspector]. It reads all sessions in one page, before it
// yields the first one.
func (s *Store) All(ctx context.Context, f session.Filter) iter.Seq2[session.Info, error] {
	return func(yield func(session.Info, error) bool) {
		infos, err := s.matching(ctx, f)
		if err != nil {
			yield(session.Info{}, err)
			return
		}
		slices.SortFunc(infos, func(a, b session.Info) int { return bytes.Compare(a.ID[:], b.ID[:]) })
		for _, info := range infos {
			if err := ended(ctx); err != nil {
				yield(session.Info{}, err)
				return
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}

// matching returns the sessions that match f, in any order.
func (s *Store) matching(ctx context.Context, f session.Filter) (infos []session.Info, err error) {
	unlock, err := s.lock(ctx, session.EventList)
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, rec := range s.records {
		if f.Matches(rec) {
			infos = append(infos, rec.Info)
		}
	}
	return infos, nil
}
