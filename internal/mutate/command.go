package main

// ofCommand contains mutations of cmd/session.
var ofCommand = []mutation{
	{
		"a purge of sessions used in the meantime", "cmd/session/internal/backend/purge.go",
		"}, filter...))", "}))",
		"cmd/session", "TestPurge_KeepsASessionUsedInTheMeantime",
	},
	{
		"a dry run that deletes", "cmd/session/purge.go",
		"	if yes {\n", "	if yes || n > 0 {\n",
		"cmd/session", "TestPurge_DryRunFirst",
	},
	{
		"a revocation without the Manager", "cmd/session/sessions.go",
		"	err := m.Revoke(ctx, rec.User, rec.ID)\n", "	err := b.Delete(ctx, rec.ID)\n",
		"cmd/session", "TestRevoke_NotesTheSessionInTheMarker",
	},
	{
		"a revocation of a marker", "cmd/session/sessions.go",
		"	case rec.Verifier == nil:\n", "	case false:\n",
		"cmd/session", "TestRevoke_RefusesAMarker",
	},
	{
		"values without --values", "cmd/session/show.go",
		"	if values {\n		k.setValue", "	if true {\n		k.setValue",
		"cmd/session", "TestShow_NamesAndSizes",
	},
	{
		"control characters in a terminal", "cmd/session/output.go",
		"case r == unicode.ReplacementChar || unicode.IsPrint(r):", "case r > 0 || unicode.IsPrint(r):",
		"cmd/session", "TestList_ControlCharacters",
	},
	{
		"a list by timeouts that are not the app's", "cmd/session/sessions.go",
		"		session.WithLifetime(longest),\n		session.WithIdleTimeout(longest),\n", "		session.WithLifetime(longest/100),\n",
		"cmd/session", "TestList_TimeoutsOfTheApp",
	},
	{
		"failures with exit code 0", "cmd/session/root.go",
		"		code, err = e.code, e.err\n", "		err = e.err\n",
		"cmd/session", "TestIndexes_CheckAndCreate",
	},
	{
		"a second barrier against secrets that is open", "cmd/session/redact.go",
		"		text = secrets.Hide(errors.New(text), os.Getenv(name), others...)\n", "		_ = secrets.Hide(errors.New(text), os.Getenv(name), others...)\n",
		"cmd/session", "TestRedact_SecretsOfTheEnvironment",
	},
	{
		"doctor misses a cookie that scripts can read", "cmd/session/internal/doctor/url.go",
		"	if !c.HttpOnly {\n", "	if false {\n",
		"cmd/session", "TestDoctorURL_Problems",
	},
	{
		"doctor misses a cache that hands out sessions", "cmd/session/internal/doctor/url.go",
		"other != nil && sameSession(other, set)", "other != nil && !sameSession(other, set)",
		"cmd/session", "TestDoctorURL_Problems",
	},
	{
		"doctor shows the password of a URL", "cmd/session/internal/doctor/url.go",
		"		if errors.As(err, &uerr) {\n", "		if errors.As(err, &uerr) && false {\n",
		"cmd/session", "TestDoctorURL_UnknownCertificate",
	},
}
