package session_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// The tests in this file check the surprising cases described in the
// documentation.

// together sends two concurrent requests of one visitor. Both are admitted
// before either of them runs do.
func together(t *testing.T, a *app, v *visitor, do func(i int, r *http.Request, s *session.Session)) [2]answer {
	t.Helper()
	var admitted, done sync.WaitGroup
	admitted.Add(2)
	var answers [2]answer
	for i := range answers {
		done.Go(func() {
			answers[i] = v.try(a, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				admitted.Done()
				admitted.Wait()
				do(i, r, s)
			})
		})
	}
	done.Wait()
	for _, res := range answers {
		require.NoError(t, res.err)
		require.Equal(t, http.StatusOK, res.StatusCode)
	}
	return answers
}

func TestFirstRequests_Overlapping(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		a, v := newApp(t, newManager(t, store)), newVisitor(t)
		together(t, a, v, func(i int, r *http.Request, s *session.Session) {
			_, err := visits.Update(r.Context(), s, func(n int) int { return n + 1 })
			if err != nil {
				t.Error(err)
			}
			[]session.Key[string]{color, shape}[i].Set(s, "set")
		})
		require.Equal(t, 2, sessions(t, store), "each request starts a session")
		request(v, a, func(s *session.Session) {
			require.Equal(t, 1, visits.GetOr(s, 0), "one Update is lost")
			require.Equal(t, "set", color.GetOr(s, "")+shape.GetOr(s, ""), "one value is lost")
		})

		// Concurrent requests with a session lose nothing.
		together(t, a, v, func(_ int, r *http.Request, s *session.Session) {
			_, err := visits.Update(r.Context(), s, func(n int) int { return n + 1 })
			if err != nil {
				t.Error(err)
			}
		})
		request(v, a, func(s *session.Session) { require.Equal(t, 3, visits.GetOr(s, 0)) })
	})
}

func TestFirstSignIns_Overlapping(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		m := newManager(t, store)
		a, v := newApp(t, m), newVisitor(t)
		together(t, a, v, func(_ int, _ *http.Request, s *session.Session) { s.SignIn("ann") })
		require.Len(t, must(m.List(background, "ann")), 2, "there are two sessions")
		require.Equal(t, "ann", v.user(a))

		// Sign-ins over one session get the same token.
		v = newVisitor(t)
		request(v, a, func(s *session.Session) { color.Set(s, "red") })
		together(t, a, v, func(_ int, _ *http.Request, s *session.Session) { s.SignIn("bob") })
		require.Len(t, must(m.List(background, "bob")), 1)
	})
}

// A sign-in or payment provider on another site posts its result by a form.
func TestCrossSite_FormPost(t *testing.T) {
	post := func(t *testing.T, a *app, do handler) answer {
		res := bare(t).send("POST", a.URL, "X-Do", a.add(do), "Origin", "https://provider.example",
			"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
		require.NoError(t, res.err)
		return res
	}
	set := func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { color.Set(s, "red") }
	trusted := func(next http.Handler) http.Handler {
		origins := http.NewCrossOriginProtection()
		require.NoError(t, origins.AddTrustedOrigin("https://provider.example"))
		return origins.Handler(next)
	}
	store := memstore.New()
	a := newApp(t, newManager(t, store), trusted)

	require.Equal(t, http.StatusForbidden, post(t, a, set).StatusCode, "Set fails with ErrCrossSite")
	require.Zero(t, store.Len())

	// SignIn works, and so do values set in the same request.
	res := post(t, a, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		s.SignIn("ann")
		color.Set(s, "red")
	})
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.NotNil(t, res.setCookie(host))
	require.Equal(t, 1, store.Len())

	// The handler can set a cookie of its own.
	res = post(t, a, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		http.SetCookie(w, &http.Cookie{Name: "state", Value: "", MaxAge: -1, Secure: true, SameSite: http.SameSiteNoneMode})
		http.Redirect(w, r, "/return", http.StatusSeeOther)
	})
	require.Equal(t, http.StatusSeeOther, res.StatusCode)
	require.Nil(t, res.setCookie(host))
	require.NotNil(t, res.setCookie("state"))

	untrusting := newApp(t, newManager(t, store), http.NewCrossOriginProtection().Handler)
	require.Equal(t, http.StatusForbidden, post(t, untrusting, nothing).StatusCode, "CrossOriginProtection refuses it")
}

// The default name of the cookie follows from its attributes. A deploy that
// changes them signs everybody out, unless the name is set.
func TestCookieName_ChangedByOptions(t *testing.T) {
	for name, opt := range map[string]session.Option{
		"WithCookieDomain":     session.WithCookieDomain("example.com"),
		"WithCookiePath":       session.WithCookiePath("/app"),
		"DangerouslyAllowHTTP": session.DangerouslyAllowHTTP(),
	} {
		t.Run(name, func(t *testing.T) {
			store := memstore.New()
			user := func(opts ...session.Option) (user string) {
				before, v := newApp(t, newManager(t, store, opts...)), newVisitor(t)
				v.login(before, "ann")
				after := newApp(t, newManager(t, store, append(opts, opt)...))
				res := bare(t).send("GET", after.URL+"/app", "Cookie", v.cookies(before), "X-Do",
					after.add(func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { user = s.User() }))
				require.NoError(t, res.err)
				require.Equal(t, http.StatusOK, res.StatusCode)
				return user
			}
			require.Empty(t, user())
			require.Equal(t, "ann", user(session.WithCookieName("sid")))
		})
	}
}

func TestSet_EqualValue(t *testing.T) {
	writes := 0
	m := newManager(t, memstore.New(), session.WithObserver(func(_ ctxT, e session.Event) {
		if e.Kind == session.EventUpdate {
			writes++
		}
	}))
	a, v := newApp(t, m), newVisitor(t)
	request(v, a, func(s *session.Session) { color.Set(s, "red") })
	require.Zero(t, writes)
	request(v, a, func(s *session.Session) { color.Set(s, "red") })
	require.Equal(t, 1, writes)
	request(v, a, func(s *session.Session) {
		_, err := color.Update(background, s, func(c string) string { return c })
		require.NoError(t, err)
	})
	require.Equal(t, 2, writes)
}

func TestSave_HandlerErrorStatus(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		a, v := newApp(t, newManager(t, store)), newVisitor(t)
		res := v.do(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			color.Set(s, "red")
			http.Error(w, "no", http.StatusInternalServerError)
		})
		require.Equal(t, http.StatusInternalServerError, res.StatusCode)
		request(v, a, func(s *session.Session) { require.Equal(t, "red", color.GetOr(s, "")) })

		// A handler calls Discard to save nothing.
		v.do(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			color.Set(s, "blue")
			s.Discard()
			http.Error(w, "no", http.StatusInternalServerError)
		})
		// A panic discards changes too, except those saved before the first byte.
		v.try(a, func(http.ResponseWriter, *http.Request, *session.Session) { panic(http.ErrAbortHandler) })
		request(v, a, func(s *session.Session) { require.Equal(t, "red", color.GetOr(s, "")) })
		v.try(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			color.Set(s, "green")
			w.Write([]byte("the beginning"))
			panic(http.ErrAbortHandler)
		})
		request(v, a, func(s *session.Session) { require.Equal(t, "green", color.GetOr(s, "")) })
	})
}

func TestWithErrorHandler_RequestHasNoSession(t *testing.T) {
	store := newFaulty()
	calls := 0
	m := newManager(t, store, session.WithErrorHandler(func(w http.ResponseWriter, r *http.Request, err error) {
		calls++
		if _, ok := session.TryFromContext(r.Context()); ok {
			t.Error("the request has a session")
		}
		w.WriteHeader(session.HTTPStatus(err))
	}))
	a, v := newApp(t, m), newVisitor(t)
	v.login(a, "ann")
	store.fail("Update", errDown)
	require.Equal(t, 503, request(v, a, func(s *session.Session) { color.Set(s, "red") }).StatusCode)
	store.fail("Load", errDown)
	require.Equal(t, 503, request(v, a, func(*session.Session) {}).StatusCode)
	require.Equal(t, 2, calls)
}
