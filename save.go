package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// save implements Save. The caller holds turn.
func (s *Session) save(ctx context.Context) error {
	if s.begun && s.changesToken() {
		return ErrUndeliverable
	}
	if err := s.readmit(ctx); err != nil {
		return err
	}
	return s.commit(ctx)
}

// commit stores the pending changes. If it returns an error, they remain
// pending. The caller holds turn.
func (s *Session) commit(ctx context.Context) error {
	p := &s.pend
	switch {
	case p.invalid != nil:
		return p.invalid
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
	if s.waits.Load() {
		defer s.m.waits.committed(s)
	}
	ctx, stop := s.m.storeContext(ctx)
	defer stop.release()
	return s.m.wrapStoreError(ctx, s.applyPending(ctx))
}

// applyPending makes the pending changes. The order of the steps ensures that
// the client gets or keeps a cookie for its session if a step fails. The steps
// work on copies, which adopt takes over after the last one.
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
	s.reportWritten(ctx, rec, t)
	return s.adopt(rec, t)
}

// writeRecord writes the pending changes into the record and returns it with
// its token.
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

// forget removes an ended record from the session.
func (s *Session) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rec = nil
	if s.standing != job {
		s.standing = anonymous
	}
}

// adopt makes rec the record of the session. If the token has changed, the
// client gets a cookie.
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
	s.pend, s.announced = pending{}, false
	return nil
}

// saveValues writes the changed keys. The last write of a key wins. If the
// record is gone, it stays gone.
func (s *Session) saveValues(ctx context.Context, rec *Record) (*Record, token, error) {
	ch := s.pendingChange(rec.ID)
	if len(ch.Set)+len(ch.Unset) == 0 && !ch.Replace {
		return rec, token{id: rec.ID, secret: s.secret}, nil // finishAttempt has stored everything
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

// keepAttempt keeps a change with an unknown outcome. The caller holds both
// locks.
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
	} else {
		s.reportWritten(ctx, rec, t)
	}
	return s.adoptAttempt(rec, t)
}

// adoptAttempt makes rec the record of the session after a renewal by an
// earlier commit. The changes of later calls are still pending, and so is an
// incomplete sign-in.
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

// dropAttempt removes the changes of the attempt from the pending ones,
// because they are stored now.
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

// checkSize returns an error if the data has grown beyond the maximum. It
// accepts data that shrinks, because otherwise a lower maximum could not be
// reached.
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

// checkGrowth is checkSize for an Update of one key from old to next.
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

// checkSize returns ErrTooLarge if size exceeds the maximum and old.
func (m *Manager) checkSize(old, size int) error {
	if size > m.maxSize && size > old {
		return fmt.Errorf("%w (%d bytes, WithMaxSize is %d)", ErrTooLarge, size, m.maxSize)
	}
	return nil
}

// dataSize returns the size of encoded values with the names of their keys.
func dataSize(values map[string]Value) (n int) {
	for name, v := range values {
		n += len(name) + len(v.Data)
	}
	return n
}
