package session_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
	"github.com/holdfast-go/session/mongostore"
)

func TestNew_ReportsEveryProblem(t *testing.T) {
	var typedNil *mongostore.Store
	_, err := session.New(
		typedNil, "short",
		session.WithAcceptedSecrets("", strings.Repeat("x", 40)),
		session.WithIdleTimeout(40*24*time.Hour),
		session.WithAnonymousIdleTimeout(0),
		session.WithTouchInterval(50*24*time.Hour),
		session.WithStoreTimeout(time.Hour),
		session.WithMaxSize(0),
		session.WithMaxPerUser(0),
		session.WithTrustedProxies(netip.Prefix{}),
		session.WithCodec(nil),
		session.WithLogger(nil),
		session.WithErrorHandler(nil),
		session.WithObserver(nil),
		session.WithTracer(nil),
		session.WithCookieName("a b"),
		session.WithCookieDomain(""),
		session.WithCookiePath("app"),
		session.WithSameSite(http.SameSiteDefaultMode),
		nil,
	)
	require.Error(t, err)
	for _, want := range []string{
		"the store is nil; open one with mongostore.Open",
		"New: the secret (often the environment variable SESSION_SECRET) has 5 bytes, want at least 32; make one with: openssl rand -base64 32",
		"WithAcceptedSecrets: secret 2 is one repeated byte",
		"WithIdleTimeout(960h0m0s): want 1s to 720h0m0s",
		"WithAnonymousIdleTimeout(0s): want 1s to 720h0m0s",
		"WithTouchInterval(1200h0m0s): want 0s to ",
		"WithStoreTimeout(1h0m0s): want 10ms to 10m0s",
		"WithMaxSize(0): want 1 to 15728640 bytes",
		"WithMaxPerUser(0): want 1 to 10000",
		"WithTrustedProxies: a prefix is invalid",
		"WithCodec(nil)", "WithLogger(nil)", "WithErrorHandler(nil)", "WithObserver(nil)", "WithTracer(nil)",
		`WithCookieName("a b"): want a token of RFC 9110`,
		`WithCookieDomain("")`,
		`WithCookiePath("app"): want a path that begins with /`,
		"WithSameSite(1): want",
		"option 18 is nil",
	} {
		require.ErrorContains(t, err, want)
	}
	require.Len(t, strings.Split(err.Error(), "\n"), 20, err)
	require.NotContains(t, err.Error(), "short")
}

func TestNew_InvalidOptions(t *testing.T) {
	store := memstore.New()
	for name, c := range map[string]struct {
		store  session.Store
		secret string
		opts   []session.Option
		want   string
	}{
		"no store":                   {nil, secret, nil, "the store is nil"},
		"no secret":                  {store, "", nil, "SESSION_SECRET) is empty"},
		"one repeated byte":          {store, strings.Repeat("a", 64), nil, "is one repeated byte"},
		"lifetime too short":         {store, secret, []session.Option{session.WithLifetime(time.Millisecond)}, "WithLifetime(1ms)"},
		"lifetime too long":          {store, secret, []session.Option{session.WithLifetime(20 * 365 * 24 * time.Hour)}, "WithLifetime("},
		"none without secure":        {store, secret, []session.Option{session.DangerouslyAllowHTTP(), session.WithSameSite(http.SameSiteNoneMode)}, "SameSite=None without Secure"},
		"partitioned without secure": {store, secret, []session.Option{session.DangerouslyAllowHTTP(), session.WithPartitioned()}, "Partitioned without Secure"},
		"host prefix with domain":    {store, secret, []session.Option{session.WithCookieName("__Host-s"), session.WithCookieDomain("example.com")}, "__Host- cookie"},
		"host prefix with path":      {store, secret, []session.Option{session.WithCookieName("__HOST-s"), session.WithCookiePath("/app")}, "__Host- cookie"},
		"host prefix without secure": {store, secret, []session.Option{session.WithCookieName("__Host-s"), session.DangerouslyAllowHTTP()}, "__Host- cookie"},
		"secure prefix over http":    {store, secret, []session.Option{session.WithCookieName("__secure-s"), session.DangerouslyAllowHTTP()}, "__Secure- cookie"},
		"no cookie name":             {store, secret, []session.Option{session.WithCookieName("")}, "WithCookieName"},
		"long cookie name":           {store, secret, []session.Option{session.WithCookieName(strings.Repeat("n", 4000))}, "want at most 3936"},
		"domain with a scheme":       {store, secret, []session.Option{session.WithCookieDomain("https://example.com")}, "WithCookieDomain"},
		"path with a semicolon":      {store, secret, []session.Option{session.WithCookiePath("/a;b")}, "WithCookiePath"},
		"too many per user":          {store, secret, []session.Option{session.WithMaxPerUser(10_001)}, "WithMaxPerUser(10001)"},
		"too large":                  {store, secret, []session.Option{session.WithMaxSize(16 << 20)}, "WithMaxSize(16777216)"},
		"negative touch interval":    {store, secret, []session.Option{session.WithTouchInterval(-time.Second)}, "WithTouchInterval(-1s)"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := session.New(c.store, c.secret, c.opts...)
			require.Nil(t, m)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "\n", "one problem, one line")
		})
	}
}
