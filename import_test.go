package session_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

const credential = "the ID of a session elsewhere, 192 random bits"

// fillAnn fills an imported session.
func fillAnn(s *session.Session) {
	s.SignIn("ann")
	color.Set(s, "red")
}

// importing is a handler that imports a session.
func importing(err *error) handler {
	return func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		*err = s.Import(r.Context(), credential, fillAnn, nil)
	}
}

func TestImport_OneSessionForConcurrentRequests(t *testing.T) {
	eachStore(t, func(t *testing.T, inner session.Store) {
		store := &faulty{Store: inner}
		now := newClock()
		now.now = time.Now()
		m := newManager(t, store)
		m.SetClock(now.Now)
		a := newApp(t, m)
		const n = 4
		var meet sync.WaitGroup
		meet.Add(n)
		store.set(func(c call) error {
			if c.op == "Insert" { // nobody has found a session yet
				meet.Done()
				meet.Wait()
			}
			return c.do()
		})
		ids, cookies := make(chan session.ID, n), make(chan *http.Cookie, n)
		var done sync.WaitGroup
		for range n {
			done.Go(func() {
				res := bare(t).do(a, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
					if err := s.Import(r.Context(), credential, fillAnn, nil); err != nil {
						t.Error(err)
					}
					visits.Update(r.Context(), s, func(n int) int { return n + 1 })
					ids <- s.ID()
				})
				if c := res.setCookie(host); c != nil {
					cookies <- c
				}
			})
		}
		done.Wait()
		store.set(nil)
		close(ids)
		close(cookies)
		require.Len(t, cookies, 1, "one response brings the cookie")
		first := <-ids
		for other := range ids {
			require.Equal(t, first, other)
		}
		user, count, col := seeWith(t, a, (<-cookies).String())
		require.Equal(t, "ann 4 red", fmt.Sprint(user, " ", count, " ", col))
		require.Len(t, must(m.List(background, "ann")), 1)
	})
}

// seeWith is visitor.see for a Cookie header.
func seeWith(t *testing.T, a *app, cookie string) (user string, n int, c string) {
	t.Helper()
	bare(t).do(a, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		user, n, c = s.User(), visits.GetOr(s, 0), color.GetOr(s, "")
	}, "Cookie", cookie)
	return user, n, c
}

func TestImport_Again(t *testing.T) {
	for name, c := range map[string]struct {
		between func(a *app, now *clock, first answer)
		err     error
		user    string
		cookie  bool
	}{
		"at once":                 {func(*app, *clock, answer) {}, nil, "ann", false},
		"the reply was lost":      {func(_ *app, now *clock, _ answer) { now.advance(31 * time.Second) }, nil, "ann", true},
		"after a renewal":         {renewFirst, nil, "", false},
		"long after a renewal":    {func(a *app, now *clock, first answer) { renewFirst(a, now, first); now.advance(time.Minute) }, session.ErrNotFound, "", false},
		"expired":                 {func(_ *app, now *clock, _ answer) { now.advance(15 * 24 * time.Hour) }, session.ErrNotFound, "", false},
		"ended by a revocation":   {func(a *app, _ *clock, _ answer) { _, _ = a.m.RevokeAll(background, "ann") }, session.ErrNotFound, "", false},
		"with the secret rotated": {nil, nil, "ann", false},
	} {
		t.Run(name, func(t *testing.T) {
			store, now := memstore.New(), newClock()
			m := newManager(t, store)
			m.SetClock(now.Now)
			a := newApp(t, m)
			var err error
			first := bare(t).do(a, importing(&err))
			require.NoError(t, err)
			if c.between == nil {
				var merr error
				m, merr = session.New(store, "another secret of at least 32 bytes", session.WithAcceptedSecrets(secret))
				require.NoError(t, merr)
				m.SetClock(now.Now)
				a = newApp(t, m)
			} else {
				c.between(a, now, first)
			}
			var user string
			res := bare(t).do(a, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				err = s.Import(r.Context(), credential, nil, nil)
				user = s.User()
			})
			require.ErrorIs(t, err, c.err)
			require.Equal(t, c.user, user)
			require.Equal(t, c.cookie, res.setCookie(host) != nil)
			if c.cookie {
				require.Equal(t, session.Token(secret, first.setCookie(host).Value), session.Token(secret, res.setCookie(host).Value))
			}
		})
	}
}

// renewFirst renews the token of an imported session.
func renewFirst(a *app, _ *clock, first answer) {
	r := must(http.NewRequest("GET", a.URL, nil))
	r.AddCookie(first.setCookie(host))
	r.Header.Set("X-Do", a.add(func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Renew() }))
	must(http.DefaultClient.Do(r)).Body.Close()
}

// Two replicas have the secrets in a different order, while the secret is rotated.
func TestImport_ConcurrentDuringRotation(t *testing.T) {
	const other = "another secret of at least 32 bytes"
	store := newFaulty()
	oldFirst := newApp(t, newManager(t, store, session.WithAcceptedSecrets(other)))
	newFirst := newApp(t, must(session.New(store, other, session.WithAcceptedSecrets(secret))))
	var err, first error
	var brings *http.Cookie
	store.once(op("Insert"), func(c call) error {
		brings = bare(t).do(newFirst, importing(&first)).setCookie(host)
		return c.do()
	})
	res := bare(t).do(oldFirst, importing(&err))
	require.NoError(t, first)
	require.NoError(t, err)
	require.Empty(t, res.Header["Set-Cookie"])
	for _, a := range []*app{oldFirst, newFirst} {
		user, _, col := seeWith(t, a, brings.String())
		require.Equal(t, "ann red", user+" "+col)
	}
	require.Len(t, must(oldFirst.m.List(background, "ann")), 1)
}

func TestImport_LostReplies(t *testing.T) {
	for _, applied := range []bool{true, false} {
		store := newFaulty()
		a := newApp(t, newManager(t, store))
		v := newVisitor(t)
		store.uncertain("Insert", applied, 1)
		var err error
		v.do(a, importing(&err))
		require.NoError(t, err)
		user, _, col := v.see(a)
		require.Equal(t, "ann red", user+" "+col)
		require.Len(t, must(a.m.List(background, "ann")), 1)
	}
}

// The insert or a later step of the sign-in fails. A retry with the credential, or
// with the cookie, ends in the same session.
func TestImport_FailedSteps(t *testing.T) {
	for _, step := range []string{"Load", "Insert", "marker", "List"} {
		for _, withCookie := range []bool{false, true} {
			store := newFaulty()
			m := newManager(t, store, session.WithMaxPerUser(1))
			a, v := newApp(t, m), newVisitor(t)
			store.set(func(c call) error {
				if c.op == step || step == "marker" && readsMarker(c) {
					return errDown
				}
				return c.do()
			})
			var err error
			v.do(a, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				err = s.Import(r.Context(), credential, fillAnn, nil)
				require.Empty(t, s.User())
			})
			require.ErrorIs(t, err, session.ErrUnavailable, step)
			store.set(nil)
			if !withCookie {
				v = newVisitor(t)
			}
			v.do(a, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				if s.User() == "" {
					err = s.Import(r.Context(), credential, fillAnn, nil)
					require.NoError(t, err)
				}
				require.Equal(t, "ann red", s.User()+" "+color.GetOr(s, ""))
			})
			require.Len(t, must(m.List(background, "ann")), 1, step)
		}
	}
}

// The sign-in of the request that has inserted the record fails, after another
// request has joined it.
func TestImport_FailsBesideAnother(t *testing.T) {
	store := newFaulty()
	m := newManager(t, store)
	a, v := newApp(t, m), newVisitor(t)
	var err, joined error
	store.once(readsMarker, func(call) error {
		bare(t).do(a, importing(&joined))
		return errDown
	})
	v.do(a, importing(&err))
	require.NoError(t, joined)
	require.ErrorIs(t, err, session.ErrUnavailable)
	user, _, col := v.see(a)
	require.Equal(t, "ann red", user+" "+col)
	require.Len(t, must(m.List(background, "ann")), 1)
}

// A request read the other session before it was signed out, and imports it after
// that.
func TestImport_UndoneByStored(t *testing.T) {
	store := newFaulty()
	a := newApp(t, newManager(t, store))
	var err error
	res := bare(t).do(a, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		err = s.Import(r.Context(), credential, fillAnn, func(context.Context) error {
			require.Len(t, must(a.m.List(background, "ann")), 1, "it is called after the insert")
			return session.ErrNotFound
		})
		require.Empty(t, s.User())
		require.True(t, s.ID().IsZero())
	})
	require.ErrorIs(t, err, session.ErrNotFound)
	require.Empty(t, res.Header["Set-Cookie"])
	require.Empty(t, must(a.m.List(background, "ann")))

	store.fail("Delete", errDown)
	bare(t).do(a, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		err = s.Import(r.Context(), credential, fillAnn, func(context.Context) error { return session.ErrNotFound })
	})
	require.ErrorIs(t, err, session.ErrUnavailable)
}

// A joined session belongs to the request that has inserted it.
func TestImport_StoredFailsAfterJoining(t *testing.T) {
	a := newApp(t, newManager(t, memstore.New()))
	var err error
	bare(t).do(a, importing(&err))
	require.NoError(t, err)
	bare(t).do(a, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		err = s.Import(r.Context(), credential, fillAnn, func(context.Context) error { return errDown })
		require.Empty(t, s.User())
	})
	require.ErrorIs(t, err, errDown)
	require.Len(t, must(a.m.List(background, "ann")), 1)
}

func TestImport_Revoked(t *testing.T) {
	store := newFaulty()
	m := newManager(t, store)
	a := newApp(t, m)
	store.once(op("Insert"), func(c call) error {
		must(m.RevokeAll(background, "ann"))
		return c.do()
	})
	var err error
	res := bare(t).do(a, importing(&err))
	require.ErrorIs(t, err, session.ErrRevoked)
	require.Empty(t, res.Header["Set-Cookie"])
	require.Empty(t, must(m.List(background, "ann")))
}

func TestImport_FillChangesNothing(t *testing.T) {
	store := newFaulty()
	a := newApp(t, newManager(t, store))
	var err error
	res := bare(t).do(a, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		err = s.Import(r.Context(), credential, func(*session.Session) {}, nil)
	})
	require.ErrorIs(t, err, session.ErrNotFound)
	require.Empty(t, res.Header["Set-Cookie"])
}

// A middleware recovers the panic, and responds.
func TestImport_FillPanics(t *testing.T) {
	a := newApp(t, newManager(t, memstore.New()))
	res := bare(t).do(a, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		defer func() {
			require.NotNil(t, recover())
			w.WriteHeader(http.StatusTeapot)
		}()
		_ = s.Import(r.Context(), credential, func(s *session.Session) {
			s.SignIn("ann")
			panic("no such user")
		}, nil)
	})
	require.Equal(t, http.StatusTeapot, res.StatusCode)
	require.Empty(t, res.Header["Set-Cookie"])
	require.Empty(t, must(a.m.List(background, "ann")))
}

func TestImport_InvalidCalls(t *testing.T) {
	m := newManager(t, memstore.New())
	a := newApp(t, m)
	var err error
	for name, c := range map[string]struct {
		v  *visitor
		do func(ctx context.Context, s *session.Session)
	}{
		"a session": {newVisitor(t), func(ctx context.Context, s *session.Session) { err = s.Import(ctx, credential, fillAnn, nil) }},
		"a pending change": {bare(t), func(ctx context.Context, s *session.Session) {
			visits.Set(s, 1)
			err = s.Import(ctx, credential, fillAnn, nil)
		}},
		"no credential": {bare(t), func(ctx context.Context, s *session.Session) { err = s.Import(ctx, "", fillAnn, nil) }},
		"an error in fill": {bare(t), func(ctx context.Context, s *session.Session) {
			err = s.Import(ctx, credential, func(s *session.Session) { s.SignIn("") }, nil)
		}},
		"a session by ID": {newVisitor(t), func(ctx context.Context, _ *session.Session) {
			err = must(m.LoadID(ctx, must(m.List(ctx, "bob"))[0].ID)).Import(ctx, credential, fillAnn, nil)
		}},
		"a sign-out of nobody": {bare(t), func(ctx context.Context, s *session.Session) {
			s.SignOut()
			err = s.Import(ctx, credential, fillAnn, nil)
		}},
		"after a sign-out": {newVisitor(t), func(ctx context.Context, s *session.Session) {
			s.SignOut()
			err = s.Import(ctx, credential, fillAnn, nil)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.v.Jar != nil {
				c.v.login(a, "bob")
			}
			res := c.v.do(a, func(_ http.ResponseWriter, r *http.Request, s *session.Session) { c.do(r.Context(), s) })
			require.Error(t, err)
			require.Equal(t, 500, session.HTTPStatus(err), err)
			require.Equal(t, 200, res.StatusCode)
			require.Empty(t, must(m.List(background, "ann")))
		})
	}
}

func TestImport_WithheldCookie(t *testing.T) {
	for name, c := range map[string]struct {
		option session.Option
		header http.Header
		err    error
	}{
		"from another site": {session.WithSameSite(http.SameSiteLaxMode), http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"cors"}}, session.ErrCrossSite},
		"outside the path":  {session.WithCookiePath("/app"), nil, session.ErrOutsidePath},
	} {
		t.Run(name, func(t *testing.T) {
			m := memstore.NewManager(c.option)
			r := httptest.NewRequest("GET", "/", nil)
			for k, v := range c.header {
				r.Header[k] = v
			}
			w := httptest.NewRecorder()
			var err error
			m.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				err = session.FromContext(r.Context()).Import(r.Context(), credential, fillAnn, nil)
			})).ServeHTTP(w, r)
			require.ErrorIs(t, err, c.err)
			require.Empty(t, w.Header()["Set-Cookie"])
			require.Empty(t, must(m.List(background, "ann")))
		})
	}
}

func TestImport_TokenHeader(t *testing.T) {
	m := newManager(t, memstore.New(), session.WithTokenHeader("Authorization", "Session-Token"))
	a := newApp(t, m)
	var err error
	res := bare(t).do(a, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		require.True(t, s.UsesTokenHeader())
		importing(&err)(w, r, s)
	}, "Authorization", "Bearer")
	require.ErrorIs(t, err, session.ErrNotFound)
	require.Empty(t, res.Header["Set-Cookie"])
	require.Empty(t, must(m.List(background, "ann")))
	bare(t).do(a, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		require.False(t, s.UsesTokenHeader())
	})
}

func TestImport_Late(t *testing.T) {
	a := newApp(t, newManager(t, memstore.New()))
	var err error
	bare(t).do(a, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		w.WriteHeader(200)
		err = s.Import(r.Context(), credential, fillAnn, nil)
	})
	require.ErrorIs(t, err, session.ErrUndeliverable)
}

func TestImport_Events(t *testing.T) {
	var mu sync.Mutex
	var got []session.Event
	store := newFaulty()
	m := newManager(t, store, session.WithObserver(func(_ context.Context, e session.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Reason != "" {
			got = append(got, session.Event{Kind: e.Kind, Reason: e.Reason, User: e.User})
		}
	}))
	a := newApp(t, m)
	var err error
	store.once(op("Insert"), func(c call) error { // another request is first
		bare(t).do(a, importing(&err))
		return c.do()
	})
	bare(t).do(a, importing(&err))
	require.NoError(t, err)
	require.Equal(t, []session.Event{
		{Kind: session.EventCreated, Reason: session.ReasonImport, User: "ann"},
		{Kind: session.EventSignedIn, Reason: session.ReasonImport, User: "ann"},
	}, got)
}

func TestOnEnd(t *testing.T) {
	deletion := &http.Cookie{Name: "other", MaxAge: -1, Path: "/"}
	for name, c := range map[string]struct {
		user   string // at first
		do     func(s *session.Session)
		err    error
		calls  int
		status int
		left   int // sessions of ann
	}{
		"a sign-out":                   {"ann", func(s *session.Session) { s.SignOut() }, nil, 1, 200, 0},
		"a sign-out and a Save":        {"ann", func(s *session.Session) { s.SignOut(); _ = s.Save(background) }, nil, 1, 200, 0},
		"a sign-out that fails":        {"ann", func(s *session.Session) { s.SignOut() }, errDown, 1, 503, 1},
		"a sign-out without a session": {"", func(s *session.Session) { s.SignOut() }, nil, 1, 200, 0},
		"another user":                 {"ann", func(s *session.Session) { s.SignIn("bob") }, nil, 1, 200, 0},
		"the same user":                {"ann", func(s *session.Session) { s.SignIn("ann") }, nil, 0, 200, 1},
		"a change":                     {"ann", func(s *session.Session) { color.Set(s, "red") }, nil, 0, 200, 1},
		"nothing":                      {"ann", func(*session.Session) {}, nil, 0, 200, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t, memstore.New())
			a, v := newApp(t, m), newVisitor(t)
			if c.user != "" {
				v.login(a, c.user)
			}
			calls := 0
			res := v.do(a, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
				s.OnEnd(func(ctx context.Context) (*http.Cookie, error) {
					calls++
					require.NoError(t, ctx.Err())
					if c.err != nil {
						return nil, c.err
					}
					require.Len(t, must(m.List(background, "ann")), min(1, len(c.user)), "the session still exists")
					return deletion, nil
				})
				c.do(s)
			})
			require.Equal(t, c.calls, calls)
			require.Equal(t, c.status, res.StatusCode, res.body)
			require.Equal(t, c.calls == 1 && c.err == nil, res.setCookie("other") != nil)
			require.Len(t, must(m.List(background, "ann")), c.left)
		})
	}
}
