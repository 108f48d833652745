package session_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// eachLoss runs a test twice: with lost replies of applied writes and of writes
// that were not applied.
func eachLoss(t *testing.T, f func(t *testing.T, store *faulty, applied bool)) {
	for _, applied := range []bool{true, false} {
		t.Run(fmt.Sprintf("applied=%v", applied), func(t *testing.T) {
			f(t, newFaulty(), applied)
		})
	}
}

func TestInsert_LostReplies(t *testing.T) {
	eachLoss(t, func(t *testing.T, store *faulty, applied bool) {
		a, v := newApp(t, newManager(t, store)), newVisitor(t)
		store.uncertain("Insert", applied, 2)
		require.Equal(t, 200, request(v, a, func(s *session.Session) { color.Set(s, "red") }).StatusCode)
		_, _, col := v.see(a)
		require.Equal(t, "red", col)
		require.Equal(t, 1, store.Store.(*memstore.Store).Len())

		// After a Save with an unknown outcome, the commit finds its record and
		// adds the later changes.
		v = newVisitor(t)
		request(v, a, func(s *session.Session) {
			color.Set(s, "blue")
			store.uncertain("Insert", applied, 1)
			store.fail("Load", errDown)
			require.Error(t, s.Save(background))
			store.fail("Load", nil)
			visits.Set(s, 7)
			s.Clear()
			visits.Set(s, 8)
		})
		_, n, col := v.see(a)
		require.Equal(t, "8", fmt.Sprint(n, col))
		require.Equal(t, 2, store.Store.(*memstore.Store).Len())
	})
}

func TestRenew_LostReplies(t *testing.T) {
	eachLoss(t, func(t *testing.T, store *faulty, applied bool) {
		a, v := newApp(t, newManager(t, store)), newVisitor(t)
		request(v, a, func(s *session.Session) { color.Set(s, "red") })
		store.uncertain("Update", applied, 1)
		request(v, a, func(s *session.Session) { s.SignIn("ann"); visits.Set(s, 1) })
		user, n, col := v.see(a)
		require.Equal(t, "ann 1 red", fmt.Sprint(user, " ", n, " ", col))

		// As above: after a failed Save, the commit has more changes.
		request(v, a, func(s *session.Session) {
			s.Renew()
			visits.Set(s, 2)
			store.uncertain("Update", applied, 1)
			store.fail("Load", errDown)
			require.Error(t, s.Save(background))
			store.fail("Load", nil)
			color.Set(s, "blue")
			s.SetTimeouts(time.Hour, 48*time.Hour)
		})
		user, n, col = v.see(a)
		require.Equal(t, "ann 2 blue", fmt.Sprint(user, " ", n, " ", col))
		require.Equal(t, time.Hour, must(a.m.List(background, "ann"))[0].IdleTimeout)
	})
}

func TestUpdate_LostReplies(t *testing.T) {
	eachLoss(t, func(t *testing.T, store *faulty, applied bool) {
		a, v := newApp(t, newManager(t, store)), newVisitor(t)
		add := func(s *session.Session) error {
			_, err := visits.Update(background, s, func(n int) int { return n + 1 })
			return err
		}
		request(v, a, func(s *session.Session) { color.Set(s, "red") })
		// The key was absent. If the write was not applied, the record does not
		// show whether it was.
		store.uncertain("Update", applied, 1)
		request(v, a, func(s *session.Session) {
			if err := add(s); applied {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, session.ErrUncertain)
				require.Equal(t, http.StatusServiceUnavailable, session.HTTPStatus(err))
				require.NoError(t, add(s))
			}
		})
		store.uncertain("Update", applied, 1)
		request(v, a, func(s *session.Session) { require.NoError(t, add(s)) })
		_, n, _ := v.see(a)
		require.Equal(t, 2, n)
	})
}

func TestSignOut_LostReplies(t *testing.T) {
	store := newFaulty()
	m := newManager(t, store)
	a, v := newApp(t, m), newVisitor(t)
	v.login(a, "ann")
	for _, op := range []string{"Insert", "Update"} {
		for _, applied := range []bool{true, false} {
			store.uncertain(op, applied, 1)
			_, err := m.RevokeAll(background, "ann")
			require.NoError(t, err, op)
		}
	}
	require.Equal(t, "", v.user(a))
}

// A renewal was applied and its reply lost. Then a concurrent request joined it
// and renewed again. The first request cannot tell whether its change was
// stored.
func TestRenew_RenewedAgain(t *testing.T) {
	store := newFaulty()
	a, v := newApp(t, newManager(t, store)), newVisitor(t)
	request(v, a, func(s *session.Session) { color.Set(s, "red") })
	cookie := v.cookies(a)
	late := &faulty{Store: store}
	late.once(op("Update"), func(c call) error {
		require.NoError(t, c.do())
		v.login(a, "ann")
		request(v, a, (*session.Session).Renew)
		return errReplyLost
	})
	s := must(newManager(t, late).Load(background, []*http.Cookie{must(http.ParseCookie(cookie))[0]}))
	s.SignIn("ann")
	color.Set(s, "blue")
	require.ErrorIs(t, s.Save(background), session.ErrUncertain)
	_, _, col := v.see(a)
	require.Equal(t, "blue", col, "it was applied")
}

// A server may apply a write long after its connection was closed: after the
// Update has read the old value and tried again.
func TestUpdate_AppliedLate(t *testing.T) {
	for name, overwritten := range map[string]bool{"before the next try": false, "and then overwritten": true} {
		t.Run(name, func(t *testing.T) {
			store := newFaulty()
			m := newManager(t, store)
			v, a := newVisitor(t), newApp(t, m)
			request(v, a, func(s *session.Session) { visits.Set(s, 1) })
			runs := 0
			var got int
			var err error
			request(v, a, func(s *session.Session) {
				store.once(op("Update"), func(first call) error {
					store.once(op("Update"), func(second call) error {
						require.NoError(t, first.do())
						if overwritten {
							beside(t, store.Store, second.id, func(n int) int { return n + 10 })
						}
						return second.do()
					})
					return errReplyLost
				})
				got, err = visits.Update(background, s, func(n int) int { runs++; return n + runs })
			})
			_, n, _ := v.see(a)
			if overwritten {
				require.ErrorIs(t, err, session.ErrUncertain)
				require.Equal(t, 12, n)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "2 2", fmt.Sprint(got, " ", n), "the first run's value, once")
		})
	}
}

// A sign-in repeats its insert if the reply was lost. If its session was
// revoked by ID in between, it stays revoked.
func TestRevoke_RepeatedInsert(t *testing.T) {
	store := newFaulty()
	m := newManager(t, store)
	store.once(func(c call) bool { return c.op == "Insert" && c.record.User != "" }, func(c call) error {
		require.NoError(t, c.do())
		require.NoError(t, m.Revoke(background, "ann", c.id))
		return errReplyLost
	})
	s := must(m.Load(background, nil))
	s.SignIn("ann")
	require.ErrorIs(t, s.Save(background), session.ErrRevoked)
	require.Empty(t, must(m.List(background, "ann")))
	s = must(m.Load(background, nil))
	s.SignIn("ann")
	require.NoError(t, s.Save(background), "the next sign-in")
}
