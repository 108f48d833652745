package session

import (
	"bytes"
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"time"
)

// grace is how long after a renewal the tokens before it are taken for late
// rather than stolen ones.
const grace = 30 * time.Second

// admit finds the session that one of the tokens belongs to and judges it, for
// the whole request. Of several the one that signed in last is it, else the
// newest.
func (m *Manager) admit(ctx context.Context, s *Session, tokens []token) error {
	if len(tokens) == 0 {
		return nil
	}
	bctx, stop := m.storeContext(ctx)
	defer stop.release()
	var stale []ID
	for _, t := range tokens {
		rec, err := m.store.Load(bctx, t.id)
		if err == nil && t.unsettled != 0 && rec.matches(t.secret) {
			err = m.settle(bctx, rec, t)
		}
		switch {
		case errors.Is(err, ErrNotFound), errors.Is(err, ErrRevoked):
			s.lapsed = true
		case err != nil:
			return m.wrapStoreError(bctx, err)
		case !m.isLive(&rec.Info, s.admitted):
			if rec.matches(t.secret) {
				s.lapsed = true
				m.report(ctx, Event{Kind: EventExpired, ID: rec.ID, User: rec.User})
			}
		case rec.matches(t.secret):
			s.choose(rec, t.secret)
		case s.admitted.Before(rec.RenewedAt.Add(grace)):
			if s.standing == anonymous {
				s.rec, s.secret, s.standing = rec, t.secret, superseded
			}
		default:
			stale = append(stale, t.id)
		}
	}
	for _, id := range stale {
		if s.rec.id() != id {
			m.report(ctx, Event{Kind: EventStaleToken, ID: id})
		}
	}
	s.lapsed = s.lapsed && s.standing == anonymous
	if s.standing == current {
		s.touch(ctx, s.admitted)
	}
	return nil
}

// knows compares in constant time. A record without a verifier knows nobody.
func (r *Record) matches(s secret) bool {
	return subtle.ConstantTimeCompare(r.Verifier, s.verifier()) == 1
}

// choose makes rec the session's, unless the one that another cookie gave it
// signed in or began later.
func (s *Session) choose(rec *Record, sec secret) {
	if s.standing == current {
		older := cmp.Or(rec.SignedInAt.Compare(s.rec.SignedInAt), rec.CreatedAt.Compare(s.rec.CreatedAt)) <= 0
		if older {
			s.others = append(s.others, rec.ID)
			return
		}
		s.others = append(s.others, s.rec.ID)
	}
	s.rec, s.secret, s.standing = rec, sec, current
}

// touch records activity when that is due. It is tried once and briefly, and
// its failure fails no request: the session has been admitted.
func (s *Session) touch(ctx context.Context, now time.Time) {
	now, rec := milli(now), s.rec
	due := now.Add(-s.m.touchInterval(&rec.Info))
	if !rec.LastSeenAt.Before(due) {
		return
	}
	tctx, stop := withLazyTimeout(ctx, s.m.timeout/10)
	defer stop.release()
	ch := &Change{
		// The verifier keeps a touch from undoing limits that SetTimeouts
		// has shortened meanwhile.
		If:         Guard{Verifier: rec.Verifier, SeenBefore: due},
		LastSeenAt: now, ExpiresAt: s.m.idleExpiry(&rec.Info, now),
	}
	err := s.m.store.Update(tctx, rec.ID, ch)
	switch {
	case err == nil:
		s.mu.Lock()
		rec.Apply(ch)
		s.mu.Unlock()
	case !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound):
		s.m.log.WarnContext(ctx, "session: activity was not recorded", "session", rec.ID, "error", err)
	}
}

// readmit judges a session anew, some time after its admission. Other requests
// may have extended it since, so it reads again if the session seems to have
// ended. A sign-in does not need the session to be live.
func (s *Session) readmit(ctx context.Context) error {
	if s.target() == nil || s.pend.user != "" {
		return nil
	}
	now := s.m.now()
	if !s.m.isLive(&s.rec.Info, now) {
		if err := s.reload(ctx); err != nil {
			return err
		}
	}
	if s.standing == current {
		s.touch(ctx, now)
	}
	return nil
}

func (s *Session) reload(ctx context.Context) error {
	if s.needsSignIn() {
		return ErrSuperseded
	}
	if s.rec == nil {
		return ErrNotFound
	}
	ctx, stop := s.m.storeContext(ctx)
	defer stop.release()
	rec, err := s.m.store.Load(ctx, s.rec.ID)
	switch {
	case err != nil:
		return s.m.wrapStoreError(ctx, err)
	case !s.m.isLive(&rec.Info, s.m.now()):
		return ErrNotFound
	case !s.owns(rec, s.rec.Verifier):
		return ErrSuperseded
	}
	s.mu.Lock()
	s.rec = rec
	s.mu.Unlock()
	return nil
}

// owns reports whether a record that was read again is still this session's: a
// request that was admitted before a sign-in must not see what came after it,
// even if the same user signed in. before is the verifier that the session had
// when the reading began; a renewal of its own may have come in between. A job
// has no token that could be superseded, but was asked for by somebody who
// looked at the user.
func (s *Session) owns(rec *Record, before []byte) bool {
	switch {
	case s.rec == nil:
		return false
	case s.standing == job:
		return rec.User == s.rec.User
	}
	return bytes.Equal(rec.Verifier, before) || bytes.Equal(rec.Verifier, s.rec.Verifier)
}

// replaced reports whether the request's token reads nothing and changes
// nothing but by a sign-in.
func (s *Session) needsSignIn() bool { return s.standing == superseded || s.standing == unsettled }
