package session_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

func TestPanic_Messages(t *testing.T) {
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

func TestWrap_SameManagerTwice(t *testing.T) {
	m := newManager(t, memstore.New())
	a, v := newApp(t, m, m.Wrap, m.Wrap), newVisitor(t)
	require.Len(t, v.login(a, "ann").Header["Set-Cookie"], 1)
	require.Equal(t, "ann", v.user(a))
}

// An invalid call of a method that returns no error replaces the page.
func TestInvalidCall_ReplacesThePage(t *testing.T) {
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
				require.Zero(t, sessions(t, store), "nothing is stored")
				text := strings.ReplaceAll(log.String(), `\"`, `"`)
				require.Contains(t, strings.ReplaceAll(text, `\\`, `\`), c.want)
				if name != "too large" {
					require.Contains(t, text, "misuse_test.go:")
				}
			})
		})
	}
}

func inf() float64 {
	zero := 0.0
	return 1 / zero
}

func TestUpdate_InvalidCalls(t *testing.T) {
	s := must(newManager(t, memstore.New()).Load(background, nil))
	_, err := session.Key[int]("").Update(background, s, func(int) int { return 1 })
	require.ErrorContains(t, err, "a key's name must not be empty")
	require.Equal(t, 500, session.HTTPStatus(err))
	_, err = session.Key[float64]("f").Update(background, s, func(float64) float64 { return inf() })
	require.ErrorContains(t, err, "cannot encode")
	require.NoError(t, s.Save(background), "Update has returned the error already")
}
