package session_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// batched is a store that can read several records at once and reports no changes.
type batched struct {
	session.Store
	session.BatchLoader
}

// waitStores are stores in memory that report changes, that read several records
// at once, and that have no optional interface.
var waitStores = map[string]func() (session.Store, *memstore.Store){
	"watched": func() (session.Store, *memstore.Store) { s := memstore.New(); return s, s },
	"batched": func() (session.Store, *memstore.Store) { s := memstore.New(); return batched{s, s}, s },
	"plain":   func() (session.Store, *memstore.Store) { s := memstore.New(); return struct{ session.Store }{s}, s },
}

// eachWaitStore runs a test in a bubble with each kind of store in memory.
func eachWaitStore(t *testing.T, f func(t *testing.T, m *session.Manager, store *memstore.Store, log *logs), opts ...session.Option) {
	t.Helper()
	for name, open := range waitStores {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, mem := open()
				log := &logs{}
				f(t, newManager(t, store, append(opts, log.option())...), mem, log)
			})
		})
	}
}

// signedIn returns a session as the next request of a client sees it, and the
// client's cookie.
func signedIn(t testing.TB, m *session.Manager, user string) (*session.Session, *http.Cookie) {
	t.Helper()
	s, err := m.Load(background, nil)
	require.NoError(t, err)
	s.SignIn(user)
	require.NoError(t, s.Save(background))
	c := s.Cookie()
	return again(t, m, c), c
}

// again returns the session of another request with the cookie.
func again(t testing.TB, m *session.Manager, c *http.Cookie) *session.Session {
	t.Helper()
	s, err := m.Load(background, []*http.Cookie{c})
	require.NoError(t, err)
	return s
}

func save(t testing.TB, s *session.Session) {
	t.Helper()
	require.NoError(t, s.Save(background))
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// settle lets polling stores read several times, and waits until nothing runs.
func settle() {
	time.Sleep(3 * time.Second)
	synctest.Wait()
}

// endings are the ways in which another request ends the session of ann with the
// cookie, or renews its token.
var endings = map[string]func(t testing.TB, m *session.Manager, c *http.Cookie){
	"sign-out": func(t testing.TB, m *session.Manager, c *http.Cookie) { s := again(t, m, c); s.SignOut(); save(t, s) },
	"renewal":  func(t testing.TB, m *session.Manager, c *http.Cookie) { s := again(t, m, c); s.Renew(); save(t, s) },
	"sign-in": func(t testing.TB, m *session.Manager, c *http.Cookie) {
		s := again(t, m, c)
		s.SignIn("ann")
		save(t, s)
	},
	"another user": func(t testing.TB, m *session.Manager, c *http.Cookie) {
		s := again(t, m, c)
		s.SignIn("ben")
		save(t, s)
	},
	"timeouts": func(t testing.TB, m *session.Manager, c *http.Cookie) {
		s := again(t, m, c)
		s.SetTimeouts(time.Hour, time.Hour)
		save(t, s)
	},
	"Revoke": func(t testing.TB, m *session.Manager, c *http.Cookie) {
		require.NoError(t, m.Revoke(background, "ann", again(t, m, c).ID()))
	},
	"RevokeAll": func(t testing.TB, m *session.Manager, _ *http.Cookie) {
		_, err := m.RevokeAll(background, "ann")
		require.NoError(t, err)
	},
	"RevokeOthers": func(t testing.TB, m *session.Manager, _ *http.Cookie) {
		s, _ := signedIn(t, m, "ann")
		_, err := s.RevokeOthers(background)
		require.NoError(t, err)
	},
	"WithMaxPerUser": func(t testing.TB, m *session.Manager, _ *http.Cookie) {
		for range 3 {
			time.Sleep(time.Millisecond) // sign-ins in one millisecond do not end each other
			signedIn(t, m, "ann")
		}
	},
}

func TestEnded_EachEnding(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			eachWaitStore(t, func(t *testing.T, m *session.Manager, _ *memstore.Store, _ *logs) {
				ctx, cancel := context.WithCancel(background)
				defer cancel()
				s, c := signedIn(t, m, "ann")
				other, _ := signedIn(t, m, "cat")
				ended, others := s.Ended(ctx), other.Ended(ctx)
				settle()
				require.False(t, isClosed(ended), "before")
				end(t, m, c)
				time.Sleep(time.Second)
				synctest.Wait()
				require.True(t, isClosed(ended), "a second later")
				require.Error(t, s.Reload(background))
				require.False(t, isClosed(others), "the session of another user")
			}, session.WithMaxPerUser(2))
		})
	}
}

// The channel follows the changes of its own Session.
func TestEnded_OwnChanges(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, s *session.Session){
		"value":        func(_ *testing.T, s *session.Session) { color.Set(s, "red") },
		"renewal":      func(_ *testing.T, s *session.Session) { s.Renew() },
		"sign-in":      func(_ *testing.T, s *session.Session) { s.SignIn("ann") },
		"another user": func(_ *testing.T, s *session.Session) { s.SignIn("ben") },
		"timeouts":     func(_ *testing.T, s *session.Session) { s.SetTimeouts(24*time.Hour, 24*time.Hour) },
		"new session":  func(_ *testing.T, s *session.Session) { s.SignOut(); color.Set(s, "red") },
		"update": func(t *testing.T, s *session.Session) {
			_, err := visits.Update(background, s, func(n int) int { return n + 1 })
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachWaitStore(t, func(t *testing.T, m *session.Manager, store *memstore.Store, _ *logs) {
				ctx, cancel := context.WithCancel(background)
				defer cancel()
				s, _ := signedIn(t, m, "ann")
				ended := s.Ended(ctx)
				settle()
				change(t, s)
				save(t, s)
				settle()
				require.False(t, isClosed(ended))
				require.NoError(t, store.Delete(background, s.ID()), "elsewhere")
				settle()
				require.True(t, isClosed(ended))
			})
		})
	}
}

func TestEnded_OwnSignOut(t *testing.T) {
	eachWaitStore(t, func(t *testing.T, m *session.Manager, _ *memstore.Store, _ *logs) {
		ctx, cancel := context.WithCancel(background)
		defer cancel()
		s, _ := signedIn(t, m, "ann")
		ended := s.Ended(ctx)
		s.SignOut()
		settle()
		require.False(t, isClosed(ended), "it is pending")
		save(t, s)
		settle()
		require.True(t, isClosed(ended))
	})
}

// A renewal whose reply was lost may have been applied. A later Save finds out.
func TestEnded_OwnRenewalWithUnknownOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(background)
		defer cancel()
		store := newFaulty()
		m := newManager(t, store)
		s, _ := signedIn(t, m, "ann")
		ended := s.Ended(ctx)
		var read atomic.Int32
		store.set(func(c call) error {
			if c.op == "Update" {
				return lost(c)
			}
			if c.op == "Load" && read.Add(1) == 1 {
				return errDown // the reading back
			}
			return c.do()
		})
		s.Renew()
		require.ErrorIs(t, s.Save(background), session.ErrUncertain)
		settle()
		require.False(t, isClosed(ended))
		store.set(nil)
		save(t, s)
		settle()
		require.False(t, isClosed(ended))
	})
}

// A commit may change the token between the read of the record and the comparison.
func TestEnded_RenewalDuringTheRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(background)
		defer cancel()
		store := newFaulty()
		m := newManager(t, store)
		s, _ := signedIn(t, m, "ann")
		reads, renewed := make(chan struct{}), make(chan struct{})
		store.once(op("Load"), func(c call) error {
			err := c.do()
			reads <- struct{}{}
			<-renewed
			return err
		})
		ended := s.Ended(ctx)
		<-reads
		s.Renew()
		save(t, s)
		close(renewed)
		settle()
		require.False(t, isClosed(ended))
	})
}

// While a commit waits for the store, the session is not judged, and other sessions
// are.
func TestEnded_DuringACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(background)
		defer cancel()
		store, at := stoppedAtUpdates(memstore.New())
		m := newManager(t, store)
		s, _ := signedIn(t, m, "ann")
		other, _ := signedIn(t, m, "ben")
		ended, others := s.Ended(ctx), other.Ended(ctx)
		s.Renew()
		done := make(chan error)
		go func() { done <- s.Save(background) }()
		<-at
		require.NoError(t, store.Delete(background, other.ID()))
		settle()
		require.True(t, isClosed(others))
		require.False(t, isClosed(ended))
		at <- struct{}{}
		require.NoError(t, <-done)
		settle()
		require.False(t, isClosed(ended))
	})
}

func TestEnded_Timeouts(t *testing.T) {
	eachWaitStore(t, func(t *testing.T, m *session.Manager, _ *memstore.Store, _ *logs) {
		ctx, cancel := context.WithCancel(background)
		defer cancel()
		s, c := signedIn(t, m, "ann")
		ended := s.Ended(ctx)
		time.Sleep(59 * time.Minute)
		save(t, s) // is activity
		time.Sleep(59 * time.Minute)
		again(t, m, c) // activity of another request
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		require.False(t, isClosed(ended))
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		require.True(t, isClosed(ended), "an open connection is no activity")
	}, session.WithIdleTimeout(time.Hour), session.WithTouchInterval(time.Minute), session.WithPollInterval(time.Hour))
}

func TestEnded_NotStored(t *testing.T) {
	eachWaitStore(t, func(t *testing.T, m *session.Manager, store *memstore.Store, _ *logs) {
		ctx, cancel := context.WithCancel(background)
		defer cancel()
		s, err := m.Load(background, nil)
		require.NoError(t, err)
		ended := s.Ended(ctx)
		settle()
		require.False(t, isClosed(ended))
		color.Set(s, "red")
		save(t, s)
		settle()
		require.False(t, isClosed(ended))
		require.NoError(t, store.Delete(background, s.ID()))
		settle()
		require.True(t, isClosed(ended))
	})
}

func TestEnded_SupersededToken(t *testing.T) {
	eachWaitStore(t, func(t *testing.T, m *session.Manager, _ *memstore.Store, _ *logs) {
		ctx, cancel := context.WithCancel(background)
		defer cancel()
		_, c := signedIn(t, m, "ann")
		s := again(t, m, c)
		s.Renew()
		save(t, s)
		ended := again(t, m, c).Ended(ctx)
		settle()
		require.True(t, isClosed(ended))
	})
}

// The session ended between the admission and the call of Ended.
func TestEnded_BeforeTheCall(t *testing.T) {
	eachWaitStore(t, func(t *testing.T, m *session.Manager, store *memstore.Store, _ *logs) {
		ctx, cancel := context.WithCancel(background)
		defer cancel()
		s, _ := signedIn(t, m, "ann")
		require.NoError(t, store.Delete(background, s.ID()))
		ended := s.Ended(ctx)
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		require.True(t, isClosed(ended), "before the poll interval has passed")
	})
}

// A job has no token, so a renewal does not concern it.
func TestEnded_Job(t *testing.T) {
	eachWaitStore(t, func(t *testing.T, m *session.Manager, _ *memstore.Store, _ *logs) {
		ctx, cancel := context.WithCancel(background)
		defer cancel()
		s, c := signedIn(t, m, "ann")
		job, err := m.LoadID(background, s.ID())
		require.NoError(t, err)
		ended := job.Ended(ctx)
		endings["renewal"](t, m, c)
		settle()
		require.False(t, isClosed(ended))
		require.NoError(t, m.Revoke(background, "ann", s.ID()))
		settle()
		require.True(t, isClosed(ended))
	})
}

func TestEnded_StoreFails(t *testing.T) {
	eachWaitStore(t, func(t *testing.T, m *session.Manager, store *memstore.Store, log *logs) {
		ctx, cancel := context.WithCancel(background)
		defer cancel()
		s, _ := signedIn(t, m, "ann")
		store.Fail(errDown)
		ended := s.Ended(ctx)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.False(t, isClosed(ended))
		require.Equal(t, 1, strings.Count(log.String(), "waiting sessions could not be read"), "logged once")
		store.Fail(nil)
		require.NoError(t, store.Delete(background, s.ID()))
		time.Sleep(time.Second)
		synctest.Wait()
		require.True(t, isClosed(ended))
	})
}

// lossy is a store whose changes are not reported while it is down.
type lossy struct {
	*memstore.Store
	watches atomic.Int32
	down    atomic.Bool
	drop    chan struct{}
	loads   atomic.Int32
}

func (s *lossy) LoadBatch(ctx context.Context, ids []session.ID) ([]*session.Record, error) {
	s.loads.Add(1)
	return s.Store.LoadBatch(ctx, ids)
}

func (s *lossy) Watch(ctx context.Context, ready func(), changed func(session.ID)) error {
	if s.down.Load() {
		return errDown
	}
	s.watches.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.drop:
		case <-ctx.Done():
		}
		cancel()
	}()
	return s.Store.Watch(ctx, ready, changed)
}

// If the store stops reporting changes, the sessions are read at the interval. When
// it reports again, they are read once more, because changes were missed.
func TestEnded_LostWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(background)
		defer cancel()
		store, log := &lossy{Store: memstore.New(), drop: make(chan struct{})}, &logs{}
		m := newManager(t, store, log.option(), session.WithPollInterval(time.Minute))
		one, _ := signedIn(t, m, "ann")
		two, _ := signedIn(t, m, "ben")
		first, second := one.Ended(ctx), two.Ended(ctx)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		require.LessOrEqual(t, store.loads.Load(), int32(3), "no reads at the interval while changes are reported")

		store.down.Store(true)
		store.drop <- struct{}{}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.NoError(t, store.Delete(background, one.ID()))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.True(t, isClosed(first), "by the interval")
		require.Equal(t, 1, strings.Count(log.String(), "no longer reports changes"), "logged once")

		require.NoError(t, store.Delete(background, two.ID()))
		store.down.Store(false)
		time.Sleep(11 * time.Second) // the longest pause before the next attempt, less than the interval
		synctest.Wait()
		require.True(t, isClosed(second), "by the new watch")
		require.EqualValues(t, 2, store.watches.Load())
	})
}

// unsupported cannot report changes.
type unsupported struct {
	*memstore.Store
	watches atomic.Int32
}

func (s *unsupported) Watch(context.Context, func(), func(session.ID)) error {
	s.watches.Add(1)
	return errors.ErrUnsupported
}

func TestEnded_UnsupportedWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(background)
		defer cancel()
		store, log := &unsupported{Store: memstore.New()}, &logs{}
		m := newManager(t, store, log.option())
		s, c := signedIn(t, m, "ann")
		ended := s.Ended(ctx)
		time.Sleep(time.Minute)
		endings["sign-out"](t, m, c)
		settle()
		require.True(t, isClosed(ended))
		require.EqualValues(t, 1, store.watches.Load())
		require.Equal(t, 1, strings.Count(log.String(), "cannot report changes"))
	})
}

// Goroutines exist only while somebody waits. The bubble itself fails if one is
// left. A second call for a Session waits as long as either context.
func TestEnded_Release(t *testing.T) {
	eachWaitStore(t, func(t *testing.T, m *session.Manager, _ *memstore.Store, _ *logs) {
		s, c := signedIn(t, m, "ann")
		require.Zero(t, waitGoroutines(), "nobody waits")
		one, cancelOne := context.WithCancel(background)
		two, cancelTwo := context.WithCancel(background)
		defer cancelTwo()
		first, second := s.Ended(one), s.Ended(two)
		synctest.Wait()
		require.Positive(t, waitGoroutines())
		require.LessOrEqual(t, waitGoroutines(), 2)
		cancelOne()
		synctest.Wait()
		require.Equal(t, 1, m.Waiters())
		cancelTwo()
		synctest.Wait()
		require.Zero(t, m.Waiters())
		require.Zero(t, waitGoroutines(), "nobody waits any more")
		endings["sign-out"](t, m, c)
		settle()
		require.False(t, isClosed(first) || isClosed(second), "released")

		s, c = signedIn(t, m, "ann")
		three, cancelThree := context.WithCancel(background)
		defer cancelThree()
		third := s.Ended(three)
		endings["sign-out"](t, m, c)
		settle()
		require.True(t, isClosed(third), "after a pause without waiters")
		require.Zero(t, m.Waiters())
		require.Zero(t, waitGoroutines(), "the last session has ended")
	})
}

// The reads are events, and an observer hides no interface of the store.
func TestEnded_Observed(t *testing.T) {
	for name, open := range waitStores {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(background)
				defer cancel()
				store, _ := open()
				var batches, loads atomic.Int32
				m := newManager(t, store, session.WithObserver(func(_ context.Context, e session.Event) {
					switch {
					case e.Kind == session.EventLoad && e.ID.IsZero():
						batches.Add(1)
					case e.Kind == session.EventLoad:
						loads.Add(1)
					}
				}))
				s, c := signedIn(t, m, "ann")
				loads.Store(0)
				ended := s.Ended(ctx)
				time.Sleep(10*time.Second + 500*time.Millisecond)
				synctest.Wait()
				require.EqualValues(t, map[string]int{"watched": 0, "batched": 0, "plain": 11}[name], loads.Load())
				require.LessOrEqual(t, batches.Load(), map[string]int32{"watched": 2, "batched": 11}[name])
				require.Equal(t, name != "plain", batches.Load() > 0)
				endings["sign-out"](t, m, c)
				settle()
				require.True(t, isClosed(ended))
			})
		})
	}
}

// While all waits are over, the store is not called.
func TestEnded_NoCallsWithoutWaiters(t *testing.T) {
	eachWaitStore(t, func(t *testing.T, m *session.Manager, store *memstore.Store, _ *logs) {
		ctx, cancel := context.WithCancel(background)
		s, _ := signedIn(t, m, "ann")
		s.Ended(ctx)
		settle()
		cancel()
		synctest.Wait()
		var calls atomic.Int32
		store.FailFunc(func(context.Context, session.EventKind) error { calls.Add(1); return nil })
		time.Sleep(time.Hour)
		require.Zero(t, calls.Load())
	})
}
