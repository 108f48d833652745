package session_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

func signIn(s *session.Session) { s.SignIn("ann") }

// A request admitted with a stolen token and held open must not receive the
// token of the owner's next sign-in.
func TestRenew_OnlySignInJoins(t *testing.T) {
	for name, late := range map[string]func(s *session.Session){
		"renew":       (*session.Session).Renew,
		"timeouts":    func(s *session.Session) { s.SetTimeouts(time.Hour, 2*time.Hour) },
		"other user":  func(s *session.Session) { s.SignIn("bob") },
		"renew, save": func(s *session.Session) { s.Renew(); _ = s.Save(background) },
	} {
		for _, after := range []time.Duration{0, time.Hour} {
			t.Run(fmt.Sprint(name, " after ", after), func(t *testing.T) {
				now := newClock()
				m := newManager(t, memstore.New())
				m.SetClock(now.Now)
				a, owner, attacker := newApp(t, m), newVisitor(t), bare(t)
				owner.login(a, "ann")
				res := attacker.do(a, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
					owner.login(a, "ann")
					now.advance(after)
					late(s)
				}, "Cookie", owner.cookies(a))
				if name == "other user" {
					require.Equal(t, 200, res.StatusCode) // in a new session of bob
					require.Equal(t, "bob", userOf(t, a, res.setCookie(host).String()))
					return
				}
				require.Equal(t, http.StatusConflict, res.StatusCode, res.body)
				require.Empty(t, res.Header["Set-Cookie"])
				require.Equal(t, "ann", owner.user(a))
			})
		}
	}
}

func TestSignIn_JoinsWithinGracePeriod(t *testing.T) {
	for after, status := range map[time.Duration]int{0: 200, 29 * time.Second: 200, 31 * time.Second: http.StatusConflict} {
		t.Run(after.String(), func(t *testing.T) {
			now := newClock()
			m := newManager(t, memstore.New())
			m.SetClock(now.Now)
			a, v := newApp(t, m), newVisitor(t)
			request(v, a, func(s *session.Session) { color.Set(s, "red") })
			slow := bare(t).do(a, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
				v.login(a, "ann")
				now.advance(after)
				s.SignIn("ann")
			}, "Cookie", v.cookies(a))
			require.Equal(t, status, slow.StatusCode, slow.body)
			if status == 200 {
				require.Contains(t, v.cookies(a), slow.setCookie(host).Value)
			} else {
				require.Empty(t, slow.Header["Set-Cookie"])
			}
			require.Equal(t, "ann", v.user(a))
		})
	}
}

// The renewal succeeds, and a later step of the sign-in fails.
func TestSignIn_FailedStep(t *testing.T) {
	down := func(call) error { return errDown }
	for name, fails := range map[string]func(c call) bool{
		"marker": readsMarker,
		"list":   op("List"),
		"delete": op("Delete"),
	} {
		t.Run(name, func(t *testing.T) {
			store, now := newFaulty(), newClock()
			m := newManager(t, store, session.WithMaxPerUser(1))
			m.SetClock(now.Now)
			a, v := newApp(t, m), newVisitor(t)
			newVisitor(t).login(a, "ann") // the sign-in ends this session
			now.advance(time.Second)
			request(v, a, func(s *session.Session) { color.Set(s, "red") })
			store.set(func(c call) error {
				if fails(c) {
					return down(c)
				}
				return c.do()
			})
			res := request(v, a, signIn)
			require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
			store.set(nil)
			user, _, col := v.see(a)
			require.Equal(t, "ann red", user+" "+col)
			now.advance(time.Second)
			require.Equal(t, 200, v.login(a, "ann").StatusCode)
			require.Len(t, must(a.m.List(background, "ann")), 1)
		})
	}
}

func TestSignIn_CompletedLater(t *testing.T) {
	for name, c := range map[string]struct {
		revoke func(m *session.Manager) // called before the record is written, after the admission
		own    bool                     // the request itself has revoked
		later  time.Duration
		user   string
	}{
		"no revocation":     {func(*session.Manager) {}, false, 0, "ann"},
		"all":               {func(m *session.Manager) { _, _ = m.RevokeAll(background, "ann") }, false, 0, ""},
		"all, a day later":  {func(m *session.Manager) { _, _ = m.RevokeAll(background, "ann") }, false, 23 * time.Hour, ""},
		"by itself":         {func(*session.Manager) {}, true, 0, "ann"},
		"by itself and all": {func(m *session.Manager) { _, _ = m.RevokeAll(background, "ann") }, true, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			store, now := newFaulty(), newClock()
			m := newManager(t, store)
			m.SetClock(now.Now)
			a, v := newApp(t, m), newVisitor(t)
			request(v, a, func(s *session.Session) { color.Set(s, "red") })
			res := v.do(a, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				if c.own {
					_, err := m.RevokeAll(r.Context(), "ann")
					require.NoError(t, err)
				}
				now.advance(time.Second)
				store.once(op("Update"), func(u call) error {
					c.revoke(m)
					store.once(readsMarker, func(call) error { return errDown })
					return u.do()
				})
				s.SignIn("ann")
			})
			require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
			store.set(nil)
			now.advance(c.later)
			require.Equal(t, c.user, v.user(a))
			if c.user == "" {
				require.Empty(t, must(m.List(background, "ann")))
			}

			// While the marker cannot be read, the response is 503 and the visitor
			// stays signed in.
			store.set(func(c call) error {
				if readsMarker(c) {
					return errDown
				}
				return c.do()
			})
			if c.user != "" {
				require.Equal(t, http.StatusServiceUnavailable, request(v, a, func(s *session.Session) {}).StatusCode)
				now.advance(24 * time.Hour) // no marker is as old
				require.Equal(t, c.user, v.user(a))
			}
		})
	}
}

func TestSignIn_DiscardedAfterFailure(t *testing.T) {
	for name, c := range map[string]struct {
		hook   func(m *session.Manager, c call) error
		status int
		color  string
	}{
		"revoked": {func(m *session.Manager, c call) error {
			if _, err := m.RevokeAll(background, "ann"); err != nil {
				return err
			}
			return c.do()
		}, 200, "blue"},
		"store down": {func(*session.Manager, call) error { return errDown }, http.StatusConflict, "red"},
	} {
		t.Run(name, func(t *testing.T) {
			store := newFaulty()
			m := newManager(t, store)
			a, v := newApp(t, m), newVisitor(t)
			request(v, a, func(s *session.Session) { color.Set(s, "red") })
			res := request(v, a, func(s *session.Session) {
				s.SignIn("ann")
				store.once(readsMarker, func(u call) error { return c.hook(m, u) })
				require.Error(t, s.Save(background))
				s.Discard()
				require.Equal(t, "", s.User())
				color.Set(s, "blue")
			})
			require.Equal(t, c.status, res.StatusCode, res.body)
			_, _, col := v.see(a)
			require.Equal(t, c.color, col)
		})
	}
}

func TestSignIn_RepeatedInOneRequest(t *testing.T) {
	for name, fails := range map[string]func(c call) bool{"marker": readsMarker, "record": op("Update")} {
		for _, other := range []string{"ann", "bob"} {
			t.Run(name+" "+other, func(t *testing.T) {
				store := newFaulty()
				a, v := newApp(t, newManager(t, store)), newVisitor(t)
				request(v, a, func(s *session.Session) { color.Set(s, "red") })
				res := request(v, a, func(s *session.Session) {
					s.SignIn("ann")
					visits.Set(s, 1)
					store.once(fails, func(call) error { return errDown })
					require.Error(t, s.Save(background))
					s.SignIn(other)
				})
				require.Equal(t, 200, res.StatusCode, res.body)
				user, n, col := v.see(a)
				if other == "ann" {
					require.Equal(t, "ann 1 red", fmt.Sprint(user, " ", n, " ", col))
				} else {
					require.Equal(t, "bob 0 ", fmt.Sprint(user, " ", n, " ", col))
				}
				require.Empty(t, must(a.m.List(background, map[string]string{"ann": "bob", "bob": "ann"}[other])))
				require.Len(t, must(a.m.List(background, other)), 1)
			})
		}
	}
}

func TestSignOut_AfterFailedSignIn(t *testing.T) {
	store := newFaulty()
	a, v := newApp(t, newManager(t, store)), newVisitor(t)
	request(v, a, func(s *session.Session) { color.Set(s, "red") })
	res := request(v, a, func(s *session.Session) {
		s.SignIn("ann")
		store.once(readsMarker, func(call) error { return errDown })
		require.Error(t, s.Save(background))
		s.SignOut()
	})
	require.Equal(t, 200, res.StatusCode, res.body)
	require.Negative(t, res.setCookie(host).MaxAge)
	require.Zero(t, store.Store.(*memstore.Store).Len())
}

func TestRevokeAll_OwnSessionThenSignIn(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		m := newManager(t, store)
		a, v, other := newApp(t, m), newVisitor(t), newVisitor(t)
		v.login(a, "ann")
		other.login(a, "ann")
		old := v.cookies(a)
		request(v, a, func(s *session.Session) { color.Set(s, "red") })
		res := v.do(a, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			n, err := m.RevokeAll(r.Context(), "ann")
			require.NoError(t, err)
			require.Equal(t, 2, n)
			s.SignIn("ann")
			visits.Set(s, 1)
		})
		require.Equal(t, 200, res.StatusCode, res.body)
		user, n, col := v.see(a)
		require.Equal(t, "ann 1 ", fmt.Sprint(user, " ", n, " ", col), "the data of an ended session is gone")
		require.Equal(t, "", other.user(a))
		require.Equal(t, "", userOf(t, a, old))
	})
}

func TestRevoke_MarkerSize(t *testing.T) {
	store, now := newFaulty(), newClock()
	m := newManager(t, store)
	m.SetClock(now.Now)
	a := newApp(t, m)
	revoke := func() session.ID {
		newVisitor(t).login(a, "ann")
		now.advance(time.Millisecond)
		id := must(m.List(background, "ann"))[0].ID
		require.NoError(t, m.Revoke(background, "ann", id))
		return id
	}
	marker := func() string {
		rec := must(store.Store.Load(background, session.MarkerID("ann")))
		return string(rec.Values["revoked"].Data)
	}
	var last session.ID
	for range 200 {
		last = revoke()
	}
	require.Less(t, len(marker()), 5000)
	require.Contains(t, marker(), last.String())

	// A concurrent sign-in is refused even if the marker has dropped its ID.
	now.advance(time.Second)
	store.once(readsMarker, func(c call) error {
		require.NoError(t, m.Revoke(background, "ann", must(m.List(background, "ann"))[0].ID))
		for range 100 {
			now.advance(time.Millisecond)
			revoke()
		}
		return c.do()
	})
	res := request(newVisitor(t), a, signIn)
	require.Equal(t, http.StatusConflict, res.StatusCode)
	now.advance(time.Millisecond)
	require.Equal(t, 200, newVisitor(t).login(a, "ann").StatusCode)

	now.advance(25 * time.Hour)
	revoke()
	var left struct{ Ended map[string]int64 }
	require.NoError(t, json.Unmarshal([]byte(marker()), &left))
	require.Len(t, left.Ended, 1, "IDs from the day before are dropped")
}

func TestRevokeAll_ClockAhead(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		now := newClock()
		m, ahead := newManager(t, store), newManager(t, store)
		m.SetClock(now.Now)
		ahead.SetClock(func() time.Time { return now.Now().AddDate(1, 0, 0) })
		_, err := ahead.RevokeAll(background, "ann")
		require.NoError(t, err)
		a, v := newApp(t, m), newVisitor(t)
		require.Equal(t, http.StatusConflict, request(v, a, signIn).StatusCode, "the sign-in may have begun before the revocation")
		now.advance(time.Millisecond)
		v.login(a, "ann")

		// Sign-ins concurrent with the next revocation are still refused.
		_, err = ahead.RevokeAll(background, "ann")
		require.NoError(t, err)
		res := request(newVisitor(t), a, func(s *session.Session) {
			now.advance(time.Millisecond)
			_, err := m.RevokeAll(background, "ann")
			require.NoError(t, err)
			s.SignIn("ann")
		})
		require.Equal(t, http.StatusConflict, res.StatusCode)
		now.advance(time.Millisecond)
		require.Equal(t, 200, newVisitor(t).login(a, "ann").StatusCode)
	})
}

func TestExpired(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		now := newClock()
		var mu sync.Mutex
		var events []session.Event
		m := newManager(t, store, session.WithIdleTimeout(time.Hour), session.WithObserver(func(_ ctxT, e session.Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Kind == session.EventExpired {
				events = append(events, e)
			}
		}))
		m.SetClock(now.Now)
		a, v := newApp(t, m), newVisitor(t)
		expired := func(v *visitor, cookies ...string) (is bool) {
			res := v.do(a, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { is = s.Expired() }, cookies...)
			require.Equal(t, "Cookie", res.Header.Get("Vary"))
			return is
		}
		require.False(t, expired(v), "a new visitor")
		require.False(t, expired(bare(t), "Cookie", host+"=forged"), "not signed by this server")
		v.login(a, "ann")
		id := must(m.List(background, "ann"))[0].ID
		require.False(t, expired(v))
		now.advance(time.Hour)
		require.True(t, expired(v))
		mu.Lock()
		require.Equal(t, []session.Event{{Kind: session.EventExpired, Reason: session.ReasonIdleTimeout, ID: id, User: "ann"}}, events)
		mu.Unlock()
		require.NoError(t, store.Delete(background, id))
		require.True(t, expired(v), "the database removed the record")
		v.login(a, "ann")
		require.False(t, expired(v), "another session has started")
		request(v, a, (*session.Session).SignOut)
		require.False(t, expired(v), "signed out")
	})
}

func TestLifetime_LongerThanCookies(t *testing.T) {
	_, err := session.New(memstore.New(), secret, session.WithLifetime(401*24*time.Hour))
	require.ErrorContains(t, err, "WithLifetime(9624h0m0s): want 1s to 9600h0m0s")
	a, v := newApp(t, newManager(t, memstore.New(), session.WithLifetime(400*24*time.Hour))), newVisitor(t)
	res := request(v, a, func(s *session.Session) {
		s.SignIn("ann")
		s.SetTimeouts(time.Hour, 401*24*time.Hour)
	})
	require.Equal(t, http.StatusInternalServerError, res.StatusCode)
	require.Equal(t, 400*24*60*60, v.login(a, "ann").setCookie(host).MaxAge)
}
