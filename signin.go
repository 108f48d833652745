package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-go/session/internal/backoff"
)

// finishSignIn completes a sign-in whose record is written: it yields to a
// revocation that came in between, ends the user's sessions beyond the maximum
// and those of this client that it takes the place of.
func (s *Session) finishSignIn(ctx context.Context, rec *Record, t token) error {
	since := s.revocableSince()
	err := s.m.checkRevoked(ctx, rec, since)
	if errors.Is(err, ErrRevoked) {
		if s.rec.id() == rec.ID {
			s.forget()
		}
		if derr := s.m.deleteWithRetry(ctx, rec.ID); derr != nil {
			return fmt.Errorf("session: the record of a revoked sign-in is still stored: %w", derr)
		}
		return err
	}
	if err == nil {
		err = s.m.enforceMaxPerUser(ctx, rec)
	}
	if err != nil && s.rec.id() != rec.ID && s.m.deleteWithRetry(ctx, rec.ID) == nil {
		return err // the client keeps what it came with
	}
	if err == nil {
		err = s.deleteAll(ctx, s.superfluous(rec))
	}
	if err != nil {
		return s.leaveUnsettled(rec, t, since, err)
	}
	s.mu.Lock()
	s.others = nil
	s.mu.Unlock()
	return nil
}

// leaveUnsettled gives the client the token of a sign-in that is written, but
// whose other steps the store has failed: the token before it opens nothing any
// more. The request itself goes on without the session. The token carries the
// time of the admission, so that later ones look for the revocation that this
// request could not read; see settle.
func (s *Session) leaveUnsettled(rec *Record, t token, since time.Time, why error) error {
	t.unsettled = since.UnixNano()
	c, err := s.m.issueCookie(t, &rec.Info)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cookie, s.cookieSent = c, false
	s.others = s.superfluous(rec) // a repetition ends them
	s.rec, s.secret, s.standing = rec, t.secret, unsettled
	p := &s.pend // values are stored, the sign-in is to be repeated
	s.pend = pending{user: p.user, renew: true, timeouts: p.timeouts, invalid: p.invalid, at: p.at}
	return why
}

// settle completes, at a later admission, a sign-in that leaveUnsettled has left
// open. A marker does not outlive markerLife, so neither does the question.
func (m *Manager) settle(ctx context.Context, rec *Record, t token) error {
	since := time.Unix(0, t.unsettled)
	if m.now().Sub(since) >= markerLife {
		return nil
	}
	err := m.checkRevoked(ctx, rec, since)
	if errors.Is(err, ErrRevoked) {
		if derr := m.store.Delete(ctx, rec.ID); derr != nil {
			return derr
		}
	}
	return err
}

// deleteWithRetry deletes a record that must not stay. The time of the request
// may be up, so it has a little of its own.
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

// superfluous lists the other live sessions that the request came with.
func (s *Session) superfluous(rec *Record) []ID {
	ids := slices.Clone(s.others)
	if s.rec != nil && s.rec.ID != rec.ID {
		ids = append(ids, s.rec.ID)
	}
	return ids
}

// nextInfo returns what the record's description becomes with the pending
// sign-in and limits.
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

func (s *Session) applyTimeouts(info *Info) {
	if l := s.pend.timeouts; l != nil {
		info.IdleTimeout, info.Deadline = l.idle, lifetimeStart(info).Add(l.lifetime)
		info.ExpiresAt = s.m.idleExpiry(info, milli(s.m.now()))
	}
}
