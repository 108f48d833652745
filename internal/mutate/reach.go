package main

// reach are mutations of the look at all sessions and of long connections.
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
}
