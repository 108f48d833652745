package main

// tokenHeader breaks WithTokenHeader.
var tokenHeader = []mutation{
	{
		"a cookie that counts beside an empty token header", "carrier.go",
		"if found, ok := s.m.header.values(values, r); ok {", "if found, ok := s.m.header.values(values, r); ok && len(found) > 0 {",
		".", "TestWithTokenHeader_BesideCookie",
	},
	{
		"a cookie for a token client", "carrier.go",
		"	if s.carrier == byCookie {\n		setCookie(h, s.cookie)", "	if s.cookie != nil {\n		setCookie(h, s.cookie)",
		".", "TestWithTokenHeader_Life",
	},
	{
		"a token header in the response to a cookie", "carrier.go",
		"		setCookie(h, s.cookie)\n		return\n", "		setCookie(h, s.cookie)\n		if !s.m.header.on {\n			return\n		}\n",
		".", "TestWithTokenHeader_BesideCookie",
	},
	{
		"every scheme of Authorization read as a token", "tokenheader.go",
		"return rest, strings.EqualFold(scheme, \"Bearer\")", "return rest, scheme != \"\"",
		".", "TestWithTokenHeader_OtherSchemes",
	},
	{
		"the last of several token headers counts", "tokenheader.go",
		"case n > 1 || strings.ContainsAny", "case strings.ContainsAny",
		".", "TestWithTokenHeader_Hostile",
	},
	{
		"line ends in a token header", "tokenheader.go",
		"case n > 1 || strings.ContainsAny(value, \"\\r\\n\"):", "case n > 1:",
		".", "TestWithTokenHeader_Hostile",
	},
	{
		"a client that does not learn that its session is lost", "carrier.go",
		"s.refused = s.carrier == byHeader && len(values) > 0 && s.standing == anonymous", "s.refused = s.carrier == byHeader && len(values) < 0",
		".", "TestWithTokenHeader_LostSession",
	},
	{
		"a superseded token reported as lost", "carrier.go",
		"len(values) > 0 && s.standing == anonymous", "len(values) > 0 && s.standing != current",
		".", "TestWithTokenHeader_LostSession",
	},
	{
		"a page for cookies that caches give to token clients", "carrier.go",
		"return c.header.vary", "return \"Cookie\"",
		".", "TestWithTokenHeader_CacheHeaders",
	},
	{
		"a page for token clients that varies by the cookie", "carrier.go",
		"return c.header.request", "return \"Cookie\"",
		".", "TestWithTokenHeader_CacheHeaders",
	},
	{
		"cross-site rules for a token header", "carrier.go",
		"		return found\n", "		s.withheldErr = s.m.checkWithheld(r)\n		return found\n",
		".", "TestWithTokenHeader_CrossSite",
	},
	{
		"a cookie returned to the handler of a token client", "session.go",
		"s.cookie == nil || s.carrier == byHeader", "s.cookie == nil",
		".", "TestWithTokenHeader_Hijack",
	},
	{
		"an adopted session that ignores the token header", "middleware.go",
		"	s.receive(nil, r)\n	if s.standing != anonymous {", "	s.receive(nil, r)\n	if s.standing >= anonymous {",
		".", "TestLoad_InFrontOfWrapWithTokenHeader",
	},
	{
		"an adopted session whose cookie becomes a header", "middleware.go",
		"	s.receive(nil, r)\n	if s.standing != anonymous {", "	s.receive(nil, r)\n	if s.standing < anonymous {",
		".", "TestLoad_InFrontOfWrapWithTokenHeader",
	},
	{
		"an adopted session judged by a request that a gateway has changed", "middleware.go",
		"	if known {\n", "	if !known {\n",
		".", "TestLoadRequest_InFrontOfWrap",
	},
	{
		"two managers with one token header", "middleware.go",
		"if name := m.header.shared(&c.s.m.header); name != \"\" {", "if name := m.header.shared(&c.s.m.header); name == \"-\" {",
		".", "TestWithTokenHeader_TwoManagers",
	},
	{
		"a new token in early hints", "carrier.go",
		"		delete(h, s.m.header.response)\n", "		_ = h\n",
		".", "TestWithTokenHeader_Promises",
	},
	{
		"a token header without the names of browsers refused", "tokenheader.go",
		"return slices.Contains(reservedNames, name) ||", "return",
		".", "TestNew_TokenHeader",
	},
	{
		"a gateway without the rules for cross-site requests", "manager.go",
		"	if err := s.admitRequest(r); err != nil {\n		return nil, err\n	}\n	return s, nil\n", "	if err := s.admitRequest(r); err != nil {\n		return nil, err\n	}\n	s.withheldErr = nil\n	return s, nil\n",
		".", "TestLoadRequest_CrossSite",
	},
}
