package session

import "context"

// destroy deletes the record and those of the other cookies. As an update never
// creates, nothing in flight brings one back.
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

func (s *Session) deleteAll(ctx context.Context, ids []ID) error {
	for _, id := range ids {
		if err := s.m.store.Delete(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
