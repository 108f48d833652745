package session

import "context"

// deleteSessions deletes the record and the records of the other cookies. No
// concurrent request restores them, because an update never creates a record.
func (s *Session) deleteSessions(ctx context.Context) error {
	if err := s.endCompanions(ctx); err != nil {
		return err
	}
	if s.rec == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pend.signOut = false
		return nil
	}
	left, err := s.endAll(ctx, append(s.others, s.rec.Info), "")
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.others = left[:len(left)-1] // the next attempt must not report the deleted ones again
		return err
	}
	c := s.m.deletionCookie()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rec, s.others = nil, nil
	s.pend.detached, s.pend.signOut = false, false
	if s.standing == current || s.standing == unsettled {
		s.standing = anonymous
		s.cookie, s.cookieSent = c, false
	}
	return nil
}

// endAll deletes records and reports their sessions until the store returns an
// error. It returns the sessions that are left. newUser is the user of the
// sign-in that ends them, or empty for a sign-out.
func (s *Session) endAll(ctx context.Context, infos []Info, newUser string) (left []Info, err error) {
	for n := range infos {
		if err := s.m.deleteRecord(ctx, infos[n].ID); err != nil {
			return infos[n:], err
		}
		s.m.reportSession(ctx, EventSignedOut, signOutReason(&infos[n], newUser), &infos[n])
	}
	return nil, nil
}
