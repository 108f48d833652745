package main

// express contains mutations of the sessions that continue those of another program.
var express = []mutation{
	{
		"an import with a random token", "import.go",
		"s.pend.token, s.extras().imported = imp.tokens[0], imp", "s.pend.token, s.extras().imported = token{id: newID(s.m.now()), secret: newSecret()}, imp",
		".", "TestImport_OneSessionForConcurrentRequests|TestImport_FailedSteps",
	},
	{
		"an import that keeps its own values beside the stored record", "insert.go",
		"		case lerr == nil && s.importing() != nil:\n			return s.adoptImported(found, lost)\n", "",
		".", "TestImport_OneSessionForConcurrentRequests|TestImport_Events",
	},
	{
		"an import that deletes a record which others have joined", "signin.go",
		"s.rec.id() != rec.ID && s.importing() == nil && s.m.deleteWithRetry", "s.rec.id() != rec.ID && s.m.deleteWithRetry",
		".", "TestImport_FailsBesideAnother",
	},
	{
		"an import that sets each cookie", "import.go",
		"	s.cookie = nil\n	if s.standing != current || s.m.now()", "	if s.standing != current || false && s.m.now()",
		".", "TestImport_Again|TestImport_OneSessionForConcurrentRequests",
	},
	{
		"an import although the browser withholds the cookie", "import.go",
		"	case s.withheldErr != nil:\n		return nil, s.withheldErr\n", "",
		".", "TestImport_WithheldCookie",
	},
	{
		"an import for a token client", "import.go",
		"	case s.carrier == byHeader:\n		return nil, ErrNotFound\n", "",
		".", "TestImport_TokenHeader",
	},
	{
		"an import that does not ask again", "import.go",
		"			return s.undoImport(ctx, imp, err)\n", "			return nil\n",
		".", "TestImport_UndoneByStored|TestImport_StoredFailsAfterJoining",
	},
	{
		"a sign-out before the one of the other program", "signout.go",
		"	if err := s.endCompanions(ctx); err != nil {\n		return err\n	}\n", "	defer s.endCompanions(ctx)\n",
		".", "TestOnEnd",
	},
	{
		"a sign-in as another user that leaves the other program", "signin.go",
		"		err = s.endCompanions(ctx)\n", "",
		".", "TestOnEnd",
	},
	{
		"a signature that is decoded", "express/cookie.go",
		"hmac.Equal([]byte(sign(id, secret)), []byte(signed[dot+1:]))", "sign(id, secret) == strings.TrimRight(signed[dot+1:], \"=\") && hmac.Equal(nil, nil)",
		"express", "TestCookie_Vectors|TestCookie_Hostile",
	},
	{
		"a plus in a cookie that becomes a space", "express/cookie.go",
		"url.PathUnescape(value)", "url.QueryUnescape(value)",
		"express", "TestCookie_Hostile|TestCookie_Vectors",
	},
	{
		"an Express session that moves again", "express/move.go",
		"	if old.stored.Mark == MarkMoved {\n		fill, mark = nil, nil\n	}\n", "",
		"express", "TestMove_OnlyOnce",
	},
	{
		"an Express session that is removed at once", "express/move.go",
		"!x.rollback && x.now().Before(info.CreatedAt.Add(x.delay))", "false",
		"express", "TestMove_RemovalDelay",
	},
	{
		"an ended Express session that moves in a late request", "express/move.go",
		"	if mark == MarkEnded {\n		return session.ErrNotFound\n	}\n", "	_ = mark\n",
		"express", "TestMove_BesideSignOut",
	},
	{
		"an Express session that comes back", "express/sessions.go",
		"err == nil && stored.Mark == MarkEnded", "false",
		"express", "TestEnd_SlowRequestOfExpress|TestMove_SignOutEndsBoth",
	},
	{
		"an end that deletes before it marks", "express/sessions.go",
		"	if _, err := x.store.Mark(ctx, id, MarkEnded); err != nil {\n		return unavailable(err)\n	}\n", "	defer x.store.Mark(ctx, id, MarkEnded)\n",
		"express", "TestEnd_StoreFails|TestMove_SignOutFails",
	},
	{
		"a mark that can be undone", "express/marks.go",
		"{Key: \"$max\", Value:", "{Key: \"$set\", Value:",
		"express", "TestMark_EndedStays",
	},
	{
		"a session without an end for any expires", "express/mongo.go",
		"	if t, ok := v.TimeOK(); ok && t.After(time.Now()) {", "	if t, ok := v.TimeOK(); !ok || t.After(time.Now()) {",
		"express", "TestLoad_ExpiredAndDamaged",
	},
	{
		"a session without a cookie", "express/session.go",
		"	if !ok {\n		return nil, fmt.Errorf(\"%w: it has no cookie\", ErrDamaged)\n	}\n", "	if !ok {\n		return s, nil\n	}\n",
		"express", "TestLoad_ExpiredAndDamaged|TestMove_DamagedSession",
	},
	{
		"a text written without a comparison", "express/mongowrite.go",
		"bson.D{{Key: fieldSession, Value: text}}", "nil",
		"express", "TestKeyUpdate_Parallel|TestWrite_BesideExpress",
	},
	{
		"a property written without a comparison", "express/mongowrite.go",
		"	if c.guarded {\n		guard = append(guard, unchanged(path, was, c.name)...)\n	}\n", "",
		"express", "TestKeyUpdate_Parallel|TestWrite_BesideExpress",
	},
	{
		"an array compared with its elements", "express/mongowrite.go",
		"equal = append(equal, bson.E{Key: \"$not\", Value: bson.D{{Key: \"$type\", Value: \"array\"}}})", "_ = equal",
		"express", "TestKeyUpdate_ComparesArraysExactly",
	},
	{
		"a write that creates a session", "express/mongowrite.go",
		"options.UpdateOne().SetUpsert(false)", "options.UpdateOne().SetUpsert(true)",
		"express", "TestWrite_BesideExpress",
	},
	{
		"a number that Express rounds", "express/tobson.go",
		"ok && !isExact(n)", "ok && isExact(n) && false",
		"express", "TestWrite_Refused",
	},
	{
		"kruptein without its MAC and tag", "express/kruptein.go",
		"	if !hmac.Equal(", "	if false && !hmac.Equal(",
		"express", "TestKruptein_Refused",
	},
	{
		"a padding of AES-CBC that is not checked", "express/webcrypto.go",
		"!ok || pad == 0 || int(pad) > iv", "!ok",
		"express", "TestWebCrypto_CBC",
	},
}
