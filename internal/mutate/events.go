package main

// events contains mutations of the events in the life of a session.
var events = []mutation{
	{
		"a sign-in reported before its last step", "save.go",
		"	if err == nil && p.user != \"\" {\n		err = s.finishSignIn(ctx, rec, t)\n	}\n	if err != nil {\n		return err\n	}\n	s.reportWritten(ctx, rec, t)\n",
		"	s.reportWritten(ctx, rec, t)\n	if err == nil && p.user != \"\" {\n		err = s.finishSignIn(ctx, rec, t)\n	}\n	if err != nil {\n		return err\n	}\n",
		".", "TestEvents_RevokedSignIn",
	},
	{
		"a change that is not reported", "save.go",
		"	s.reportWritten(ctx, rec, t)\n	return s.adopt(rec, t)\n", "	return s.adopt(rec, t)\n",
		".", "TestEvents_LifeOfSession",
	},
	{
		"a change reported twice", "save.go",
		"	s.reportWritten(ctx, rec, t)\n	return s.adopt(rec, t)\n", "	s.reportWritten(ctx, rec, t)\n	s.reportWritten(ctx, rec, t)\n	return s.adopt(rec, t)\n",
		".", "TestEvents_LostReply",
	},
	{
		"a renewal completed by a later Save that is not reported", "save.go",
		"	} else {\n		s.reportWritten(ctx, rec, t)\n	}\n", "	}\n",
		".", "TestEvents_UnknownOutcome",
	},
	{
		"a sign-out reported before the store has confirmed it", "signout.go",
		"		if err := s.m.deleteRecord(ctx, infos[n].ID); err != nil {\n			return infos[n:], err\n		}\n		s.m.reportSession(ctx, EventSignedOut, signOutReason(&infos[n], newUser), &infos[n])\n",
		"		s.m.reportSession(ctx, EventSignedOut, signOutReason(&infos[n], newUser), &infos[n])\n		if err := s.m.deleteRecord(ctx, infos[n].ID); err != nil {\n			return infos[n:], err\n		}\n",
		".", "TestEvents_NothingStored",
	},
	{
		"a repeated sign-out that reports the first session again", "signout.go",
		"		s.others = left[:len(left)-1] // the next attempt must not report the deleted ones again\n", "		_ = left\n",
		".", "TestEvents_SeveralCookies",
	},
	{
		"a repeated sign-in that reports a replaced session again", "signin.go",
		"	s.others = left\n", "	s.others = s.superfluous(rec)\n",
		".", "TestEvents_SeveralCookies",
	},
	{
		"a joined sign-in reported twice", "renew.go",
		"			s.announced = otherSignIn\n", "",
		".", "TestEvents_JoinedSignIn",
	},
	{
		"a joined sign-in with a change reported twice", "renew.go",
		"		s.announced = s.announced || err == nil && otherSignIn\n", "",
		".", "TestEvents_JoinedSignIn",
	},
	{
		"a sign-in with a superseded token reported twice", "renew.go",
		"	otherSignIn := found.RenewedAt.Equal(found.SignedInAt)\n", "	otherSignIn := !found.SignedInAt.Equal(s.rec.SignedInAt)\n",
		".", "TestEvents_JoinedSignIn",
	},
	{
		"a sign-in that joins a renewal and is not reported", "renew.go",
		"	otherSignIn := found.RenewedAt.Equal(found.SignedInAt)\n", "	otherSignIn := true\n",
		".", "TestEvents_SignInBesideRenewal",
	},
	{
		"an incomplete sign-in that is not reported", "signin.go",
		"	s.reportWritten(ctx, rec, t)\n", "",
		".", "TestEvents_IncompleteSignIn",
	},
	{
		"a repeated sign-in reported twice", "signin.go",
		"	s.announced = true\n", "",
		".", "TestEvents_IncompleteSignIn",
	},
	{
		"a sign-in that reports the end of a session the revocation has reported", "signin.go",
		"		known = !errors.Is(err, ErrNotFound)\n", "		_ = err\n",
		".", "TestEvents_RevokedSignIn",
	},
	{
		"a session ended by its revoked sign-in that is not reported", "signin.go",
		"	if err == nil && known {\n", "	if false {\n",
		".", "TestEvents_RevokedSignIn",
	},
	{
		"a revocation found by a later admission that is not reported", "signin.go",
		"		m.reportSession(ctx, EventRevoked, ReasonRevokedSignIn, &rec.Info)\n	}\n	return err\n}\n\n// deleteRevoked", "	}\n	return err\n}\n\n// deleteRevoked",
		".", "TestEvents_IncompleteSignIn",
	},
	{
		"a RevokeAll that reports expired sessions", "revoke.go",
		"			n++\n			m.reportSession(ctx, EventRevoked, why, &i)\n		}\n", "			n++\n		}\n		m.reportSession(ctx, EventRevoked, why, &i)\n",
		".", "TestEvents_LifeOfSession",
	},
	{
		"a RevokeAll that reports a session before the store has deleted it", "revoke.go",
		"		err := m.deleteRecord(dctx, i.ID)\n", "		m.reportSession(ctx, EventRevoked, why, &i)\n		err := m.deleteRecord(dctx, i.ID)\n",
		".", "TestEvents_RevokeAllTwice",
	},
	{
		"a session beyond the maximum reported by two sign-ins", "user.go",
		"		live = m.isLive(&found.Info, m.now()) // a concurrent sign-in may have ended it\n", "		live = true\n",
		".", "TestEvents_Evicted",
	},
	{
		"a session beyond the maximum whose lost reply hides its end", "user.go",
		"		case ended(found):\n			return remove(found)\n", "		case ended(found):\n			return m.store.Delete(ctx, id)\n",
		".", "TestEvents_Evicted",
	},
	{
		"a store call outside the context of the Tracer", "observe.go",
		"	rec, err := o.Store.Load(c.ctx, id)\n", "	rec, err := o.Store.Load(ctx, id)\n",
		".", "TestWithTracer_ContextReachesTheStore",
	},
	{
		"an operation without an end if the store panics", "trace.go",
		"	if !s.ended {\n", "	if false {\n",
		".", "TestWithTracer_StorePanics",
	},
	{
		"a commit traced for each request without a session", "trace.go",
		"	if !changes && s.rec == nil {\n", "	if false {\n",
		".", "TestWithTracer_StepsOfARequest",
	},
	{
		"a forged cookie counted as none", "trace.go",
		"	if out == AdmissionNone && received > 0 {\n", "	if false {\n",
		".", "TestWithTracer_Admissions",
	},
	{
		"a deletion with a lost reply that is not read back", "outcome.go",
		"	if _, lerr := m.confirm(ctx, id); errors.Is(lerr, ErrNotFound) {\n", "	if false {\n",
		".", "TestEvents_LostReplyOfADeletion",
	},
	{
		"an event with the client of another session", "events.go",
		"ClientIP: i.ClientIP, UserAgent: i.UserAgent", "ClientIP: i.ClientIP",
		".", "TestEvents_Fields",
	},
	{
		"an observer that replaces the one before it", "observe.go",
		"				before(ctx, e)\n", "",
		".", "TestWithObserver_Several",
	},
}
