package session_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// request runs calls in one request and returns the response.
func request(v *visitor, a *app, calls func(s *session.Session)) answer {
	v.t.Helper()
	return v.do(a, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { calls(s) })
}

func TestSession_PendingChanges(t *testing.T) {
	long := func(s *session.Session) { s.SetTimeouts(time.Hour, 48*time.Hour) }
	set := func(v string) func(*session.Session) { return func(s *session.Session) { color.Set(s, v) } }
	user := func(u string) func(*session.Session) { return func(s *session.Session) { s.SignIn(u) } }
	signOut := (*session.Session).SignOut
	update := func(s *session.Session) {
		_, err := visits.Update(background, s, func(n int) int { return n + 1 })
		if err != nil {
			panic(err)
		}
	}
	type calls = []func(*session.Session)
	for name, c := range map[string]struct {
		start, calls calls
		user, color  string
		visits       int
		sameID       bool
		stored       int
		idle         time.Duration
	}{
		"set":                               {nil, calls{set("red")}, "", "red", 0, false, 1, 0},
		"set then clear":                    {nil, calls{set("red"), (*session.Session).Clear}, "", "", 0, false, 0, 0},
		"clear then set":                    {calls{set("red"), update}, calls{(*session.Session).Clear, set("blue")}, "", "blue", 0, true, 1, 0},
		"set then discard":                  {calls{set("red")}, calls{set("blue"), (*session.Session).Discard}, "", "red", 0, true, 1, 0},
		"update then discard":               {calls{set("red")}, calls{update, (*session.Session).Discard}, "", "red", 1, true, 1, 0},
		"update without a stored session":   {nil, calls{update, update}, "", "", 2, false, 1, 0},
		"update under a pending renewal":    {calls{update}, calls{(*session.Session).Renew, update}, "", "", 2, true, 1, 0},
		"update after a set":                {calls{update}, calls{func(s *session.Session) { visits.Set(s, 10) }, update}, "", "", 11, true, 1, 0},
		"update after a delete":             {calls{update}, calls{visits.Delete, update}, "", "", 1, true, 1, 0},
		"sign-in keeps earlier values":      {calls{set("red")}, calls{user("ann")}, "ann", "red", 0, true, 1, 0},
		"sign-in again keeps data":          {calls{set("red"), user("ann")}, calls{user("ann")}, "ann", "red", 0, true, 1, 0},
		"another user starts a new session": {calls{set("red"), user("ann")}, calls{set("blue"), user("bob")}, "bob", "", 0, false, 1, 0},
		"another user, then set":            {calls{set("red"), user("ann")}, calls{user("bob"), set("blue")}, "bob", "blue", 0, false, 1, 0},
		"another user keeps timeouts":       {calls{user("ann")}, calls{long, user("bob")}, "bob", "", 0, false, 1, time.Hour},
		"sign-out":                          {calls{set("red"), user("ann")}, calls{signOut}, "", "", 0, false, 0, 0},
		"sign-out then set":                 {calls{set("red"), user("ann")}, calls{signOut, set("bye")}, "", "bye", 0, false, 1, 0},
		"sign-out then sign-in":             {calls{set("red"), user("ann")}, calls{signOut, user("ann")}, "ann", "", 0, false, 1, 0},
		"sign-in then sign-out":             {calls{set("red")}, calls{user("ann"), signOut}, "", "", 0, false, 0, 0},
		"set then sign-out, anonymous":      {nil, calls{set("red"), signOut}, "", "", 0, false, 0, 0},
		"timeouts of the session":           {calls{set("red")}, calls{long}, "", "red", 0, true, 1, time.Hour},
		"sign-in restores the timeouts":     {calls{set("red"), long}, calls{user("ann")}, "ann", "red", 0, true, 1, 0},
		"sign-in beside timeouts":           {calls{set("red")}, calls{long, user("ann")}, "ann", "red", 0, true, 1, time.Hour},
		"renew keeps the timeouts":          {calls{set("red"), long}, calls{(*session.Session).Renew}, "", "red", 0, true, 1, time.Hour},
		"renew of nothing":                  {nil, calls{(*session.Session).Renew}, "", "", 0, false, 0, 0},
		"timeouts of nothing":               {nil, calls{long}, "", "", 0, false, 0, 0},
		"pop":                               {calls{set("red")}, calls{func(s *session.Session) { color.Pop(s) }}, "", "", 0, true, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, store session.Store) {
				a := newApp(t, newManager(t, store))
				v := newVisitor(t)
				all := func(calls calls) func(*session.Session) {
					return func(s *session.Session) {
						for _, call := range calls {
							call(s)
						}
					}
				}
				var before, within, after session.Info
				request(v, a, func(s *session.Session) { all(c.start)(s) })
				require.Equal(t, 200, request(v, a, func(s *session.Session) {
					before = s.Info()
					all(c.calls)(s)
					within = s.Info()
				}).StatusCode)
				user, n, col := v.see(a)
				request(v, a, func(s *session.Session) { after = s.Info() })
				require.Equal(t, c.user, user)
				require.Equal(t, c.color, col)
				require.Equal(t, c.visits, n)
				require.Equal(t, c.sameID, before.ID == after.ID && !before.ID.IsZero(), "same ID")
				require.Equal(t, within.ID, after.ID, "the ID is known before it is stored")
				require.Equal(t, within.User, after.User)
				require.Equal(t, c.idle, after.IdleTimeout)
				require.Equal(t, c.stored, sessions(t, store))
			})
		})
	}
}

// sessions counts the records in a store.
func sessions(t *testing.T, store session.Store) int {
	t.Helper()
	if s, ok := store.(*memstore.Store); ok {
		return s.Len()
	}
	return documents(t, store)
}

func TestSave_BeforeTheResponse(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		a, v := newApp(t, newManager(t, store)), newVisitor(t)
		res := request(v, a, func(s *session.Session) {
			color.Set(s, "red")
			require.Nil(t, s.Cookie())
			require.NoError(t, s.Save(background))
			require.Equal(t, 1, sessions(t, store))
			require.NotNil(t, s.Cookie())
			color.Set(s, "blue")
			s.Discard() // drops only blue
		})
		require.Len(t, res.Header["Set-Cookie"], 1)
		_, _, col := v.see(a)
		require.Equal(t, "red", col)
	})
}

func TestReload(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		a, v := newApp(t, newManager(t, store)), newVisitor(t)
		request(v, a, func(s *session.Session) { color.Set(s, "red") })
		request(v, a, func(s *session.Session) {
			request(v, a, func(other *session.Session) { color.Set(other, "blue") })
			require.Equal(t, "red", color.GetOr(s, ""))
			require.NoError(t, s.Reload(background))
			require.Equal(t, "blue", color.GetOr(s, ""))
		})
		// After a renewal by another request, Reload must not return newer
		// values.
		request(v, a, func(s *session.Session) {
			request(v, a, func(other *session.Session) { other.Renew(); color.Set(other, "green") })
			require.ErrorIs(t, s.Reload(background), session.ErrSuperseded)
			require.Equal(t, "blue", color.GetOr(s, ""))
		})
		request(v, a, func(s *session.Session) {
			request(v, a, (*session.Session).SignOut)
			require.ErrorIs(t, s.Reload(background), session.ErrNotFound)
		})
	})
}

func TestSet_DifferentKeysInParallel(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		a, v := newApp(t, newManager(t, store)), newVisitor(t)
		request(v, a, func(s *session.Session) { color.Set(s, "red") })
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() {
				request(v, a, func(s *session.Session) { session.Key[int](fmt.Sprint("k.", i)).Set(s, i) })
			})
		}
		wg.Wait()
		request(v, a, func(s *session.Session) {
			for i := range 30 {
				n, ok := session.Key[int](fmt.Sprint("k.", i)).Get(s)
				require.True(t, ok, "key %d is lost", i)
				require.Equal(t, i, n)
			}
		})
	})
}

func TestUpdate_Parallel(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		// Two managers share no lock, like two processes.
		apps := []*app{newApp(t, newManager(t, store)), newApp(t, newManager(t, store))}
		v := newVisitor(t)
		request(v, apps[0], func(s *session.Session) { color.Set(s, "red") })
		cookie := v.cookies(apps[0])
		var wg sync.WaitGroup
		var mu sync.Mutex
		acknowledged := 0
		for i := range 60 {
			wg.Go(func() {
				bare(t).do(apps[i%2], func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
					if _, err := visits.Update(r.Context(), s, func(n int) int { return n + 1 }); err == nil {
						mu.Lock()
						acknowledged++
						mu.Unlock()
					}
				}, "Cookie", cookie)
			})
		}
		wg.Wait()
		_, n, _ := v.see(apps[1])
		require.Equal(t, 60, acknowledged)
		require.Equal(t, 60, n)
	})
}

func TestUpdate_FunctionUsesTheSession(t *testing.T) {
	a, v := newApp(t, newManager(t, memstore.New())), newVisitor(t)
	request(v, a, func(s *session.Session) { color.Set(s, "red") })
	request(v, a, func(s *session.Session) {
		_, err := visits.Update(background, s, func(n int) int { return n + len(color.GetOr(s, "")) })
		require.NoError(t, err)
		require.Equal(t, 3, visits.GetOr(s, 0))
	})
}

func TestUpdate_Errors(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		a, v := newApp(t, newManager(t, store, session.WithMaxSize(1000))), newVisitor(t)
		add := func(s *session.Session) error {
			_, err := visits.Update(background, s, func(n int) int { return n + 1 })
			return err
		}
		request(v, a, func(s *session.Session) { color.Set(s, "red") })
		request(v, a, func(s *session.Session) {
			_, err := color.Update(background, s, func(string) string { return string(make([]byte, 2000)) })
			require.ErrorIs(t, err, session.ErrTooLarge)
			request(v, a, (*session.Session).SignOut)
			require.ErrorIs(t, add(s), session.ErrNotFound)
		})
		require.Equal(t, 0, sessions(t, store), "an Update restored the session")

		// A request admitted before a sign-in must not read newer values when
		// Update tries again.
		request(v, a, func(s *session.Session) { visits.Set(s, 1) })
		request(v, a, func(s *session.Session) {
			request(v, a, func(other *session.Session) { other.SignIn("ann"); visits.Set(other, 100) })
			seen := 0
			_, err := visits.Update(background, s, func(n int) int { seen = n; return n + 1 })
			require.ErrorIs(t, err, session.ErrSuperseded)
			require.Equal(t, 1, seen)
		})
	})
}

// A store that does not respond is reported as such, not as a conflict.
func TestUpdate_SilentStore(t *testing.T) {
	store := newFaulty()
	m := newManager(t, store, session.WithStoreTimeout(50*time.Millisecond))
	a, v := newApp(t, m), newVisitor(t)
	request(v, a, func(s *session.Session) { visits.Set(s, 1) })
	request(v, a, func(s *session.Session) {
		store.fail("Update", fmt.Errorf("lost and not applied: %w", session.ErrUncertain))
		errs := make(chan error, 3)
		for range 3 {
			go func() { _, err := visits.Update(background, s, func(n int) int { return n + 1 }); errs <- err }()
		}
		for range 3 {
			err := <-errs
			require.Equal(t, 503, session.HTTPStatus(err), err)
			require.ErrorContains(t, err, "no reply within 50ms")
			require.NotErrorIs(t, err, session.ErrConflict)
		}
	})
}

func TestGet_UndecodableValue(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		log := new(logs)
		a, v := newApp(t, newManager(t, store)), newVisitor(t)
		request(v, a, func(s *session.Session) { color.Set(s, "red"); shape.Set(s, "round") })
		// The next release changed the type to a number.
		b := newApp(t, newManager(t, store, log.option()))
		v.Jar.SetCookies(must(http.NewRequest("GET", b.URL, nil)).URL, v.Jar.Cookies(must(http.NewRequest("GET", a.URL, nil)).URL))
		number := session.Key[int]("color")
		request(v, b, func(s *session.Session) {
			_, ok := number.Get(s)
			require.False(t, ok)
			_, err := number.Update(background, s, func(n int) int { return n + 1 })
			require.ErrorContains(t, err, `key "color" (int): cannot decode`)
			require.Equal(t, http.StatusInternalServerError, session.HTTPStatus(err))
			require.Equal(t, "round", shape.GetOr(s, ""))
		})
		require.Contains(t, log.String(), "cannot decode stored value")
		_, _, col := v.see(a)
		require.Equal(t, "red", col)
	})
}

func TestLoad_OutsideHTTP(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		m := newManager(t, store)
		s, err := m.Load(background, nil)
		require.NoError(t, err)
		require.Nil(t, s.Cookie())
		require.NoError(t, s.Save(background))
		require.Zero(t, sessions(t, store))
		s.SignIn("ann")
		require.NoError(t, s.Save(background))
		cookie := s.Cookie()
		require.NotNil(t, cookie)

		again, err := m.Load(background, []*http.Cookie{cookie})
		require.NoError(t, err)
		require.Equal(t, "ann", again.User())
		again.SignOut()
		require.NoError(t, again.Save(background))
		require.Equal(t, -1, again.Cookie().MaxAge)
		require.ErrorIs(t, s.Save(background), nil, "nothing is pending, nothing is due")
		color.Set(s, "red")
		require.ErrorIs(t, s.Save(background), session.ErrNotFound)
	})
}

func TestLoadID(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		m := newManager(t, store)
		a, v := newApp(t, m), newVisitor(t)
		var id session.ID
		request(v, a, func(s *session.Session) { s.SignIn("ann"); id = s.ID() })
		s, err := m.LoadID(background, id)
		require.NoError(t, err)
		color.Set(s, "red")
		require.NoError(t, s.Save(background))
		require.Nil(t, s.Cookie())
		_, _, col := v.see(a)
		require.Equal(t, "red", col)
		for name, call := range map[string]func(){
			"SignIn":      func() { s.SignIn("ann") },
			"Renew":       s.Renew,
			"SetTimeouts": func() { s.SetTimeouts(time.Hour, time.Hour) },
		} {
			call()
			err := s.Save(background)
			require.ErrorContains(t, err, name+": a session from LoadID has no token")
			require.ErrorContains(t, err, "session_test.go:")
			s.Discard()
		}
		s.SignOut()
		require.NoError(t, s.Save(background))
		require.Nil(t, s.Cookie())
		require.Equal(t, "", v.user(a))
		color.Set(s, "red")
		require.ErrorContains(t, s.Save(background), "has no token")
		_, err = m.LoadID(background, id)
		require.ErrorIs(t, err, session.ErrNotFound)
	})
}

func TestSave_FailureKeepsTheChanges(t *testing.T) {
	store := newFaulty()
	a, v := newApp(t, newManager(t, store)), newVisitor(t)
	request(v, a, func(s *session.Session) {
		color.Set(s, "red")
		s.SignIn("ann")
		store.fail("Insert", errors.New("down"))
		require.ErrorContains(t, s.Save(background), "session: store unavailable: down")
		store.fail("Insert", nil)
	})
	user, _, col := v.see(a)
	require.Equal(t, "ann", user)
	require.Equal(t, "red", col)
}
