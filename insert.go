package session

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-go/session/internal/backoff"
)

// insert stores a new record. The record may exist already, if its reply was
// lost or if an earlier Save of this request failed. again is true in the
// second case. The stored record then has the values of the earlier Save, so
// insert replaces them.
func (s *Session) insert(ctx context.Context) (*Record, token, error) {
	m := s.m
	s.mu.Lock()
	t := s.nextToken()
	again := s.pend.inserts
	s.pend.inserts = true
	s.mu.Unlock()
	rec := &Record{Info: s.nextInfo(Info{ID: t.id, CreatedAt: milli(m.now())}), Verifier: t.secret.verifier(), Values: s.pendingChange(t.id).Set}
	mine := func(found *Record) bool { return found.matches(t.secret) || s.importing().matches(found) }
	lost := again
	for try := 0; ; try++ {
		err := m.store.Insert(ctx, rec)
		if err == nil {
			return rec, t, nil
		}
		if !needsReadBack(err) {
			return nil, token{}, err
		}
		lost = lost || errors.Is(err, ErrUncertain)
		found, lerr := m.readBack(ctx, rec.ID, lost, mine)
		switch {
		case lerr == nil && s.importing() != nil:
			return s.adoptImported(found, lost)
		case lerr == nil && !mine(found):
			return nil, token{}, err
		case lerr == nil && again:
			// No other request has this token, so no values of others are lost.
			ch := &Change{If: Guard{Verifier: rec.Verifier}, Set: rec.Values, Replace: true}
			ch.refresh(rec.Info)
			return rec, t, m.sendChange(ctx, found, ch)
		case lerr == nil:
			return rec, t, nil
		case !errors.Is(lerr, ErrNotFound):
			return nil, token{}, uncertain(lerr)
		case !backoff.Wait(ctx, try, time.Second):
			return nil, token{}, uncertain(err)
		}
	}
}
