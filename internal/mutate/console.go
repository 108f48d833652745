package main

// pages are mutations of package console.
var pages = []mutation{
	{
		"a console for everybody", "console/route.go",
		"	if access != ReadOnly && access != FullAccess {\n", "	if false {\n",
		"console", "TestConsole_Unauthorized",
	},
	{
		"a right that is not known", "console/route.go",
		"access != ReadOnly && access != FullAccess", "access == NoAccess",
		"console", "TestConsole_Unauthorized",
	},
	{
		"an operator with read-only access who ends sessions", "console/route.go",
		"	case q.access != FullAccess:\n", "	case false:\n",
		"console", "TestConsole_ReadOnly",
	},
	{
		"a form of another site", "console/route.go",
		"q.r.Header.Get(\"Sec-Fetch-Site\") != \"same-origin\"", "q.r.Header.Get(\"Sec-Fetch-Site\") == \"cross-site\"",
		"console", "TestConsole_CrossSite",
	},
	{
		"a form for devices of another site", "console/devices.go",
		"return err == nil && origin.Host != \"\" && origin.Host == r.Host", "return err == nil && len(origin.Host) >= len(r.Host) && origin.Host[:len(r.Host)] == r.Host",
		"console", "TestDevices_CrossSite",
	},
	{
		"a page of any record", "console/pages.go",
		"	if _, err := q.sessions.LoadID(q.r.Context(), id); err != nil {\n", "	if _, err := q.sessions.LoadID(q.r.Context(), id); false {\n",
		"console", "TestConsole_Marker",
	},
	{
		"a style without its hash", "console/secure.go",
		"'sha256-\"+base64.StdEncoding.EncodeToString(sum[:])+\"'", "'unsafe-inline'\"+base64.StdEncoding.EncodeToString(sum[:0])+\"",
		"console", "TestConsole_Headers",
	},
	{
		"an end that is not logged", "console/actions.go",
		"		q.log.InfoContext(q.r.Context(), \"console: operator ended a session\", \"operator\", q.operator, \"user\", user, \"session\", id)\n", "",
		"console", "TestConsole_End",
	},
	{
		"a session of any user that ends", "console/devices.go",
		"err = d.sessions.Revoke(r.Context(), s.User(), id)", "x, _ := d.sessions.LoadID(r.Context(), id)\n\t\terr = d.sessions.Revoke(r.Context(), x.User(), id)",
		"console", "TestDevices_EndOne",
	},
	{
		"a list of events without a maximum", "console/events.go",
		"	if len(*l) >= maxEvents {\n", "	if false {\n",
		"console", "TestRecorder_EventsAreBounded",
	},
	{
		"calls of the hour before", "console/series.go",
		"		if at.number != number {\n", "		if false {\n",
		"console", "TestRecorder_Calls",
	},
}
