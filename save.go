package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// commit stores the pending changes, or nothing and returns the reason. The
// caller holds turn.
func (s *Session) commit(ctx context.Context) error {
	p := &s.pend
	s.mu.Lock()
	invalid := p.invalid
	s.mu.Unlock()
	switch {
	case invalid != nil:
		return invalid
	case !s.dirty():
		return nil
	case s.standing == superseded && p.signOut, s.needsSignIn() && p.user == "" && !p.signOut:
		return ErrSuperseded
	case s.creates() && s.standing == job:
		return misuse("Save", errJob)
	case s.creates() && p.user == "" && s.withheldErr != nil:
		return s.withheldErr
	}
	if err := s.checkSize(); err != nil {
		return err
	}
	ctx, stop := s.m.storeContext(ctx)
	defer stop.release()
	return s.m.wrapStoreError(ctx, s.applyPending(ctx))
}

// store carries out the pending changes in an order that leaves the client a
// cookie that opens its session, whichever step fails. What a step has made is
// a copy until the last step has succeeded.
func (s *Session) applyPending(ctx context.Context) error {
	p := &s.pend
	if p.signOut {
		if err := s.deleteSessions(ctx); err != nil {
			return err
		}
	}
	if err := s.finishAttempt(ctx); err != nil {
		return err
	}
	rec, t, err := s.writeRecord(ctx)
	if err == nil && p.user != "" {
		err = s.finishSignIn(ctx, rec, t)
	}
	if err != nil {
		return err
	}
	return s.adopt(rec, t)
}

// writeRecord does to the record what is pending and returns it with its token.
func (s *Session) writeRecord(ctx context.Context) (*Record, token, error) {
	var rec *Record
	var t token
	var err error
	p := &s.pend
	switch target := s.target(); {
	case s.standing == unsettled && !p.detached && p.user == s.rec.User && p.timeouts == nil:
		rec, t, err = s.saveValues(ctx, s.rec) // only the other steps of the sign-in are missing
	case s.needsSignIn() && !p.detached && p.user != "", target != nil && p.renew:
		rec, t, err = s.renew(ctx)
	case s.creates():
		return s.insert(ctx)
	case target != nil:
		return s.saveValues(ctx, target)
	}
	if p.user == "" || !errors.Is(err, ErrNotFound) {
		return rec, t, err
	}
	// The credentials have been checked, so a session that ended meanwhile is no
	// reason to refuse the user a new one.
	s.forget()
	return s.insert(ctx)
}

// forget leaves a record that has ended.
func (s *Session) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rec = nil
	if s.standing != job {
		s.standing = anonymous
	}
}

// adopt makes rec the session's. Its token is to be sent if it has changed.
func (s *Session) adopt(rec *Record, t token) error {
	var c *http.Cookie
	if rec != nil && (s.rec == nil || t.secret != s.secret || s.standing == unsettled) {
		var err error
		if c, err = s.m.issueCookie(t, &rec.Info); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c != nil {
		s.cookie, s.cookieSent, s.standing = c, false, current
	}
	s.rec, s.secret = rec, t.secret
	s.pend = pending{invalid: s.pend.invalid} // of a call since the commit began
	return nil
}

// save writes the changed keys. The last write of a key wins, and a record that
// is gone stays gone.
func (s *Session) saveValues(ctx context.Context, rec *Record) (*Record, token, error) {
	ch := s.pendingChange(rec.ID)
	if len(ch.Set)+len(ch.Unset) == 0 && !ch.Replace {
		return rec, token{id: rec.ID, secret: s.secret}, nil // finishAttempt has stored all
	}
	err := s.m.sendChange(ctx, rec, ch)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		rec.Apply(ch)
	case errors.Is(err, ErrUncertain):
		s.keepAttempt(ch, token{})
	}
	return rec, token{id: rec.ID, secret: s.secret}, err
}

// tried keeps a change whose outcome is unknown. The caller holds both locks.
func (s *Session) keepAttempt(ch *Change, next token) {
	ch.Set = maps.Clone(ch.Set) // it may be the pending map
	s.pend.attempt = &attempt{ch, next, s.pend.cleared, s.pend.timeouts}
}

// finishAttempt completes the attempt of an earlier commit.
func (s *Session) finishAttempt(ctx context.Context) error {
	a := s.pend.attempt
	if a == nil || s.rec == nil {
		return nil
	}
	if a.next.id.IsZero() {
		if err := s.m.completeChange(ctx, s.rec, a.change); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.rec.Apply(a.change)
		s.dropAttempt()
		return nil
	}
	rec, t, err := s.sendRenewal(ctx, a.change, a.next)
	if s.pend.user != "" && errors.Is(err, ErrNotFound) {
		s.forget()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pend.attempt = nil
		return nil // the sign-in begins another session
	}
	if err != nil {
		return err
	}
	if s.pend.user != "" {
		t.unsettled = s.revocableSince().UnixNano()
	}
	return s.adoptAttempt(rec, t)
}

// adoptAttempt makes the session that of a renewal by an earlier commit. What that
// has not stored is still pending, as is a sign-in, which is not yet complete.
func (s *Session) adoptAttempt(rec *Record, t token) error {
	c, err := s.m.issueCookie(t, &rec.Info)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropAttempt()
	s.rec, s.secret, s.cookie, s.cookieSent = rec, t.secret, c, false
	if t.unsettled != 0 {
		s.standing = unsettled
	}
	return nil
}

// dropAttempt removes from the pending changes those that are stored now.
func (s *Session) dropAttempt() {
	p, a := &s.pend, s.pend.attempt
	p.attempt = nil
	if a.cleared == p.cleared {
		p.cleared = 0
	}
	if !a.next.id.IsZero() && a.timeouts == p.timeouts {
		p.renew, p.timeouts = false, nil
	}
	for name, v := range p.values {
		if v.Version == a.change.Set[name].Version && (v.Version != 0 || slices.Contains(a.change.Unset, name)) {
			delete(p.values, name)
		}
	}
}

// checkSize refuses data that grew beyond the maximum. Data that shrinks is
// let pass, or a lowered maximum could not be met.
func (s *Session) checkSize() error {
	var old, size int
	if rec := s.target(); rec != nil {
		old = dataSize(rec.Values)
		if s.pend.cleared == 0 {
			size = old
		}
	}
	for name, v := range s.pend.values {
		if was, ok := s.target().valueOf(name); ok && s.pend.cleared == 0 {
			size -= len(name) + len(was.Data)
		}
		if v.Version != 0 {
			size += len(name) + len(v.Data)
			if s.m.encryption {
				size += encryptionOverhead
			}
		}
	}
	return s.m.checkSize(old, size)
}

func (s *Session) checkGrowth(rec *Record, name string, old, next Value) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	is := dataSize(rec.Values)
	size := is + len(next.Data) - len(old.Data)
	if old.Version == 0 {
		size += len(name)
	}
	return s.m.checkSize(is, size)
}

func (m *Manager) checkSize(old, size int) error {
	if size > m.maxSize && size > old {
		return fmt.Errorf("%w (%d bytes, WithMaxSize is %d)", ErrTooLarge, size, m.maxSize)
	}
	return nil
}

func dataSize(values map[string]Value) (n int) {
	for name, v := range values {
		n += len(name) + len(v.Data)
	}
	return n
}
