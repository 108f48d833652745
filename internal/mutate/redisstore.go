package main

// inRedis contains mutations of the store in Redis.
var inRedis = []mutation{
	{
		"a write that the client may repeat", "redisstore/command.go",
		"func (onceCmd) NoRetry() bool { return true }", "func (onceCmd) NoRetry() bool { return false }",
		"redisstore", "TestWrites_LostReplySentOnce",
	},
	{
		"a lost reply that is a failure", "redisstore/command.go",
		"		return nil, uncertain(err)\n", "		return nil, err\n",
		"redisstore", "TestWrites_LostReplySentOnce",
	},
	{
		"an unsent write that is uncertain", "redisstore/command.go",
		"if err != nil && (g.close() && !certain(err)) {", "if err != nil && !refused(err) {",
		"redisstore", "TestWrites_Unsent",
	},
	{
		"a refusal that is uncertain", "redisstore/errors.go",
		"	return refused(err) || unsent(err)\n", "	return unsent(err)\n",
		"redisstore", "TestWrites_Refused",
	},
	{
		"a refusal inside a script that is certain", "redisstore/errors.go",
		" && !strings.Contains(err.Error(), insideScript)", " || strings.Contains(err.Error(), insideScript)",
		"redisstore", "TestWrites_RefusedInsideAScript",
	},
	{
		"a call that outlives its context, on a connection of Open", "redisstore/interrupt.go",
		"		if ended := w.command.Err(); ended != nil {\n			return ended\n		}\n", "",
		"redisstore", "TestCalls_EndWithTheContext",
	},
	{
		"a call that outlives its context, on a connection of New", "redisstore/command.go",
		"	case ctx.Done() == nil:\n", "	case s.interrupter == nil:\n",
		"redisstore", "TestCalls_EndWithTheContext",
	},
	{
		"a write that does not wait for the replicas", "redisstore/replicas.go",
		"		case err == nil && ack.Val() < int64(s.replicas):\n", "		case false:\n",
		"redisstore", "TestFailover_ClusterWithReplicas|TestOpen_UnusableServer",
	},
	{
		"ASK that is not followed", "redisstore/replicas.go",
		"	return addr, false, asked\n", "	return addr, false, false\n",
		"redisstore", "TestWrites_Redirected",
	},
	{
		"an index that expires before its sessions", "redisstore/redisstore.go",
		"		if err := s.extend(ctx, id, deadline); err != nil {\n			return err\n		}\n", "",
		"redisstore", "TestExpiry_ByTheServer",
	},
	{
		"a member that is removed before its record is written", "redisstore/list.go",
		"time.Since(ticketTime(ticket)) > entryMargin", "time.Since(ticketTime(ticket)) > -entryMargin",
		"redisstore", "TestIndex_Pruned",
	},
	{
		"a member that no sign-out removes", "redisstore/redisstore.go",
		"		user, ticket := ownerOf(owner)\n		s.delist(ctx, user, id, ticket)\n", "		_ = owner\n",
		"redisstore", "TestIndex_KeepsOnlySessions",
	},
	{
		"an Update that creates a record", "redisstore/lua/update.lua",
		"  return -1\n", "\n",
		"redisstore", "TestStore_Server",
	},
	{
		"an Insert over another record", "redisstore/lua/insert.lua",
		"  return 0\n", "\n",
		"redisstore", "TestStore_Server",
	},
	{
		"an Update that removes unknown fields", "redisstore/lua/update.lua",
		"    if string.sub(field, 1, 2) == 'd:' and not kept[field] then", "    if field ~= 'v' and field ~= 'user' and not kept[field] then",
		"redisstore", "TestUpdate_KeepsUnknownFields",
	},
	{
		"a record without an expiry", "redisstore/lua/insert.lua",
		"  redis.call('PEXPIREAT', KEYS[1], ARGV[1])\n", "",
		"redisstore", "TestExpiry_ByTheServer",
	},
	{
		"an unread record that seems to be missing", "redisstore/list.go",
		"		if len(cmd.Val()) != len(fields) {\n", "		if false {\n",
		"redisstore", "TestLoadBatch_NoReply",
	},
	{
		"a password in an error", "redisstore/open.go",
		"target.hosts, secrets.Hide(err, url))", "url, err)",
		"redisstore", "TestOpen_UnusableServer",
	},
}
