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

func TestRevoke_OneAllAndOthers(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		m := newManager(t, store, session.WithClientInfo())
		a := newApp(t, m)
		phone, laptop, tablet, bob := newVisitor(t), newVisitor(t), newVisitor(t), newVisitor(t)
		for _, v := range []*visitor{phone, laptop, tablet} {
			v.login(a, "ann")
		}
		bob.login(a, "bob")
		infos, err := m.List(background, "ann")
		require.NoError(t, err)
		require.Len(t, infos, 3)
		require.Equal(t, "127.0.0.1", infos[0].ClientIP)
		require.Equal(t, "Go-http-client/1.1", infos[0].UserAgent)

		var id session.ID
		request(phone, a, func(s *session.Session) { id = s.ID() })
		require.ErrorIs(t, m.Revoke(background, "bob", id), session.ErrNotFound, "bob revoked ann's session")
		require.NoError(t, m.Revoke(background, "ann", id))
		require.ErrorIs(t, m.Revoke(background, "ann", id), session.ErrNotFound)
		require.Equal(t, "", phone.user(a))
		require.Equal(t, "ann", laptop.user(a))

		request(laptop, a, func(s *session.Session) {
			n, err := s.RevokeOthers(background)
			require.NoError(t, err)
			require.Equal(t, 1, n)
		})
		require.Equal(t, "ann", laptop.user(a))
		require.Equal(t, "", tablet.user(a))
		tablet.login(a, "ann")
		n, err := m.RevokeAll(background, "ann")
		require.NoError(t, err)
		require.Equal(t, 2, n)
		require.Equal(t, "", laptop.user(a))
		require.Equal(t, "bob", bob.user(a))
		laptop.login(a, "ann")
		require.Equal(t, "ann", laptop.user(a), "a sign-in after the revocation")
	})
}

func TestRevokeAll_ConcurrentSignIn(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		m := newManager(t, store)
		a := newApp(t, m)
		for name, before := range map[string]func(s *session.Session){
			"with no session before":   func(*session.Session) {},
			"with an anonymous one":    func(s *session.Session) { color.Set(s, "red") },
			"with one of another user": func(s *session.Session) { s.SignIn("bob") },
		} {
			v := newVisitor(t)
			request(v, a, before)
			res := request(v, a, func(s *session.Session) {
				_, err := m.RevokeAll(background, "ann") // another request revokes
				require.NoError(t, err)
				s.SignIn("ann")
			})
			require.Equal(t, http.StatusConflict, res.StatusCode, name)
			require.Empty(t, res.Header["Set-Cookie"], name)
			infos, err := m.List(background, "ann")
			require.NoError(t, err)
			require.Empty(t, infos, name)
		}
	})
}

func TestRevokeAll_SameRequestMaySignIn(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		m := newManager(t, store)
		a, v, other := newApp(t, m), newVisitor(t), newVisitor(t)
		other.login(a, "ann")
		res := v.do(a, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			n, err := m.RevokeAll(r.Context(), "ann")
			require.NoError(t, err)
			require.Equal(t, 1, n)
			s.SignIn("ann")
		})
		require.Equal(t, http.StatusOK, res.StatusCode)
		require.Equal(t, "ann", v.user(a))
		require.Equal(t, "", other.user(a))
	})
}

func TestRevokeAll_MarkerIsNoSession(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		m := newManager(t, store)
		_, err := m.RevokeAll(background, "ann")
		require.NoError(t, err)
		infos, err := store.List(background, "ann")
		require.NoError(t, err)
		require.Empty(t, infos)
		_, err = m.LoadID(background, session.MarkerID("ann"))
		require.ErrorIs(t, err, session.ErrNotFound)
	})
}

func TestRevokeAll_ConcurrentCalls(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		m := newManager(t, store)
		errs := make(chan error)
		for range 8 {
			go func() { _, err := m.RevokeAll(background, "ann"); errs <- err }()
		}
		for range 8 {
			require.NoError(t, <-errs)
		}
		now := newClock()
		m.SetClock(now.Now)
		ahead := newManager(t, store)
		ahead.SetClock(func() time.Time { return now.Now().Add(20 * time.Second) })
		_, err := ahead.RevokeAll(background, "ann")
		require.NoError(t, err)
		_, err = m.RevokeAll(background, "ann")
		require.NoError(t, err)
		res := request(newVisitor(t), newApp(t, m), func(s *session.Session) { s.SignIn("ann") })
		require.Equal(t, http.StatusConflict, res.StatusCode, "the second revocation moved the time back")
	})
}

func TestSignIn_UnreadableMarker(t *testing.T) {
	store := newFaulty()
	a, v := newApp(t, newManager(t, store)), newVisitor(t)
	store.fail("Load", errors.New("down"))
	res := request(v, a, func(s *session.Session) { s.SignIn("ann") })
	store.fail("Load", nil)
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	require.Empty(t, res.Header["Set-Cookie"])
	require.Zero(t, store.Store.(*memstore.Store).Len())
}

func TestWithMaxPerUser(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		now := newClock()
		m := newManager(t, store, session.WithMaxPerUser(2))
		m.SetClock(now.Now)
		a := newApp(t, m)
		var all []*visitor
		for i := range 3 {
			v := newVisitor(t)
			v.login(a, "ann")
			all = append(all, v)
			now.advance(2 * time.Hour)
			if i == 1 {
				require.Equal(t, "ann", all[0].user(a)) // so the second is the least recently seen
				now.advance(2 * time.Hour)
			}
		}
		require.Equal(t, "[ann  ann]", fmt.Sprint([]string{all[0].user(a), all[1].user(a), all[2].user(a)}))
	})
}

func TestRevokeOthers_NoUser(t *testing.T) {
	s, err := newManager(t, memstore.New()).Load(background, nil)
	require.NoError(t, err)
	_, err = s.RevokeOthers(background)
	require.ErrorContains(t, err, "nobody is signed in")
	_, err = newManager(t, memstore.New()).RevokeAll(background, "")
	require.ErrorContains(t, err, "must not be empty")
}

// A double click on "change my password" must not end the session of both
// requests.
func TestRevokeOthers_SupersededToken(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		a, v := newApp(t, newManager(t, store)), newVisitor(t)
		request(v, a, func(s *session.Session) { color.Set(s, "red") })
		old := v.cookies(a)
		v.login(a, "ann")
		res := ask(t, a, old, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			_, err := s.RevokeOthers(r.Context())
			require.ErrorIs(t, err, session.ErrSuperseded)
			s.SignIn("ann")
			_, err = s.RevokeOthers(r.Context())
			require.NoError(t, err)
		})
		require.Equal(t, 200, res.StatusCode)
		require.Equal(t, "ann", v.user(a))
		require.Equal(t, "ann", userOf(t, a, host+"="+res.setCookie(host).Value))
	})
}

// A revoked sign-in leaves no record. If deleting it fails, the error does not
// claim that.
func TestSignIn_RevokedDeletesRecord(t *testing.T) {
	store := newFaulty()
	m := newManager(t, store, session.WithStoreTimeout(time.Second))
	a := newApp(t, m)
	signIn := func() int {
		return request(newVisitor(t), a, func(s *session.Session) {
			_, err := m.RevokeAll(background, "ann")
			require.NoError(t, err)
			s.SignIn("ann")
		}).StatusCode
	}
	require.Equal(t, 409, signIn())
	store.uncertain("Delete", false, 2)
	require.Equal(t, 409, signIn())
	require.Equal(t, 1, store.Store.(*memstore.Store).Len(), "only the marker is left")
	store.fail("Delete", errDown)
	require.Equal(t, 503, signIn())
}

// Concurrent sign-ins do not end each other. The next sign-in ends both.
func TestWithMaxPerUser_ConcurrentSignIns(t *testing.T) {
	for range 5 {
		store := newFaulty()
		var listed sync.WaitGroup // both Lists return only when both have been called
		listed.Add(2)
		store.set(func(c call) error {
			err := c.do()
			if c.op == "List" {
				listed.Done()
				listed.Wait()
			}
			return err
		})
		m, now := newManager(t, store, session.WithMaxPerUser(1)), newClock()
		m.SetClock(now.Now)
		a := newApp(t, m)
		one, two := newVisitor(t), newVisitor(t)
		done := make(chan answer)
		signIn := func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.SignIn("ann") }
		for _, v := range []*visitor{one, two} {
			go func() { done <- v.try(a, signIn) }()
		}
		require.Equal(t, 200, (<-done).StatusCode)
		require.Equal(t, 200, (<-done).StatusCode)
		require.Contains(t, one.user(a)+two.user(a), "ann", "the sign-ins ended each other")
		store.set(nil)
		now.advance(time.Millisecond) // the precision of stored times
		newVisitor(t).login(a, "ann")
		require.Empty(t, one.user(a)+two.user(a))
	}
}

// If a session signs in again after another sign-in has listed the user's
// sessions, the other sign-in does not end it.
func TestWithMaxPerUser_SecondSignIn(t *testing.T) {
	store := newFaulty()
	now := newClock()
	uncapped, m := newManager(t, store), newManager(t, store, session.WithMaxPerUser(1))
	uncapped.SetClock(now.Now)
	m.SetClock(now.Now)
	signIn := func(m *session.Manager, cookies ...*http.Cookie) *http.Cookie {
		now.advance(time.Millisecond)
		s := must(m.Load(background, cookies))
		s.SignIn("ann")
		require.NoError(t, s.Save(background))
		return s.Cookie()
	}
	one, two := signIn(uncapped), signIn(uncapped)
	store.once(op("List"), func(c call) error {
		err := c.do()
		two = signIn(m, two)
		return err
	})
	signIn(m, one)
	infos := must(m.List(background, "ann"))
	require.Len(t, infos, 1)
	require.Equal(t, must(m.Load(background, []*http.Cookie{two})).ID(), infos[0].ID)
}
