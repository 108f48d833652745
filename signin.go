package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// settle completes a sign-in whose record is written: it yields to a revocation
// that came in between, ends the user's sessions beyond the cap and those that
// it takes the place of. Where it fails, a record whose token nobody has yet
// is taken out again.
func (s *Session) settle(ctx context.Context, rec *Record) error {
	err := s.m.checkRevoked(ctx, rec, s.admitted, s.stamps)
	if err == nil {
		err = s.m.cap(ctx, rec)
	}
	if err == nil {
		err = s.deleteAll(ctx, s.replaced(rec))
	}
	if err == nil {
		s.rivals = nil
		return nil
	}
	if errors.Is(err, ErrRevoked) || s.rec.id() != rec.ID {
		if derr := s.m.takeBack(ctx, rec.ID); derr != nil {
			return fmt.Errorf("%v; and its record is still there: %w", err, derr)
		}
	}
	return err
}

// takeBack deletes a record that must not stay. The time of the request may be
// up, so it has a little of its own.
func (m *Manager) takeBack(ctx context.Context, id ID) error {
	ctx, stop := within(ctx, m.timeout/10)
	defer stop.release()
	for try := 0; ; try++ {
		err := m.store.Delete(ctx, id)
		if err == nil || !pause(ctx, try, time.Second) {
			return err
		}
	}
}

// replaced lists the other live sessions that the request came with.
func (s *Session) replaced(rec *Record) []ID {
	ids := slices.Clone(s.rivals)
	if s.rec != nil && s.rec.ID != rec.ID {
		ids = append(ids, s.rec.ID)
	}
	return ids
}

// nextInfo returns what the record's description becomes with the pending
// sign-in and limits.
func (s *Session) nextInfo(info Info) Info {
	now := milli(s.m.now())
	info.LastSeen = now
	if s.pend.user != "" {
		info.User, info.LoggedIn, info.IdleTimeout = s.pend.user, now, 0
	}
	if s.pend.user != "" || info.Deadline.IsZero() {
		info.ClientIP, info.UserAgent = s.m.describe(s.request)
		info.Deadline = start(&info).Add(s.m.lifetime)
	}
	s.limit(&info)
	info.Expires = s.m.expires(&info, now)
	return info
}

func (s *Session) limit(info *Info) {
	if l := s.pend.limits; l != nil {
		info.IdleTimeout, info.Deadline = l.idle, start(info).Add(l.lifetime)
		info.Expires = s.m.expires(info, milli(s.m.now()))
	}
}
