package main

// protocol contains mutations of the steps between a request and its record.
var protocol = []mutation{
	{
		"a renewal that joins without a sign-in", "renew.go",
		"if user == \"\" || found.User != user ||", "if user != \"\" && found.User != user ||",
		".", "TestRenew_OnlySignInJoins",
	},
	{
		"a sign-in that joins without a time limit", "renew.go",
		" || !s.m.now().Before(found.RenewedAt.Add(grace)) {", " {",
		".", "TestSignIn_JoinsWithinGracePeriod",
	},
	{
		"a failed sign-in that keeps its token", "signin.go",
		"		return s.leaveUnsettled(ctx, rec, t, since, left, err)\n", "		return err\n",
		".", "TestSignIn_FailedStep",
	},
	{
		"an unsettled token that is accepted without a check", "admit.go",
		"if err == nil && t.unsettled != 0 && rec.matches(t.secret) {", "if false {",
		".", "TestSignIn_CompletedLater",
	},
	{
		"an unsettled token that is checked forever", "signin.go",
		"	if m.now().Sub(since) >= markerLife {\n		return nil\n	}\n", "",
		".", "TestSignIn_CompletedLater",
	},
	{
		"a failed sign-in that acts for the user", "signin.go",
		"s.rec, s.secret, s.standing = rec, t.secret, unsettled", "s.rec, s.secret, s.standing = rec, t.secret, current",
		".", "TestSignIn_DiscardedAfterFailure",
	},
	{
		"a revoked sign-in that acts for the user", "signin.go",
		"		if known {\n			s.forget()\n		}\n", "",
		".", "TestSignIn_DiscardedAfterFailure",
	},
	{
		"a sign-in refused because its record was deleted", "save.go",
		"if p.user == \"\" || !errors.Is(err, ErrNotFound) {", "if true {",
		".", "TestRevokeAll_OwnSessionThenSignIn",
	},
	{
		"an Update that reads past a sign-in of the same user", "admit.go",
		"	return bytes.Equal(rec.Verifier, before) || bytes.Equal(rec.Verifier, s.rec.Verifier)\n", "	return bytes.Equal([]byte(rec.User), []byte(s.rec.User))\n",
		".", "TestUpdate_AfterConcurrentSignIn|TestReload",
	},
	{
		"an Update superseded by a renewal of its own request", "admit.go",
		"	return bytes.Equal(rec.Verifier, before) || bytes.Equal(rec.Verifier, s.rec.Verifier)\n", "	return bytes.Equal(rec.Verifier, before)\n",
		".", "TestUpdate_AfterOwnRenewal",
	},
	{
		"an Update that is handed another token's value", "update.go",
		"if !pending && turn.last != nil && bytes.Equal(turn.verifier, rec.Verifier) {", "if !pending && turn.last != nil && bytes.Equal(nil, nil) {",
		".", "TestUpdate_QueuedBehindSignIn",
	},
	{
		"an Update that changes a pending value after it was saved", "update.go",
		"if is, _ := s.value(name); !s.updatesPending(name) || is.Version != old.Version {", "if false {",
		".", "TestUpdate_SaveByAnotherGoroutine",
	},
	{
		"an Update that undoes a Reload", "update.go",
		"if v, _ := rec.valueOf(sw.name); v.Version == old.Version {", "if true {",
		".", "TestReload_BesideUpdate",
	},
	{
		"an Update applied twice after a conflict", "update.go",
		"	if sent(found) {\n", "	if sw.lost && sent(found) {\n",
		".", "TestUpdate_ConflictAlthoughApplied",
	},
	{
		"an Update on a slow store that reports a conflict", "update.go",
		"			if try == 0 && !errors.Is(why, ErrUncertain) {\n", "			if false {\n",
		".", "TestUpdate_ConflictAtTheTimeout",
	},
	{
		"a save repeated without reading the record", "outcome.go",
		"	return m.completeChange(ctx, rec, ch)\n", "	return m.store.Update(ctx, rec.ID, ch)\n",
		".", "TestSave_LostReply",
	},
	{
		"a save repeated without a guard", "outcome.go",
		"		again.If.Versions = ch.versions(found)\n", "",
		".", "TestSave_RepetitionIsGuarded",
	},
	{
		"an absent key treated as proof that a save was not applied", "outcome.go",
		"if was != 0 && is == was {", "if is == was {",
		".", "TestSave_LostReply",
	},
	{
		"a save that drops an unknown outcome", "save.go",
		"		s.keepAttempt(ch, token{})\n", "",
		".", "TestSave_AgainAfterUnknownOutcome",
	},
	{
		"a renewal that drops an unknown outcome", "renew.go",
		"		s.keepAttempt(ch, next)\n", "",
		".", "TestSave_AgainAfterUnknownOutcome",
	},
	{
		"a write that only one server shows", "outcome.go",
		"	if c, ok := m.store.(Confirmer); ok {", "	if c, ok := m.store.(Confirmer); ok && false {",
		".", "TestConfirm",
	},
	{
		"a denied write that only one server shows", "outcome.go",
		"		if err != nil || !shows(found) {", "		if true {",
		".", "TestConfirm",
	},
	{
		"a store call that holds the lock of readers", "save.go",
		"	err := s.m.sendChange(ctx, rec, ch)\n	s.mu.Lock()\n", "	s.mu.Lock()\n	err := s.m.sendChange(ctx, rec, ch)\n",
		".", "TestCallbacks_ReadTheSession",
	},
	{
		"a marker that is never trimmed", "revoke.go",
		"	r.trim(now)\n", "",
		".", "TestRevoke_MarkerSize",
	},
	{
		"a marker that ignores the IDs it drops", "revoke.go",
		"		r.NotBefore = max(r.NotBefore, at)\n", "",
		".", "TestRevoke_MarkerSize",
	},
	{
		"a revocation by a wrong clock that is never corrected", "revoke.go",
		"	if r.correct(m.now()) {", "	if false {",
		".", "TestRevokeAll_ClockAhead",
	},
	{
		"an expired session that is not reported", "admit.go",
		"				s.lapsed = true\n", "",
		".", "TestExpired",
	},
	{
		"a lifetime longer than any cookie's", "config.go",
		"c.checkRange(\"WithLifetime\", c.lifetime, time.Second, maxCookieAge)", "c.checkRange(\"WithLifetime\", c.lifetime, time.Second, 10*maxCookieAge)",
		".", "TestLifetime_LongerThanCookies",
	},
}

// encryption contains mutations of the encryption of values.
var encryption = []mutation{
	{
		"a value that may be moved to another key", "encrypt.go",
		"	s.additional = append(append(s.additional[:0], data[:headerSize]...), name...)\n", "	s.additional = append(s.additional[:0], data[:headerSize]...)\n",
		".", "TestWithEncryption_Forgery",
	},
	{
		"no additional data at all", "encrypt.go",
		"	s.additional = append(append(s.additional[:0], data[:headerSize]...), name...)\n", "",
		".", "TestWithEncryption_Forgery",
	},
	{
		"one key for all records", "encrypt.go",
		"append(append(s.info[:len(encryptionInfo)], record[:]...), 1)", "append(s.info[:len(encryptionInfo)], 1)",
		".", "TestWithEncryption_Forgery|TestWithEncryption_Format",
	},
	{
		"a constant nonce", "encrypt.go",
		"	rand.Read(nonce)\n", "	rand.Read(nil)\n",
		".", "TestWithEncryption_Format",
	},
	{
		"an accepted secret that does not decrypt", "encrypt.go",
		"	err := errSealed\n	for i := range m.keys {\n", "	err := errSealed\n	for i := range m.keys[:1] {\n",
		".", "TestWithEncryption_RotationOfTheSecret",
	},
	{
		"a value encrypted again over a concurrent write", "encrypt.go",
		"		ch.If.Versions[name] = v.Version\n", "",
		".", "TestWithEncryption_SignInBesideAWrite",
	},
	{
		"a sign-in that leaves plain values", "renew.go",
		"		s.encryptAgain(ch, rec)\n", "",
		".", "TestWithEncryption_SwitchedOnAndOff",
	},
	{
		"a value that is overwritten without being read", "pending.go",
		"	if old, ok := s.value(name); ok && s.m.sealed(old) && val.Version != 0 {\n		return errSealed\n	}\n", "",
		".", "TestWithEncryption_WithoutTheSecret",
	},
	{
		"an Update that stores plain text", "update.go",
		"	stored := s.m.protect(rec.ID, sw.name, next)\n", "	stored := next\n",
		".", "TestWithEncryption_EveryWrite",
	},
	{
		"a save that stores plain text", "pending.go",
		"ch.Set[name] = s.m.protect(record, name, v)", "ch.Set[name] = v",
		".", "TestWithEncryption_EveryWrite",
	},
}
