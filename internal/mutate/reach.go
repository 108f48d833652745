package main

// reach are mutations of the look at all sessions and of long connections. Those of
// the change stream are caught only on a replica set (MONGO_URI).
var reach = []mutation{
	{
		"a marker that is shown", "inspect.go",
		"	case r.Verifier == nil:\n		return false\n", "",
		"memstore", "TestStore",
	},
	{
		"a marker that is counted", "mongostore/inspect.go",
		"		{Key: fieldVerifier, Value: bson.D{{Key: \"$type\", Value: binData}}},\n", "",
		"mongostore", "TestStore",
	},
	{
		"a cursor that stays open between two pages", "mongostore/inspect.go",
		".SetLimit(pageSize).SetBatchSize(pageSize+1)", ".SetBatchSize(pageSize)",
		"mongostore", "TestAll_Pages",
	},
	{
		"an iterator that ignores its context", "mongostore/inspect.go",
		"				err := ctx.Err()\n", "				var err error\n",
		"mongostore", "TestStore",
	},
	{
		"client options that set a timeout", "mongostore/client.go",
		"	if co.Timeout != nil {\n", "	if false {\n",
		"mongostore", "TestWithClientOptions_Refused",
	},
	{
		"a session that is judged during its own commit", "waitcheck.go",
		"	case wt.commits != commits: // the commit has made it due\n", "",
		".", "TestEnded_RenewalDuringTheRead",
	},
	{
		"a channel that does not follow its own commits", "save.go",
		"		defer s.m.waits.committed(s)\n", "",
		".", "TestEnded_OwnChanges|TestEnded_OwnSignOut|TestEnded_NotStored",
	},
	{
		"a store error treated as the end of a session", "waitcheck.go",
		"	case unread[id]:\n		w.due[wt] = true // at the next tick\n", "",
		".", "TestEnded_StoreFails",
	},
	{
		"a renewal elsewhere that a long connection ignores", "ended.go",
		"	return !s.owns(found, s.rec.Verifier) && !s.attempted(found)\n", "	return false\n",
		".", "TestEnded_EachEnding",
	},
	{
		"an own renewal with an unknown outcome treated as another's", "ended.go",
		" && !s.attempted(found)\n", "\n",
		".", "TestEnded_OwnRenewalWithUnknownOutcome",
	},
	{
		"a new watch without a read of all sessions", "waits.go",
		"		run.watching = watching\n		w.readAll()\n", "		run.watching = watching\n",
		".", "TestEnded_LostWatch",
	},
	{
		"a waiter that is not read when it begins to wait", "waits.go",
		"	w.read(wt)\n	return wt\n", "	return wt\n",
		".", "TestEnded_BeforeTheCall",
	},
	{
		"an expired session that is not read again while the store is watched", "waitcheck.go",
		"if all && !run.watching || !run.m.isLive(&wt.info, now) {", "if all && !run.watching || now.IsZero() {",
		".", "TestEnded_Timeouts",
	},
	{
		"goroutines that outlive the last waiter", "waits.go",
		"		w.run.stop()\n		w.run = nil\n", "		w.run = nil\n",
		".", "TestEnded_NoCallsWithoutWaiters",
	},
	{
		"a change stream without deletions", "mongostore/watch.go",
		"bson.A{\"insert\", \"update\"}", "bson.A{\"insert\", \"update\", \"delete\"}",
		"mongostore", "TestWatch_Events|TestStore",
	},
	{
		"a change stream with the verifier", "mongostore/watch.go",
		"{Key: \"documentKey\", Value: 1}}}},", "{Key: \"documentKey\", Value: 1}, {Key: \"updateDescription\", Value: 1}}}},",
		"mongostore", "TestWatch_Events",
	},
	{
		"a change stream that waits for a silent server", "mongostore/watch.go",
		"		err := within(ctx, s.silence,", "		err := within(ctx, time.Hour,",
		"mongostore", "TestWatch_SilentServer",
	},
}
