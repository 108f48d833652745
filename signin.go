package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-go/session/internal/backoff"
)

// finishSignIn completes a sign-in after its record is written. It refuses the
// sign-in if the user was revoked meanwhile. Otherwise it ends the user's
// sessions beyond the maximum and the sessions of the client's other cookies.
func (s *Session) finishSignIn(ctx context.Context, rec *Record, t token) error {
	since, left := s.revocableSince(), s.superfluous(rec)
	err := s.m.checkRevoked(ctx, rec, since)
	if errors.Is(err, ErrRevoked) {
		known := s.rec.id() == rec.ID
		if known {
			s.forget()
		}
		if derr := s.m.deleteRevoked(ctx, &rec.Info, known); derr != nil {
			// This is not ErrRevoked, which promises that no session exists.
			return fmt.Errorf("session: cannot delete the record of a revoked sign-in: %w", derr)
		}
		return err
	}
	if err == nil {
		err = s.m.enforceMaxPerUser(ctx, rec)
	}
	if err != nil && s.rec.id() != rec.ID && s.importing() == nil && s.m.deleteWithRetry(ctx, rec.ID) == nil {
		return err // the client keeps its earlier session
	}
	if err == nil && s.rec != nil && s.rec.ID != rec.ID {
		err = s.endCompanions(ctx)
	}
	if err == nil {
		left, err = s.endAll(ctx, left, rec.User)
	}
	if err != nil {
		return s.leaveUnsettled(ctx, rec, t, since, left, err)
	}
	s.mu.Lock()
	s.others = nil
	s.mu.Unlock()
	return nil
}

// leaveUnsettled gives the client the token of a sign-in whose record is
// written, but whose other steps failed. The client needs it, because its
// earlier token opens nothing any more. The request itself continues without
// the session. The token carries the time of the admission, so later
// admissions look for a revocation that this request could not read (see
// settle). left are the sessions that the next commit has to end.
func (s *Session) leaveUnsettled(ctx context.Context, rec *Record, t token, since time.Time, left []Info, why error) error {
	t.unsettled = since.UnixNano()
	c, err := s.m.issueCookie(t, &rec.Info)
	if err != nil {
		return err
	}
	s.reportWritten(ctx, rec, t)
	s.announced = true
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cookie, s.cookieSent = c, false
	s.others = left
	s.rec, s.secret, s.standing = rec, t.secret, unsettled
	p := &s.pend // the values are stored, but the sign-in must be repeated
	s.pend = pending{user: p.user, renew: true, timeouts: p.timeouts, invalid: p.invalid, at: p.at}
	return why
}

// settle completes the sign-in of an unsettled token at a later admission. It
// does nothing after markerLife, because the marker is gone by then.
func (m *Manager) settle(ctx context.Context, rec *Record, t token) error {
	since := time.Unix(0, t.unsettled)
	if m.now().Sub(since) >= markerLife {
		return nil
	}
	err := m.checkRevoked(ctx, rec, since)
	if errors.Is(err, ErrRevoked) {
		if derr := m.deleteRecord(ctx, rec.ID); derr != nil {
			return derr
		}
		m.reportSession(ctx, EventRevoked, ReasonRevokedSignIn, &rec.Info)
	}
	return err
}

// deleteRevoked deletes the record of a revoked sign-in. If known is true, the
// session began before the sign-in, so its end is reported. The revocation has
// reported it if it has already deleted the record.
func (m *Manager) deleteRevoked(ctx context.Context, info *Info, known bool) error {
	if known && m.observe != nil {
		_, err := m.store.Load(ctx, info.ID)
		known = !errors.Is(err, ErrNotFound)
	}
	err := m.deleteWithRetry(ctx, info.ID)
	if err == nil && known {
		m.reportSession(ctx, EventRevoked, ReasonRevokedSignIn, info)
	}
	return err
}

// deleteWithRetry deletes a record that must not remain. The request may have
// used up the store timeout, so it has a tenth of it for itself.
func (m *Manager) deleteWithRetry(ctx context.Context, id ID) error {
	ctx, stop := withLazyTimeout(ctx, m.timeout/10)
	defer stop.release()
	for try := 0; ; try++ {
		err := m.store.Delete(ctx, id)
		if err == nil || !backoff.Wait(ctx, try, time.Second) {
			return err
		}
	}
}

// superfluous lists the other live sessions of the request's cookies.
func (s *Session) superfluous(rec *Record) []Info {
	infos := slices.Clone(s.others)
	if s.rec != nil && s.rec.ID != rec.ID {
		infos = append(infos, s.rec.Info)
	}
	return infos
}

// nextInfo returns the record's description after the pending sign-in and
// timeouts.
func (s *Session) nextInfo(info Info) Info {
	now := milli(s.m.now())
	info.LastSeenAt = now
	if s.pend.user != "" {
		info.User, info.SignedInAt, info.IdleTimeout = s.pend.user, now, 0
	}
	if s.pend.user != "" || info.Deadline.IsZero() {
		info.ClientIP, info.UserAgent = s.m.describeClient(s.request)
		info.Deadline = lifetimeStart(&info).Add(s.m.lifetime)
	}
	s.applyTimeouts(&info)
	info.ExpiresAt = s.m.idleExpiry(&info, now)
	return info
}

// applyTimeouts changes info according to a pending SetTimeouts.
func (s *Session) applyTimeouts(info *Info) {
	if l := s.pend.timeouts; l != nil {
		info.IdleTimeout, info.Deadline = l.idle, lifetimeStart(info).Add(l.lifetime)
		info.ExpiresAt = s.m.idleExpiry(info, milli(s.m.now()))
	}
}
