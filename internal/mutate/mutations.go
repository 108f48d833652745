package main

// mutation replaces old by new in a file. One of the tests of package pkg must
// then fail. The field tests is a list of names separated by "|".
type mutation struct {
	name, file, old, new string
	pkg, tests           string
}

var mutations = []mutation{
	{
		"a renewal without the verifier's guard", "renew.go",
		"	ch.If.Verifier = s.secret.verifier()\n", "",
		".", "TestRenew_BesideSignIn|TestSignIn_DoubleClick",
	},
	{
		"a touch without the verifier's guard", "admit.go",
		"If:         Guard{Verifier: rec.Verifier, SeenBefore: due},", "If:         Guard{SeenBefore: due},",
		".", "TestTouch_AfterShorterTimeout",
	},
	{
		"an Update without the version's guard", "update.go",
		"ch := &Change{If: Guard{Versions: map[string]int64{sw.name: old.Version}}, Set:", "ch := &Change{Set:",
		".", "TestUpdate_Errors|TestUpdate_Parallel",
	},
	{
		"an update that creates", "mongostore/mongostore.go",
		"s.coll.UpdateOne(ctx, filter, update)", "s.coll.UpdateOne(ctx, filter, update, options.UpdateOne().SetUpsert(true))",
		"mongostore", "TestStore",
	},
	{
		"timeouts that hold only together", "expiry.go",
		"if !now.Before(i.ExpiresAt) || !now.Before(i.Deadline) {", "if !now.Before(i.Deadline) && !now.Before(i.ExpiresAt) {",
		".", "TestIdleTimeout_ToTheMillisecond|TestLifetime_NotExtendedByTouch",
	},
	{
		"configured timeouts that are ignored", "expiry.go",
		"return i.IdleTimeout > 0 ||", "return true ||",
		".", "TestTimeouts_LoweredByDeploy",
	},
	{
		"a verifier compared by its first byte", "admit.go",
		"return subtle.ConstantTimeCompare(r.Verifier, s.verifier()) == 1", "return subtle.ConstantTimeCompare(r.Verifier[:min(1, len(r.Verifier))], s.verifier()[:min(1, len(r.Verifier))]) == 1",
		".", "TestRevokeAll_MarkerIsNoSession|TestToken_Superseded|TestAdmit_RecordWithoutVerifier",
	},
	{
		"a token of any length", "cookie.go",
		"\t\tdefault:\n\t\t\tcontinue\n", "\t\tdefault:\n\t\t\tif len(raw) < tokenSize {\n\t\t\t\tcontinue\n\t\t\t}\n",
		".", "TestCookie_Hostile",
	},
	{
		"a commit after the body", "response.go",
		"func (w *response) Write(b []byte) (int, error) {\n	if w.begin() != nil {", "func (w *response) Write(b []byte) (int, error) {\n	defer w.begin()\n	if w.err != nil {",
		".", "TestResponse_EveryKind",
	},
	{
		"status 103 treated as the response", "response.go",
		"status >= 100 && status <= 199 && status != http.StatusSwitchingProtocols", "status == 100",
		".", "TestWriteHeader_EarlyHints|TestResponse_EveryKind",
	},
	{
		"a failed save that leaves the handler's headers", "response.go",
		"	clear(h)\n", "",
		".", "TestResponse_EveryKind",
	},
	{
		"a failed load treated as a missing session", "admit.go",
		"		case err != nil:\n			return AdmissionUnavailable, m.wrapStoreError(bctx, err)\n", "		case err != nil:\n			continue\n",
		".", "TestErrorPage_StoreFails",
	},
	{
		"a superseded token that may write", "save.go",
		"\tcase s.standing == superseded && p.signOut, s.needsSignIn() && p.user == \"\" && !p.signOut:\n\t\treturn ErrSuperseded\n", "",
		".", "TestToken_Superseded",
	},
	{
		"a superseded token treated as stale", "admit.go",
		"case s.admitted.Before(rec.RenewedAt.Add(grace)):", "case s.admitted.Before(rec.RenewedAt):",
		".", "TestToken_Superseded",
	},
	{
		"a reload past a renewal", "admit.go",
		"\tcase !s.owns(rec, s.rec.Verifier):\n\t\treturn ErrSuperseded\n", "",
		".", "TestReload",
	},
	{
		"a repeated compare past a sign-in", "update.go",
		"\tcase !owned:\n", "\tcase !owned && false:\n",
		".", "TestUpdate_Errors",
	},
	{
		"a concurrent request that joins the sign-in of any user", "renew.go",
		"|| found.User != user ||", "||",
		".", "TestRenew_BesideSignIn|TestToken_Superseded",
	},
	{
		"another user's sign-in that keeps the data", "session.go",
		"if is := s.owner(); is != \"\" && is != user {", "if is := s.owner(); is == \"nobody\" {",
		".", "TestSession_PendingChanges",
	},
	{
		"a sign-in that does not read the revocations", "signin.go",
		"\terr := s.m.checkRevoked(ctx, rec, since)\n", "\tvar err error\n",
		".", "TestRevokeAll_ConcurrentSignIn",
	},
	{
		"a revocation that refuses a sign-in of its own request", "revoke.go",
		"\tif revoked := time.Unix(0, s.revokedAt); revoked.After(s.admitted) {\n", "\tif revoked := time.Unix(0, s.revokedAt); false {\n",
		".", "TestRevokeAll_SameRequestMaySignIn",
	},
	{
		"a revocation with an earlier time than the last", "revoke.go",
		"max(r.NotBefore+1, now.UnixNano())", "now.UnixNano()",
		".", "TestRevokeAll_ConcurrentCalls",
	},
	{
		"a Revoke that writes no marker", "revoke.go",
		"if m.now().Sub(rec.SignedInAt) < markerLife {", "if false {",
		".", "TestRevoke_RepeatedInsert",
	},
	{
		"SignOut that leaves the other cookies' sessions", "signout.go",
		"s.endAll(ctx, append(s.others, s.rec.Info), \"\")", "s.endAll(ctx, []Info{s.rec.Info}, \"\")",
		".", "TestCookie_SeveralOfOneName",
	},
	{
		"a late change that is dropped", "response.go",
		"w.s.end(w.r.Context(), w.err == nil)", "w.s.end(w.r.Context(), false)",
		".", "TestLateChange_Outcomes",
	},
	{
		"a panic that saves", "middleware.go",
		"		res.abandon()\n", "		res.finish()\n",
		".", "TestPanic_DiscardsChanges",
	},
	{
		"a renewal for a client that is gone", "deliver.go",
		"	if w.s.changesToken() && w.clientGone() {", "	if w.s.changesToken() && false {",
		".", "TestClientGone",
	},
	{
		"an ended context treated as a client that is gone", "deliver.go",
		"	if err == nil {\n		return false\n	}\n	inner", "	if err != nil {\n		return true\n	}\n	inner",
		".", "TestContextEnds_ClientConnected",
	},
	{
		"a client treated as connected after a TimeoutHandler has responded", "deliver.go",
		"\"*http.timeoutWriter\"", "\"\"",
		".", "TestTimeoutHandler_CutsShort",
	},
	{
		"cache headers that depend on when the session is read", "header.go",
		"personal := s.accessed || s.standing != anonymous", "personal := s.accessed",
		".", "TestCacheHeaders_LateRead",
	},
	{
		"a deadline that undoes the cut", "response.go",
		"		return w.err // a later deadline would undo cutOff\n", "",
		".", "TestLateChange_DeadlinesOfTheHandler",
	},
	{
		"a Write that fails after an error page", "response.go",
		"	w.discarded += int32(min(n, maxDiscarded+1))\n	return n, nil\n", "	return 0, w.err\n",
		".", "TestErrorPage_Arrives",
	},
	{
		"an abort that cuts an error page", "middleware.go",
		"p != nil && p != http.ErrAbortHandler", "p != nil",
		".", "TestErrorPage_HandlerAborts",
	},
	{
		"an error response with status 200", "errorpage.go",
		"status: HTTPStatus(err)}", "status: http.StatusOK}",
		".", "TestWithErrorHandler_SetsNoStatus",
	},
	{
		"late changes that are saved only at the end", "response.go",
		"		if w.s.late.Load() {", "		if false {",
		".", "TestLateChange_StoredBeforeFurtherBytes",
	},
	{
		"a lost change that a recoverer hides", "response.go",
		"	if w.control().SetWriteDeadline(time.Unix(1, 0)) == nil {", "	if false {",
		".", "TestLateChange_FailedCommitCutsTheResponse",
	},
	{
		"an empty ReadFrom treated as the response", "response.go",
		"		if len(first) > 0 {", "		if true {",
		".", "TestResponse_CallsThatDoNotBegin",
	},
	{
		"a refused Flush treated as the response", "response.go",
		"	if first && errors.Is(err, http.ErrNotSupported) {", "	if first && errors.Is(err, http.ErrNotSupported) && false {",
		".", "TestResponse_CallsThatDoNotBegin",
	},
	{
		"a refused Hijack treated as the response", "response.go",
		"	case first:\n		w.s.reopen(false)\n", "",
		".", "TestResponse_CallsThatDoNotBegin",
	},
	{
		"a Hijack that loses the cookie", "response.go",
		"	if w.s.owesCookie() {\n		return nil, nil, ErrUndeliverable\n	}\n", "",
		".", "TestHijack",
	},
	{
		"a session cookie replaced by a cross-site request", "save.go",
		"	case s.creates() && p.user == \"\" && s.withheldErr != nil:\n		return s.withheldErr\n", "",
		".", "TestCrossSite_Requests",
	},
	{
		"a session started outside the cookie's path", "withheld.go",
		"	case m.outsidePath(r):\n		return ErrOutsidePath\n", "",
		".", "TestCookiePath_RequestOutside|TestCookiePath_StripPrefix",
	},
	{
		"a cookie path compared after StripPrefix", "withheld.go",
		"	path, _, _ := strings.Cut(r.RequestURI, \"?\")\n", "	path := r.URL.EscapedPath()\n",
		".", "TestCookiePath_StripPrefix",
	},
	{
		"keys with unescaped dots", "mongostore/bson.go",
		"return r == '%' || r == '.' || r == '$' ||", "return r == '%' || r == '$' ||",
		"mongostore", "TestStore|TestDocument",
	},
	{
		"a token in the database", "token.go",
		"	sum := sha256.Sum256(s[:])\n	return sum[:]\n", "	sum := [sha256.Size]byte(s)\n	return sum[:]\n",
		".", "TestFault16_TokensInDatabase",
	},
	{
		"a write acknowledged by one server only", "mongostore/mongostore.go",
		"SetWriteConcern(&writeconcern.WriteConcern{W: \"majority\", Journal: &journal})", "SetWriteConcern(&writeconcern.WriteConcern{W: 1, Journal: &journal})",
		"mongostore", "TestOpen_ConcernsOfTheURI",
	},
	{
		"a client address from an untrusted peer", "proxy.go",
		"if n++; !m.trusts(addr) || n > maxHops {", "if n++; n > maxHops {",
		".", "TestProduction_TrustedProxy",
	},
	{
		"a client address from another header", "proxy.go",
		"for hop := range backward(r.Header[m.forwarded]) {", "for hop := range backward(append(r.Header[m.forwarded], r.Header[\"X-Real-Ip\"]...)) {",
		".", "TestClientIP_OneHeaderCounts",
	},
	{
		"a client address with a zone", "proxy.go",
		"return addr.Unmap().WithZone(\"\")", "return addr.Unmap()",
		".", "TestClientIP_Hops",
	},
	{
		"a cookie that a CDN may cache", "header.go",
		"			if strings.HasSuffix(lower, \"-cache-control\") {", "			if false {",
		".", "TestCacheHeaders_ForCertainCaches",
	},
	{
		"a session of NewContext that is not committed", "middleware.go",
		"	s.request, s.wrapped = r, true\n", "	if true {\n		return false, nil\n	}\n",
		".", "TestWrap_AdoptsSessionOfNewContext",
	},
	{
		"a session that two Wraps commit", "middleware.go",
		"	case s.wrapped:\n		return false, nil\n", "",
		".", "TestWrap_InsideWrap",
	},
	{
		"a cookie without Secure", "options.go",
		"sameSite: http.SameSiteLaxMode, secure: true}", "sameSite: http.SameSiteLaxMode}",
		".", "TestProduction_Defaults",
	},
	{
		"a record without values", "pending.go",
		"	for _, v := range s.pend.values {\n		if v.Version != 0 {\n			return true\n		}\n	}\n", "	if len(s.pend.values) > 0 {\n		return true\n	}\n",
		".", "TestProduction_VisitorWithoutSession",
	},
	{
		"data larger than the maximum", "save.go",
		"	if size > m.maxSize && size > old {", "	if size > m.maxSize && size > old && false {",
		".", "TestInvalidCall_ReplacesThePage",
	},
	{
		"a value that is encoded without its address", "codec.go",
		"p.Kind() == reflect.Pointer {", "p.IsValid() {",
		".", "TestSet_ValuesThatComeBack",
	},
	{
		"a pointer that is encoded through a second one", "codec.go",
		"p.Kind() == reflect.Pointer {", "!p.IsValid() {",
		".", "TestCodec_Gob",
	},
	{
		"a codec's panic that ends the handler", "codec.go",
		"		if r := recover(); r != nil {\n", "		if r := any(nil); r != nil {\n",
		".", "TestCodec_Gob|TestCodec_Panics",
	},
	{
		"a codec that overwrites the stored data", "codec.go",
		"		data = bytes.Clone(data)\n", "		data = bytes.TrimSpace(data)\n",
		".", "TestCodec_DecodesInPlace",
	},
	{
		"a value stored without checking its text", "roundtrip.go",
		"!bytes.Contains(data, escapedRune) {", "!bytes.Contains(nil, escapedRune) {",
		".", "TestSet_ValuesThatDoNotComeBack",
	},
	{
		"a value that is stored although it cannot be decoded", "roundtrip.go",
		"	if err := m.callDecode(data, back.Interface()); err != nil {\n", "	if err := m.callDecode(data, back.Interface()); err != nil && false {\n",
		".", "TestSet_ValuesThatDoNotComeBack",
	},
	{
		"text that comes back changed", "roundtrip.go",
		"		return errNotUTF8\n", "		return nil\n",
		".", "TestSet_ValuesThatDoNotComeBack",
	},
	{
		"a refusal of text that comes back", "roundtrip.go",
		"	case got.notUTF8 < sent.notUTF8 && got.replaced > sent.replaced:\n", "	case sent.notUTF8 > 0:\n",
		".", "TestSet_ValuesThatComeBack|TestCodec_Gob",
	},
	{
		"a refusal of a field that a tag omits", "roundtrip.go",
		" || strings.Contains(string(field.Tag), `:\"-\"`) {", " || strings.Contains(string(field.Tag), `:\"--\"`) {",
		".", "TestSet_ValuesThatComeBack",
	},
	{
		"a struct that comes back empty", "roundtrip.go",
		"	case got.hidden < sent.hidden:\n", "	case got.hidden < sent.hidden-1000:\n",
		".", "TestSet_ValuesThatDoNotComeBack",
	},
	{
		"an integer that comes back rounded", "roundtrip.go",
		"		return errRounded\n", "		return nil\n",
		".", "TestSet_ValuesThatDoNotComeBack",
	},
	{
		"a key of a type that JSON cannot store", "key.go",
		"	if t := deref(typ); m.isJSON() {\n", "	if t := deref(typ); m.isJSON() && false {\n",
		".", "TestKey_TypesThatJSONCannotStore",
	},
	{
		"an ID that JSON cannot read", "id.go",
		"		*id = parsed\n", "		_ = parsed\n",
		".", "TestID_Text|TestSet_ValuesThatComeBack",
	},
	{
		"data above the maximum that cannot shrink", "save.go",
		"	if size > m.maxSize && size > old {", "	if size > m.maxSize {",
		".", "TestWithMaxSize_ConcurrentRequests|TestWithMaxSize_Lowered",
	},
	{
		"a refusal of an integer that is not rounded", "roundtrip.go",
		"bits.Len64(n)-bits.TrailingZeros64(n) > 53", "bits.Len64(n) > 53",
		".", "TestSet_ValuesThatComeBack",
	},
	{
		"a refusal of a struct with a locked mutex", "roundtrip.go",
		" && !hasMethod(t, lockMethods) {", " {",
		".", "TestSet_ValuesThatComeBack",
	},
	{
		"an Update that is repeated without knowing its outcome", "mongostore/mongostore.go",
		"	return s.do(ctx, unapplied, func(ctx context.Context) error {\n		res, err := s.coll.UpdateOne(", "	return s.do(ctx, passing, func(ctx context.Context) error {\n		res, err := s.coll.UpdateOne(",
		"mongostore", "TestWrite_LostReplyIsNotRepeated",
	},
	{
		"any response of the server treated as a refusal", "mongostore/errors.go",
		"	return len(codes) > 0 && !slices", "	return len(codes) > 0 || !slices",
		"mongostore", "TestWriteOutcome",
	},
	{
		"a refused second attempt treated as a refusal", "mongostore/errors.go",
		"labeled.HasErrorLabel(\"NetworkError\")) {\n		return false\n", "labeled.HasErrorLabel(\"NetworkError\")) && false {\n		return false\n",
		"mongostore", "TestWriteOutcome",
	},
	{
		"a document that is too large for the driver", "mongostore/errors.go",
		"	if errors.Is(err, driver.ErrDocumentTooLarge) {", "	if errors.Is(err, driver.ErrDocumentTooLarge) && false {",
		"mongostore", "TestWrite_TooLargeForTheDriver",
	},
	{
		"a document too large, reported only by its error code", "mongostore/errors.go",
		"server.HasErrorCodeWithMessage(code, \"too large\") ||", "false ||",
		"mongostore", "TestWriteOutcome",
	},
	{
		"a deletion that relies on the server's count", "mongostore/mongostore.go",
		"if err == nil && res.DeletedCount == 0 {", "if err == nil && res.DeletedCount < 0 {",
		"mongostore", "TestDelete_UntilTheRecordIsGone",
	},
	{
		"a store inside the caller's transaction", "mongostore/attempts.go",
		"	return repeat(mongoctx.New(ctx), skip, again, op)", "	_ = mongoctx.New\n	return repeat(ctx, skip, again, op)",
		"mongostore", "TestStore_IgnoresTheDriversSession|TestStore_InsideATransaction",
	},
	{
		"a load inside the caller's transaction", "mongostore/mongostore.go",
		"	return s.loadAlone(mongoctx.New(ctx), id)", "	return s.loadAlone(ctx, id)",
		"mongostore", "TestStore_IgnoresTheDriversSession|TestStore_InsideATransaction",
	},
	{
		"a batch that is not counted", "mongostore/batch.go",
		"	s.flight.Add(1) // never refused: its callers have been admitted\n", "",
		"mongostore", "TestBatchedLoads_CountTowardsMaxInFlight",
	},
	{
		"a record that two callers share", "mongostore/batch.go",
		"decodeRecord(id, bytes.Clone(raw))", "decodeRecord(id, raw)",
		"mongostore", "TestBatchedLoads_CallersOwnTheirRecords",
	},
	{
		"a confirmation without a majority", "mongostore/confirm.go",
		"	case err != nil:\n		return nil, err\n	case (res", "	case err != nil:\n		return raw, nil\n	case (res",
		"mongostore", "TestConfirm_WaitsForAMajority",
	},
	{
		"a confirmation by a primary that never had the record", "mongostore/confirm.go",
		"		filter = filterSame(raw)\n", "",
		"mongostore", "TestConfirm_ReadsAgainAfterAFailover",
	},
	{
		"a list that includes users equal by the collection's collation", "mongostore/mongostore.go",
		"rec.User == user {", "rec.User != \"\" {",
		"mongostore", "TestList_OtherUsersAreLeftOut",
	},
	{
		"a query with the collection's collation", "mongostore/mongostore.go",
		"		opts.SetCollation(simple)\n", "",
		"mongostore", "TestList_UsesTheSimpleCollation",
	},
	{
		"an index with the collection's collation", "mongostore/indexes.go",
		"			opts.SetCollation(simple)\n", "",
		"mongostore", "TestOpen_UserIndexHasTheSimpleCollation",
	},
	{
		"an index error that does not name the index", "mongostore/indexes.go",
		"		return false, s.indexError(indexUser, err)\n", "		return false, err\n",
		"mongostore", "TestOpen_IndexErrorsNameTheIndex",
	},
	{
		"a plain index that is not replaced by a TTL index", "mongostore/indexes.go",
		"server.HasErrorCode(codeInvalidOptions) {", "server.HasErrorCode(codeInvalidOptions) && false {",
		"mongostore", "TestOpen_PlainIndexThatCannotBecomeTTL",
	},
	{
		"a renewal without a sign-in that joins another one", "renew.go",
		"	if user == \"\" || found.User != user ||", "	if user == \"\" {\n		user = s.rec.User\n	}\n	if found.User != user ||",
		"internal/model", "TestTimeouts",
	},
	{
		"a sign-in that joins an old renewal", "renew.go",
		" || !s.m.now().Before(found.RenewedAt.Add(grace)) {", " || !s.m.now().Before(found.RenewedAt.Add(24*grace)) {",
		"internal/model", "TestTimeouts",
	},
	{
		"an incomplete sign-in that returns only its error", "signin.go",
		"		return s.leaveUnsettled(ctx, rec, t, since, left, err)\n	}\n	s.mu.Lock()\n", "		return err\n	}\n	s.mu.Lock()\n",
		"internal/model", "TestPairs_InAnOutage",
	},
	{
		"an incomplete sign-in whose token is not unsettled", "signin.go",
		"	t.unsettled = since.UnixNano()\n	c, err :=", "	c, err :=",
		"internal/model", "TestPairs_InAnOutage",
	},
	{
		"a revoked sign-in that stays in the request", "signin.go",
		"		if known {\n			s.forget()\n		}\n", "",
		"internal/model", "TestPairs_InAnOutage",
	},
	{
		"a sign-in refused after its session has ended", "save.go",
		"	if p.user == \"\" || !errors.Is(err, ErrNotFound) {\n", "	if true {\n",
		"internal/model", "TestPairs_InAnOutage",
	},
	{
		"an Update that reads values from after a sign-in", "admit.go",
		"	return bytes.Equal(rec.Verifier, before) || bytes.Equal(rec.Verifier, s.rec.Verifier)\n", "	return rec.User == s.rec.User || bytes.Equal(rec.Verifier, before)\n",
		"internal/model", "TestPairs_Repeat",
	},
	{
		"a queue of Updates that ignores a sign-in", "update.go",
		"bytes.Equal(turn.verifier, rec.Verifier) {", "(turn.verifier != nil || bytes.Equal(turn.verifier, rec.Verifier)) {",
		"internal/model", "TestPairs_InOneProcess",
	},
	{
		"a write that is repeated although it may have been applied", "outcome.go",
		"		case o == unknown && !refused:\n", "		case o == unknown && !refused && len(ch.Set) == 0:\n",
		"internal/model", "TestPairs_Repeat",
	},
	{
		"a Clear that is repeated after it was applied", "outcome.go",
		"	if left == 0 && len(ch.Set) == 0 {\n		return applied //", "	if len(ch.Set) == 0 {\n		return notApplied //",
		"internal/model", "TestPairs_Repeat",
	},
	{
		"a Save that ignores the attempt of an earlier one", "save.go",
		"	if a == nil || s.rec == nil {\n		return nil\n	}\n	if a.next", "	if a == nil || s.rec == nil || true {\n		return nil\n	}\n	if a.next",
		"internal/model", "TestPairs_Repeat",
	},
	{
		"a pending Update over a value that another goroutine has saved", "update.go",
		"	if is, _ := s.value(name); !s.updatesPending(name) || is.Version != old.Version {\n", "	if is, _ := s.value(name); is.Version != old.Version && false {\n",
		"internal/model", "TestGoroutines_OneRequest",
	},
	{
		"an Update that a Reload hides", "update.go",
		"		rec.put(sw.name, is)\n		sw.turn.last", "		sw.turn.last",
		"internal/model", "TestGoroutines_OneRequest",
	},
}
