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

// uncertain loses the next replies of an operation, either after applying the
// writes or without applying them.
func (f *faulty) uncertain(op string, applied bool, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost == nil {
		f.lost, f.dropped = map[string]int{}, map[string]int{}
	}
	if applied {
		f.lost[op] = times
	} else {
		f.dropped[op] = times
	}
}

// eachLoss runs a test twice: with lost replies of applied writes and of writes
// that were not applied.
func eachLoss(t *testing.T, f func(t *testing.T, store *faulty, applied bool)) {
	for _, applied := range []bool{true, false} {
		t.Run(fmt.Sprintf("applied=%v", applied), func(t *testing.T) {
			f(t, &faulty{Store: memstore.New()}, applied)
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
	store := &faulty{Store: memstore.New()}
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
	store := &faulty{Store: memstore.New()}
	a, v := newApp(t, newManager(t, store)), newVisitor(t)
	request(v, a, func(s *session.Session) { color.Set(s, "red") })
	cookie := v.cookies(a)
	late := newManager(t, &afterUpdate{store, func() {
		v.login(a, "ann")
		request(v, a, (*session.Session).Renew)
	}})
	s := must(late.Load(background, []*http.Cookie{must(http.ParseCookie(cookie))[0]}))
	s.SignIn("ann")
	color.Set(s, "blue")
	require.ErrorIs(t, s.Save(background), session.ErrUncertain)
	_, _, col := v.see(a)
	require.Equal(t, "blue", col, "it was applied")
}

// afterUpdate runs then between a write and the loss of its reply.
type afterUpdate struct {
	session.Store
	then func()
}

func (u *afterUpdate) Update(ctx ctxT, id session.ID, ch *session.Change) error {
	if err := u.Store.Update(ctx, id, ch); err != nil {
		return err
	}
	u.then()
	return fmt.Errorf("reply lost: %w", session.ErrUncertain)
}

// A server may apply a write long after its connection was closed: after the
// Update has read the old value and tried again.
func TestUpdate_AppliedLate(t *testing.T) {
	for name, after := range map[string]func(land func()){
		"before the next try":  func(land func()) { land() },
		"and then overwritten": nil,
	} {
		t.Run(name, func(t *testing.T) {
			inner := memstore.New()
			store := &lateStore{Store: inner, land: after}
			m := newManager(t, store)
			v, a := newVisitor(t), newApp(t, m)
			request(v, a, func(s *session.Session) { visits.Set(s, 1) })
			other := newApp(t, newManager(t, inner))
			store.other = func() {
				bare(t).do(other, func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
					must(visits.Update(r.Context(), s, func(n int) int { return n + 10 }))
				}, "Cookie", v.cookies(a))
			}
			store.armed = true
			runs := 0
			var got int
			var err error
			request(v, a, func(s *session.Session) {
				got, err = visits.Update(background, s, func(n int) int { runs++; return n + runs })
			})
			_, n, _ := v.see(a)
			if after != nil {
				require.NoError(t, err)
				require.Equal(t, "2 2", fmt.Sprint(got, " ", n), "the first run's value, once")
				return
			}
			require.ErrorIs(t, err, session.ErrUncertain)
			require.Equal(t, 12, n)
		})
	}
}

// lateStore applies the first Update only after the library has read the record
// and tried again.
type lateStore struct {
	session.Store
	armed bool
	late  func()
	land  func(land func())
	other func()
}

func (s *lateStore) Update(ctx ctxT, id session.ID, ch *session.Change) error {
	if !s.armed {
		return s.Store.Update(ctx, id, ch)
	}
	if s.late == nil {
		s.late = func() { _ = s.Store.Update(background, id, ch) }
		return fmt.Errorf("connection died: %w", session.ErrUncertain)
	}
	s.armed = false
	if s.land != nil {
		s.land(s.late)
	} else {
		s.late()
		s.other()
	}
	return s.Store.Update(ctx, id, ch)
}

// A sign-in repeats its insert if the reply was lost. If its session was
// revoked by ID in between, it stays revoked.
func TestRevoke_RepeatedInsert(t *testing.T) {
	store := &revokedBetween{Store: memstore.New()}
	m := newManager(t, store)
	store.revoke = func(id session.ID) { require.NoError(t, m.Revoke(background, "ann", id)) }
	s := must(m.Load(background, nil))
	s.SignIn("ann")
	require.ErrorIs(t, s.Save(background), session.ErrRevoked)
	require.Empty(t, must(m.List(background, "ann")))
	s = must(m.Load(background, nil))
	s.SignIn("ann")
	require.NoError(t, s.Save(background), "the next sign-in")
}

// revokedBetween inserts the first record with a user, revokes its session and
// loses the reply.
type revokedBetween struct {
	session.Store
	revoke func(session.ID)
	done   bool
}

func (b *revokedBetween) Insert(ctx ctxT, rec *session.Record) error {
	if err := b.Store.Insert(ctx, rec); err != nil || rec.User == "" || b.done {
		return err
	}
	b.done = true
	b.revoke(rec.ID)
	return fmt.Errorf("reply lost: %w", session.ErrUncertain)
}
