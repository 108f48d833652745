package session

import "context"

// report passes an event to the observers.
func (m *Manager) report(ctx context.Context, e Event) {
	if m.observe != nil {
		m.observe(ctx, e)
	}
}

// reportSession reports an event in the life of a session.
func (m *Manager) reportSession(ctx context.Context, kind EventKind, why EventReason, i *Info) {
	if m.observe != nil {
		m.observe(ctx, Event{Kind: kind, Reason: why, ID: i.ID, User: i.User, ClientIP: i.ClientIP, UserAgent: i.UserAgent})
	}
}

// reportLost logs and reports a change that cannot be saved.
func (m *Manager) reportLost(ctx context.Context, err error) {
	m.log.ErrorContext(ctx, "session: change could not be saved", "error", err)
	m.report(ctx, Event{Kind: EventLostChange, Err: err})
}

// reportWritten reports the events of a record that a commit has written, all
// steps of a sign-in included. The session has not adopted the record yet. The
// caller holds turn, but not mu, because an observer may read the session.
func (s *Session) reportWritten(ctx context.Context, rec *Record, t token) {
	imp := s.importing()
	if s.m.observe == nil || rec == nil || imp != nil && imp.joined {
		return
	}
	isNew, signIn := s.rec.id() != rec.ID, s.pend.user != ""
	if imp != nil {
		s.m.reportSession(ctx, EventCreated, ReasonImport, &rec.Info)
		if signIn {
			s.m.reportSession(ctx, EventSignedIn, ReasonImport, &rec.Info)
		}
		return
	}
	switch {
	case isNew && signIn:
		s.m.reportSession(ctx, EventCreated, ReasonSignIn, &rec.Info)
	case isNew:
		s.m.reportSession(ctx, EventCreated, ReasonChange, &rec.Info)
	}
	switch {
	case signIn && (isNew || !s.announced):
		s.m.reportSession(ctx, EventSignedIn, ReasonSignIn, &rec.Info)
	case isNew || signIn || t.secret == s.secret:
	case s.pend.timeouts != nil:
		s.m.reportSession(ctx, EventRenewed, ReasonSetTimeouts, &rec.Info)
	default:
		s.m.reportSession(ctx, EventRenewed, ReasonRenew, &rec.Info)
	}
}

// signOutReason returns the reason why a sign-out or a sign-in of newUser ends
// a session. newUser is empty for a sign-out.
func signOutReason(i *Info, newUser string) EventReason {
	switch {
	case newUser == "":
		return ReasonSignOut
	case i.User == "" || i.User == newUser:
		return ReasonSignIn
	}
	return ReasonSignInAsOtherUser
}
