package session_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// loaded puts a session into the context of each request before Wrap runs, like
// a gateway that reads the token from another place.
func loaded(t *testing.T, load func(r *http.Request) *session.Session) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(session.NewContext(r.Context(), load(r))))
		})
	}
}

func TestWrap_AdoptsSessionOfNewContext(t *testing.T) {
	store := newFaulty()
	m := newManager(t, store)
	a := newApp(t, m, loaded(t, func(r *http.Request) *session.Session { return must(m.Load(r.Context(), r.Cookies())) }))
	v := newVisitor(t)
	res := request(v, a, func(s *session.Session) { color.Set(s, "red") })
	require.NotNil(t, res.setCookie(host))
	res = request(v, a, func(s *session.Session) { visits.Set(s, 7) })
	require.Empty(t, res.Header["Set-Cookie"])
	require.Equal(t, "private", res.Header.Get("Cache-Control"))
	v.login(a, "ann")
	user, n, col := v.see(a)
	require.Equal(t, "ann", user)
	require.Equal(t, 7, n)
	require.Equal(t, "red", col)
	store.fail("Update", errDown)
	require.Equal(t, 503, request(v, a, func(s *session.Session) { color.Set(s, "blue") }).StatusCode)
	store.fail("Update", nil)
	require.Panics(t, func() {
		r := httptest.NewRequest("GET", "/", nil)
		loaded(t, func(r *http.Request) *session.Session {
			return must(m.Load(r.Context(), v.Jar.Cookies(must(http.NewRequest("GET", a.URL, nil)).URL)))
		})(
			m.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				color.Set(session.FromContext(r.Context()), "blue")
				panic("boom")
			}))).ServeHTTP(httptest.NewRecorder(), r)
	})
	_, _, col = v.see(a)
	require.Equal(t, "red", col)
}

// Wrap also checks an adopted session for a cookie withheld by the browser.
func TestWrap_AdoptsSessionOfNewContext_CrossSite(t *testing.T) {
	m := newManager(t, memstore.New())
	a := newApp(t, m, loaded(t, func(r *http.Request) *session.Session { return must(m.Load(r.Context(), r.Cookies())) }))
	res := bare(t).do(a, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { color.Set(s, "red") },
		"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors")
	require.Equal(t, 403, res.StatusCode)
}

func TestWrap_AdoptsSessionOfLoadID(t *testing.T) {
	store := memstore.New()
	m := newManager(t, store)
	a, v := newApp(t, m), newVisitor(t)
	v.login(a, "ann")
	id := must(m.List(background, "ann"))[0].ID
	job := newApp(t, m, loaded(t, func(r *http.Request) *session.Session { return must(m.LoadID(r.Context(), id)) }))
	res := request(bare(t), job, func(s *session.Session) { color.Set(s, "red") })
	require.Equal(t, 200, res.StatusCode)
	require.Empty(t, res.Header["Set-Cookie"])
	require.Equal(t, 500, request(bare(t), job, func(s *session.Session) { s.SignIn("bob") }).StatusCode)
	user, _, col := v.see(a)
	require.Equal(t, "ann", user)
	require.Equal(t, "red", col)
}

func TestWrap_InsideWrap(t *testing.T) {
	for name, between := range map[string]middleware{
		"directly": func(next http.Handler) http.Handler { return next },
		"with NewContext in between": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r.WithContext(session.NewContext(r.Context(), session.FromContext(r.Context()))))
			})
		},
		"with another context": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r.WithContext(session.NewContext(background, session.FromContext(r.Context()))))
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var calls []string
			m := newManager(t, memstore.New(), session.WithObserver(func(_ ctxT, e session.Event) { calls = append(calls, string(e.Kind)) }))
			var outer *session.Session
			srv, v := start(t, m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				outer = session.FromContext(r.Context())
				between(m.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					require.Same(t, outer, session.FromContext(r.Context()))
					color.Set(outer, "red")
				}))).ServeHTTP(w, r)
				shape.Set(outer, "round") // the outer Wrap has not committed yet
			})), false)
			res := v.send("GET", srv.URL)
			require.Equal(t, 200, res.StatusCode)
			require.Len(t, res.Header["Set-Cookie"], 1)
			require.Equal(t, []string{"insert", "created"}, calls)
		})
	}
}

// If an inner Wrap finds another session of the same manager, the inner Wrap
// commits it.
func TestWrap_AnotherSessionInsideWrap(t *testing.T) {
	m := newManager(t, memstore.New())
	a, v := newApp(t, m), newVisitor(t)
	v.login(a, "ann")
	id := must(m.List(background, "ann"))[0].ID
	srv, w := start(t, m.Wrap(loaded(t, func(r *http.Request) *session.Session { return must(m.LoadID(r.Context(), id)) })(
		m.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { color.Set(session.FromContext(r.Context()), "red") })))), false)
	require.Empty(t, w.send("GET", srv.URL).Header["Set-Cookie"])
	_, _, col := v.see(a)
	require.Equal(t, "red", col)
}

func TestWrap_NewContextOfAnotherManager(t *testing.T) {
	store, otherStore := memstore.New(), memstore.New()
	m, other := newManager(t, store), newManager(t, otherStore, session.WithCookieName("other"))
	put := loaded(t, func(r *http.Request) *session.Session { return must(other.Load(r.Context(), r.Cookies())) })
	change := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		color.Set(m.FromContext(r.Context()), "red")
		color.Set(other.FromContext(r.Context()), "blue")
	})
	srv, v := start(t, put(m.Wrap(change)), false)
	res := v.send("GET", srv.URL)
	require.NotNil(t, res.setCookie(host))
	require.Len(t, res.Cookies(), 1)
	require.Zero(t, otherStore.Len(), "the caller commits it, because no Wrap of its manager runs")
	both, v := start(t, put(m.Wrap(other.Wrap(change))), false)
	require.Len(t, v.send("GET", both.URL).Cookies(), 2)
	require.Equal(t, 1, otherStore.Len())
	require.Equal(t, 2, store.Len())
}

// A session belongs to one request. Changes in a second request would never be
// committed.
func TestWrap_SessionOfAnEarlierRequest(t *testing.T) {
	log := new(logs)
	m := newManager(t, memstore.New(), log.option())
	kept := must(m.Load(background, nil))
	a := newApp(t, m, loaded(t, func(*http.Request) *session.Session { return kept }))
	require.Equal(t, 200, request(bare(t), a, func(s *session.Session) { color.Set(s, "red") }).StatusCode)
	require.Empty(t, log.String())
	called := false
	res := bare(t).do(a, func(http.ResponseWriter, *http.Request, *session.Session) { called = true })
	require.Equal(t, 500, res.StatusCode)
	require.False(t, called)
	require.Contains(t, log.String(), "session: Wrap: the session that NewContext put into this context belongs to a request that has ended; load one for each request")
}
