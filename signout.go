package session

import "context"

// deleteSessions deletes the record and the records of the other cookies. No
// concurrent request restores them, because an update never creates a record.
func (s *Session) deleteSessions(ctx context.Context) error {
	if s.rec == nil {
		return nil
	}
	if err := s.deleteAll(ctx, append(s.others, s.rec.ID)); err != nil {
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

// deleteAll deletes records until the store returns an error.
func (s *Session) deleteAll(ctx context.Context, ids []ID) error {
	for _, id := range ids {
		if err := s.m.store.Delete(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
