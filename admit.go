package session

import (
	"bytes"
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"time"
)

// grace is the time after a renewal in which an earlier token counts as
// superseded. Later it counts as stale, because it may have been stolen.
const grace = 30 * time.Second

// admit finds the session to which one of the tokens belongs, for the whole
// request. If several tokens open a session, it chooses the session with the
// latest sign-in or, if nobody signed in, the newest one.
//
// A stale token is not reported if the request also has a later token of the
// same record. The browser has then kept an old cookie next to the new one.
func (m *Manager) admit(ctx context.Context, s *Session, tokens []token) (Outcome, error) {
	if len(tokens) == 0 {
		return AdmissionNone, nil
	}
	bctx, stop := m.storeContext(ctx)
	defer stop.release()
	var stale []ID
	expired := false
	for _, t := range tokens {
		rec, err := m.store.Load(bctx, t.id)
		if err == nil && t.unsettled != 0 && rec.matches(t.secret) {
			err = m.settle(bctx, rec, t)
		}
		switch {
		case errors.Is(err, ErrNotFound), errors.Is(err, ErrRevoked):
			s.lapsed = true
		case err != nil:
			return AdmissionUnavailable, m.wrapStoreError(bctx, err)
		case !m.isLive(&rec.Info, s.admitted):
			expired = true
			if rec.matches(t.secret) {
				s.lapsed = true
				m.reportSession(ctx, EventExpired, m.expiryReason(&rec.Info, s.admitted), &rec.Info)
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
	switch {
	case s.standing == current:
		s.touch(ctx, s.admitted)
		return AdmissionCurrent, nil
	case s.standing == superseded:
		return AdmissionSuperseded, nil
	case expired:
		return AdmissionExpired, nil
	case len(stale) > 0:
		return AdmissionStale, nil
	}
	return AdmissionNotFound, nil
}

// matches reports whether s is the secret of the record's token. It compares
// in constant time. A record without a verifier matches no secret.
func (r *Record) matches(s secret) bool {
	return subtle.ConstantTimeCompare(r.Verifier, s.verifier()) == 1
}

// choose makes rec the record of the session, unless another cookie's record
// has a later sign-in or creation. The other record goes to s.others.
func (s *Session) choose(rec *Record, sec secret) {
	if s.standing == current {
		older := cmp.Or(rec.SignedInAt.Compare(s.rec.SignedInAt), rec.CreatedAt.Compare(s.rec.CreatedAt)) <= 0
		if older {
			s.others = append(s.others, rec.Info)
			return
		}
		s.others = append(s.others, s.rec.Info)
	}
	s.rec, s.secret, s.standing = rec, sec, current
}

// touch records activity if the touch interval has passed. It makes one
// attempt, limited to a tenth of the store timeout. It logs an error but does
// not return it, because the session has already been admitted.
func (s *Session) touch(ctx context.Context, now time.Time) {
	now, rec := milli(now), s.rec
	due := now.Add(-s.m.touchInterval(&rec.Info))
	if !rec.LastSeenAt.Before(due) {
		return
	}
	tctx, stop := withLazyTimeout(ctx, s.m.timeout/10)
	defer stop.release()
	ch := &Change{
		// With the verifier, a touch does not undo shorter timeouts of a
		// concurrent SetTimeouts, which has renewed the token.
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

// readmit checks the timeouts of a session again, some time after its
// admission. If the session seems to have expired, readmit reads it again,
// because another request may have extended it. A sign-in does not need a live
// session.
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

// reload replaces s.rec with the stored record. The caller holds turn.
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

// owns reports whether a record that was read again still belongs to this
// session. A request admitted before a sign-in must not see later values, even
// if the same user signed in. before is the verifier of the session when the
// read began, since this request may have renewed the token meanwhile. A job
// has no token, but its caller has looked at the user, so the user must be the
// same.
func (s *Session) owns(rec *Record, before []byte) bool {
	switch {
	case s.rec == nil:
		return false
	case s.standing == job:
		return rec.User == s.rec.User
	}
	return bytes.Equal(rec.Verifier, before) || bytes.Equal(rec.Verifier, s.rec.Verifier)
}

// needsSignIn reports whether the request's token neither reads nor changes a
// session. Only a sign-in can then do so.
func (s *Session) needsSignIn() bool { return s.standing == superseded || s.standing == unsettled }
