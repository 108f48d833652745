package session_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
	"github.com/holdfast-go/session/mongostore"
)

func TestNewNamesEveryFault(t *testing.T) {
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
		"WithCodec(nil)", "WithLogger(nil)", "WithErrorHandler(nil)", "WithObserver(nil)",
		`WithCookieName("a b"): want a token of RFC 9110`,
		`WithCookieDomain("")`,
		`WithCookiePath("app"): want a path that begins with /`,
		"WithSameSite(1): want",
		"option 17 is nil",
	} {
		require.ErrorContains(t, err, want)
	}
	require.Len(t, strings.Split(err.Error(), "\n"), 19, err)
	require.NotContains(t, err.Error(), "short")
}

func TestNewRefuses(t *testing.T) {
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
			require.NotContains(t, err.Error(), "\n", "one fault, one line")
		})
	}
}

func TestPanicsSayWhatToDo(t *testing.T) {
	m := newManager(t, memstore.New())
	other := newManager(t, memstore.New(), session.WithCookieName("other"))
	same := newManager(t, memstore.New())
	two := func(f func(ctx context.Context)) func() {
		return func() {
			h := m.Wrap(other.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { f(r.Context()) })))
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}
	}
	s := must(m.Load(background, nil))
	for name, c := range map[string]struct {
		call func()
		want string
	}{
		"FromContext without Wrap":      {func() { session.FromContext(background) }, "wrap the handler with Manager.Wrap"},
		"of another manager":            {func() { m.FromContext(background) }, "wrap the handler with its Wrap"},
		"FromContext with two managers": {two(func(ctx context.Context) { session.FromContext(ctx) }), "use the FromContext method"},
		"TryFromContext with two":       {two(func(ctx context.Context) { session.TryFromContext(ctx) }), "use the FromContext method"},
		"zero manager":                  {func() { new(session.Manager).Wrap(http.NotFoundHandler()) }, "create it with session.New"},
		"nil manager":                   {func() { (*session.Manager)(nil).Wrap(http.NotFoundHandler()) }, "create it with session.New"},
		"one cookie name twice": {func() {
			m.Wrap(same.Wrap(http.NotFoundHandler())).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}, `one cookie name "__Host-session"`},
		"a key of two types": {func() { session.Key[int]("n").Set(s, 1); session.Key[string]("n").Get(s) }, `key "n" is used with type int (`},
		"a key of channels":  {func() { session.Key[chan int]("c").Get(s) }, `key "c" has type chan int, which the codec cannot encode`},
		"a key of functions": {func() { session.Key[struct{ F func() }]("f").Get(s) }, `key "f" has type struct { F func() }`},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				text, _ := recover().(string)
				require.Contains(t, text, c.want)
				require.True(t, strings.HasPrefix(text, "session: "), text)
			}()
			c.call()
		})
	}
	two(func(ctx context.Context) {
		require.NotSame(t, m.FromContext(ctx), other.FromContext(ctx))
	})()
}

func TestWrapTwiceIsWrapOnce(t *testing.T) {
	m := newManager(t, memstore.New())
	a, v := newApp(t, m, m.Wrap, m.Wrap), newVisitor(t)
	require.Len(t, v.login(a, "ann").Header["Set-Cookie"], 1)
	require.Equal(t, "ann", v.user(a))
}

// What is wrong with a call that returns no error replaces the page.
func TestFaultsReplaceThePage(t *testing.T) {
	for name, c := range map[string]struct {
		call   func(s *session.Session)
		want   string
		status int
	}{
		"unencodable":     {func(s *session.Session) { session.Key[float64]("f").Set(s, inf()) }, `key "f" (float64): cannot encode: json: unsupported value: +Inf`, 500},
		"empty key":       {func(s *session.Session) { session.Key[int]("").Set(s, 1) }, `key "" (int): a key's name must not be empty`, 500},
		"NUL in a key":    {func(s *session.Session) { session.Key[int]("a\x00b").Set(s, 1) }, `a key's name must not contain NUL: "a\x00b"`, 500},
		"broken UTF-8":    {func(s *session.Session) { session.Key[int]("a\xff").Delete(s) }, `a key's name must be valid UTF-8`, 500},
		"empty user":      {func(s *session.Session) { s.SignIn("") }, `SignIn: a user's name must not be empty`, 500},
		"broken user":     {func(s *session.Session) { s.SignIn("\xff") }, `SignIn: a user's name must be valid UTF-8`, 500},
		"idle > lifetime": {func(s *session.Session) { s.SetTimeouts(2*time.Hour, time.Hour) }, `SetTimeouts: idle 2h0m0s, lifetime 1h0m0s: want`, 500},
		"idle too short":  {func(s *session.Session) { s.SetTimeouts(1, time.Hour) }, `SetTimeouts: idle 1ns`, 500},
		"too large":       {func(s *session.Session) { color.Set(s, strings.Repeat("x", 70_000)) }, `data too large (70019 bytes, WithMaxSize is 65536)`, 500},
	} {
		t.Run(name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, store session.Store) {
				log := new(logs)
				a, v := newApp(t, newManager(t, store, log.option())), newVisitor(t)
				res := v.do(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
					shape.Set(s, "round")
					c.call(s)
					w.Header().Set("X-Page", "secret")
					w.Write([]byte("all is well"))
				})
				require.Equal(t, c.status, res.StatusCode)
				require.NotContains(t, res.body, "well")
				require.Empty(t, res.Header["X-Page"])
				require.Empty(t, res.Header["Set-Cookie"])
				require.Zero(t, sessions(t, store), "nothing of it is stored")
				text := strings.ReplaceAll(log.String(), `\"`, `"`)
				require.Contains(t, strings.ReplaceAll(text, `\\`, `\`), c.want)
				if name != "too large" {
					require.Contains(t, text, "badinput_test.go:")
				}
			})
		})
	}
}

func inf() float64 {
	zero := 0.0
	return 1 / zero
}

func TestUpdateReturnsItsFaults(t *testing.T) {
	s := must(newManager(t, memstore.New()).Load(background, nil))
	_, err := session.Key[int]("").Update(background, s, func(int) int { return 1 })
	require.ErrorContains(t, err, "a key's name must not be empty")
	require.Equal(t, 500, session.HTTPStatus(err))
	_, err = session.Key[float64]("f").Update(background, s, func(float64) float64 { return inf() })
	require.ErrorContains(t, err, "cannot encode")
	require.NoError(t, s.Save(background), "it was told already")
}

func TestDataMayShrinkBelowALoweredMaximum(t *testing.T) {
	store := memstore.New()
	a, v := newApp(t, newManager(t, store)), newVisitor(t)
	request(v, a, func(s *session.Session) { color.Set(s, strings.Repeat("x", 2000)) })
	b := newApp(t, newManager(t, store, session.WithMaxSize(1000)))
	cookie := v.cookies(a)
	ask := func(call func(s *session.Session)) int {
		return bare(t).do(b, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { call(s) }, "Cookie", cookie).StatusCode
	}
	require.Equal(t, 500, ask(func(s *session.Session) { shape.Set(s, "round") }))
	require.Equal(t, 200, ask(func(s *session.Session) { color.Set(s, strings.Repeat("x", 1500)) }))
	require.Equal(t, 200, ask(func(s *session.Session) { color.Set(s, "x"); shape.Set(s, "round") }))
}

func TestStoreErrorsAreAnsweredNotHidden(t *testing.T) {
	log := new(logs)
	store := &faulty{Store: memstore.New()}
	a, v := newApp(t, newManager(t, store, log.option())), newVisitor(t)
	v.login(a, "ann")
	store.fail("Load", errDown)
	ran := false
	res := v.do(a, func(http.ResponseWriter, *http.Request, *session.Session) { ran = true })
	require.False(t, ran)
	require.Equal(t, 503, res.StatusCode)
	require.Equal(t, "5", res.Header.Get("Retry-After"))
	require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	require.Empty(t, res.Header["Set-Cookie"])
	require.NotContains(t, res.body, "down")
	require.Contains(t, log.String(), "down")
	store.fail("Load", nil)
	require.Equal(t, "ann", v.user(a), "signed out by an outage")

	store.fail("Update", errDown)
	res = v.do(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		color.Set(s, "red")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(201)
		w.Write([]byte("{}"))
		require.ErrorIs(t, flush(w), errDown)
	})
	require.Equal(t, 503, res.StatusCode)
	require.NotContains(t, res.body, "{}")
	require.Equal(t, "text/plain; charset=utf-8", res.Header.Get("Content-Type"))
}

func TestErrorHandlerOfOnesOwn(t *testing.T) {
	store := &faulty{Store: memstore.New()}
	m := newManager(t, store, session.WithErrorHandler(func(w http.ResponseWriter, _ *http.Request, err error) {
		w.WriteHeader(session.HTTPStatus(err))
		w.Write([]byte("ours"))
	}), session.WithLogger(slog.New(slog.DiscardHandler)))
	a, v := newApp(t, m), newVisitor(t)
	store.fail("Insert", errDown)
	res := request(v, a, func(s *session.Session) { color.Set(s, "red") })
	require.Equal(t, 503, res.StatusCode)
	require.Equal(t, "ours", res.body)
}

func TestParseID(t *testing.T) {
	a, v := newApp(t, newManager(t, memstore.New())), newVisitor(t)
	var id session.ID
	request(v, a, func(s *session.Session) { s.SignIn("ann"); id = s.ID() })
	back, err := session.ParseID(id.String())
	require.NoError(t, err)
	require.Equal(t, id, back)
	require.Equal(t, byte('7'), id.String()[14], "UUIDv7")
	require.Contains(t, "89ab", id.String()[19:20], "variant of RFC 9562")
	require.Equal(t, `"`+id.String()+`"`, string(must(jsonMarshal(id))))
	for _, bad := range []string{"", "x", id.String()[1:], strings.ReplaceAll(id.String(), "-", "_"), strings.Repeat("z", 36), "0198f2a4-7c1e-7d3b-9a52-0c5de1f1a2bz"} {
		_, err := session.ParseID(bad)
		require.Error(t, err, bad)
	}
}
