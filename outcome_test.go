package session_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// beside runs an Update of visits on another replica.
func beside(t *testing.T, store session.Store, id session.ID, f func(int) int) {
	t.Helper()
	s, err := newManager(t, store).LoadID(background, id)
	require.NoError(t, err)
	_, err = visits.Update(background, s, f)
	require.NoError(t, err)
}

// If the reply to a Set is lost, repeating it does not undo an Update by
// another request.
func TestSave_LostReply(t *testing.T) {
	set := func(s *session.Session) { visits.Set(s, 100); color.Set(s, "blue") }
	for name, c := range map[string]struct {
		apply  bool // the first attempt is applied
		other  bool // another request then adds one
		calls  func(s *session.Session)
		status int
		want   string
	}{
		"applied":                         {true, false, set, 200, "100 blue"},
		"applied, then changed":           {true, true, set, 200, "101 blue"},
		"not applied":                     {false, false, set, 200, "100 blue"},
		"not applied, then changed":       {false, true, set, 200, "100 blue"}, // color shows the outcome
		"one key, applied, changed":       {true, true, func(s *session.Session) { visits.Set(s, 100) }, 503, "101 red"},
		"a new key, not applied":          {false, false, func(s *session.Session) { shape.Set(s, "round") }, 503, "1 red"},
		"a new key, applied":              {true, false, func(s *session.Session) { shape.Set(s, "round") }, 200, "1 red"},
		"deleted, applied":                {true, false, func(s *session.Session) { visits.Delete(s) }, 200, "0 red"},
		"deleted, not applied":            {false, false, func(s *session.Session) { visits.Delete(s) }, 200, "0 red"},
		"deleted, applied, counted again": {true, true, func(s *session.Session) { visits.Delete(s) }, 503, "1 red"},
		"cleared, not applied":            {false, false, (*session.Session).Clear, 200, "0 "},
		"cleared, applied":                {true, false, (*session.Session).Clear, 200, "0 "},
		"cleared and set":                 {true, true, func(s *session.Session) { s.Clear(); set(s) }, 200, "101 blue"},
		"cleared and set, not applied":    {false, true, func(s *session.Session) { s.Clear(); set(s) }, 200, "100 blue"},
		"cleared, applied, counted after": {true, true, (*session.Session).Clear, 503, "1 "},
	} {
		t.Run(name, func(t *testing.T) {
			store := newFaulty()
			m := newManager(t, store)
			a, v := newApp(t, m), newVisitor(t)
			request(v, a, func(s *session.Session) { visits.Set(s, 1); color.Set(s, "red") })
			res := request(v, a, func(s *session.Session) {
				c.calls(s)
				store.once(op("Update"), func(u call) error {
					if c.apply {
						require.NoError(t, u.do())
					}
					if c.other {
						beside(t, store.Store, u.id, func(n int) int { return n + 1 })
					}
					return session.ErrUncertain
				})
			})
			require.Equal(t, c.status, res.StatusCode, res.body)
			_, n, col := v.see(a)
			require.Equal(t, c.want, fmt.Sprint(n, " ", col))
		})
	}
}

// The next Save completes one with an unknown outcome. It does not send the old
// values again as if they were new.
func TestSave_AgainAfterUnknownOutcome(t *testing.T) {
	for _, applied := range []bool{true, false} {
		for name, c := range map[string]struct {
			first, then func(s *session.Session)
			count       string // after another request has added one
		}{
			"set":        {func(s *session.Session) { visits.Set(s, 100); color.Set(s, "blue") }, func(s *session.Session) { shape.Set(s, "round") }, "101 blue round"},
			"again":      {func(s *session.Session) { visits.Set(s, 100); color.Set(s, "blue") }, func(s *session.Session) { color.Set(s, "green") }, "101 green flat"},
			"clear":      {func(s *session.Session) { s.Clear(); visits.Set(s, 100); color.Set(s, "blue") }, func(s *session.Session) { shape.Set(s, "round") }, "101 blue round"},
			"clear both": {func(s *session.Session) { s.Clear(); visits.Set(s, 100); color.Set(s, "blue") }, (*session.Session).Clear, "0  "},
			"renew":      {func(s *session.Session) { s.Renew(); visits.Set(s, 100) }, func(s *session.Session) { shape.Set(s, "round") }, "101 red round"},
			"sign in":    {func(s *session.Session) { s.SignIn("ann"); visits.Set(s, 100) }, func(s *session.Session) { color.Delete(s) }, "101  flat"},
			"timeouts":   {func(s *session.Session) { s.Renew(); visits.Set(s, 100) }, func(s *session.Session) { s.SetTimeouts(time.Hour, time.Hour) }, "101 red flat"},
		} {
			t.Run(fmt.Sprint(name, " applied=", applied), func(t *testing.T) {
				store := newFaulty()
				m := newManager(t, store)
				a, v := newApp(t, m), newVisitor(t)
				request(v, a, func(s *session.Session) { visits.Set(s, 1); color.Set(s, "red"); shape.Set(s, "flat") })
				res := request(v, a, func(s *session.Session) {
					c.first(s)
					store.once(op("Update"), func(u call) error {
						store.set(func(c call) error {
							if c.op == "Load" {
								return errDown
							}
							return c.do()
						})
						if applied {
							require.NoError(t, u.do())
						}
						return session.ErrUncertain
					})
					require.ErrorIs(t, s.Save(background), session.ErrUncertain)
					store.set(nil)
					if applied {
						beside(t, store.Store, s.ID(), func(n int) int { return n + 1 })
					}
					c.then(s)
				})
				require.Equal(t, 200, res.StatusCode, res.body)
				if !applied && c.count[0] == '1' {
					request(v, a, func(s *session.Session) { beside(t, store.Store, s.ID(), func(n int) int { return n + 1 }) })
				}
				request(v, a, func(s *session.Session) {
					require.Equal(t, c.count, fmt.Sprint(visits.GetOr(s, 0), " ", color.GetOr(s, ""), " ", shape.GetOr(s, "")))
				})
			})
		}
	}
}

// confirming is a store whose Load returns writes that a failover could undo.
type confirming struct {
	*faulty
	confirm func() error
}

func (c *confirming) Confirm(ctx ctxT, id session.ID) (*session.Record, error) {
	if err := c.confirm(); err != nil {
		return nil, err
	}
	return c.Store.Load(ctx, id)
}

// The Manager does not treat a write as stored if only Load shows it.
func TestConfirm(t *testing.T) {
	for name, calls := range map[string]func(s *session.Session) error{
		"save":    func(s *session.Session) error { color.Set(s, "blue"); return s.Save(background) },
		"renew":   func(s *session.Session) error { s.Renew(); return s.Save(background) },
		"sign in": func(s *session.Session) error { s.SignIn("ann"); return s.Save(background) },
		"insert":  func(s *session.Session) error { s.SignOut(); color.Set(s, "blue"); return s.Save(background) },
		"update": func(s *session.Session) error {
			_, err := visits.Update(background, s, func(n int) int { return n + 1 })
			return err
		},
	} {
		for reply, err := range map[string]error{"lost": session.ErrUncertain, "conflict": session.ErrConflict} {
			if name == "save" && reply == "conflict" {
				continue // a save has no guard
			}
			for _, observer := range []bool{false, true} {
				t.Run(fmt.Sprint(name, " ", reply, " ", observer), func(t *testing.T) {
					var opts []session.Option
					if observer {
						opts = append(opts, session.WithObserver(func(context.Context, session.Event) {}))
					}
					store := &confirming{faulty: newFaulty()}
					a, v := newApp(t, newManager(t, store, opts...)), newVisitor(t)
					request(v, a, func(s *session.Session) { color.Set(s, "red"); visits.Set(s, 1) })
					confirmed := 0
					apply := func(fails error) {
						store.confirm = func() error { confirmed++; return fails }
						store.once(func(c call) bool { return c.op == "Update" || c.op == "Insert" }, func(c call) error {
							require.NoError(t, c.do())
							return err
						})
					}
					request(v, a, func(s *session.Session) {
						apply(session.ErrUncertain)
						require.ErrorIs(t, calls(s), session.ErrUncertain)
						require.Equal(t, 1, confirmed)
						store.set(nil)
						s.Discard()
					})
					v = newVisitor(t)
					request(v, a, func(s *session.Session) { color.Set(s, "red"); visits.Set(s, 1) })
					res := request(v, a, func(s *session.Session) {
						apply(nil)
						require.NoError(t, calls(s))
						require.Equal(t, 2, confirmed)
					})
					require.Equal(t, 200, res.StatusCode)
				})
			}
		}
	}
}

// If a driver repeats a write and the server does not recognize the repetition,
// the result is a conflict although the write was applied.
func TestUpdate_ConflictAlthoughApplied(t *testing.T) {
	store := newFaulty()
	a, v := newApp(t, newManager(t, store)), newVisitor(t)
	request(v, a, func(s *session.Session) { visits.Set(s, 1) })
	request(v, a, func(s *session.Session) {
		store.once(op("Update"), func(c call) error { require.NoError(t, c.do()); return session.ErrConflict })
		n, err := visits.Update(background, s, func(n int) int { return n + 1 })
		require.NoError(t, err)
		require.Equal(t, 2, n)
	})
	_, n, _ := v.see(a)
	require.Equal(t, 2, n)
}

// lateConflict returns a conflict when the store timeout has passed.
type lateConflict struct{ session.Store }

func (s lateConflict) Update(ctx ctxT, _ session.ID, _ *session.Change) error {
	<-ctx.Done()
	return session.ErrConflict
}

func (s lateConflict) Load(ctx ctxT, id session.ID) (*session.Record, error) {
	return s.Store.Load(context.WithoutCancel(ctx), id)
}

// If the store was slow, one conflict is not the reason why an Update gives up.
func TestUpdate_ConflictAtTheTimeout(t *testing.T) {
	store := memstore.New()
	s := must(newManager(t, store).Load(background, nil))
	visits.Set(s, 1)
	require.NoError(t, s.Save(background))
	job := must(newManager(t, lateConflict{store}, session.WithStoreTimeout(20*time.Millisecond)).LoadID(background, s.ID()))
	_, err := visits.Update(background, job, func(n int) int { return n + 1 })
	require.ErrorIs(t, err, session.ErrUnavailable)
	require.NotErrorIs(t, err, session.ErrConflict)
}

// An Update of a pending value has no guard. After a Save it must not overwrite
// the changes of other requests.
func TestUpdate_SaveByAnotherGoroutine(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		m := newManager(t, store)
		a, v := newApp(t, m), newVisitor(t)
		request(v, a, func(s *session.Session) { color.Set(s, "red") })
		res := request(v, a, func(s *session.Session) {
			visits.Set(s, 1)
			runs := 0
			n, err := visits.Update(background, s, func(n int) int {
				if runs++; runs == 1 {
					require.NoError(t, s.Save(background))
					beside(t, store, s.ID(), func(n int) int { return n + 10 })
				}
				return n + 1
			})
			require.NoError(t, err)
			require.Equal(t, 12, n)
		})
		require.Equal(t, 200, res.StatusCode, res.body)
		_, n, _ := v.see(a)
		require.Equal(t, 12, n)
	})
}

func TestReload_BesideUpdate(t *testing.T) {
	store := newFaulty()
	m := newManager(t, store)
	a, v := newApp(t, m), newVisitor(t)
	request(v, a, func(s *session.Session) { visits.Set(s, 1) })
	request(v, a, func(s *session.Session) {
		store.once(op("Update"), func(c call) error {
			require.NoError(t, s.Reload(background)) // reads 1
			return c.do()
		})
		_, err := visits.Update(background, s, func(n int) int { return n + 1 })
		require.NoError(t, err)
		require.Equal(t, 2, visits.GetOr(s, 0))

		// A Reload after the Update read a newer value.
		store.once(op("Update"), func(c call) error {
			require.NoError(t, c.do())
			beside(t, store.Store, s.ID(), func(n int) int { return n + 10 })
			return s.Reload(background)
		})
		_, err = visits.Update(background, s, func(n int) int { return n + 1 })
		require.NoError(t, err)
		require.Equal(t, 13, visits.GetOr(s, 0))
	})
}

// A connection with a superseded token does not see values stored after the
// renewal, although the user is the same.
func TestUpdate_AfterConcurrentSignIn(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		m := newManager(t, store)
		a, v, old := newApp(t, m), newVisitor(t), bare(t)
		v.login(a, "ann")
		request(v, a, func(s *session.Session) { visits.Set(s, 1) })
		old.do(a, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
			v.login(a, "ann")
			request(v, a, func(s *session.Session) {
				_, err := visits.Update(background, s, func(int) int { return 1000 })
				require.NoError(t, err)
			})
			_, err := visits.Update(background, s, func(n int) int {
				require.Equal(t, 1, n)
				return n + 1
			})
			require.ErrorIs(t, err, session.ErrSuperseded)
			require.Equal(t, 1, visits.GetOr(s, 0))
		}, "Cookie", v.cookies(a))
		_, n, _ := v.see(a)
		require.Equal(t, 1000, n)
	})
}

// In the queue of one process, an Update receives the value stored by the
// previous Update, unless their tokens differ.
func TestUpdate_QueuedBehindSignIn(t *testing.T) {
	store := newFaulty()
	m := newManager(t, store)
	a, v, old := newApp(t, m), newVisitor(t), bare(t)
	v.login(a, "ann")
	request(v, a, func(s *session.Session) { visits.Set(s, 1) })
	cookie := v.cookies(a)
	entered, done := make(chan struct{}), make(chan error)
	old.do(a, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		v.login(a, "ann")
		request(v, a, func(owner *session.Session) {
			_, err := visits.Update(background, owner, func(int) int {
				go func() {
					entered <- struct{}{}
					_, err := visits.Update(background, s, func(n int) int {
						if n != 1 {
							t.Errorf("saw %d, which was stored with another token", n)
						}
						return n + 1
					})
					done <- err
				}()
				<-entered
				waitForQueue(m)
				return 1000
			})
			require.NoError(t, err)
		})
		require.ErrorIs(t, <-done, session.ErrSuperseded)
	}, "Cookie", cookie)
}

// waitForQueue returns when an Update waits for another one.
func waitForQueue(m *session.Manager) {
	for m.Waiting() < 2 {
		runtime.Gosched()
	}
}

// A repeated save is guarded by the versions read before it, because another
// request may write between the read and the repetition.
func TestSave_RepetitionIsGuarded(t *testing.T) {
	store := newFaulty()
	a, v := newApp(t, newManager(t, store)), newVisitor(t)
	request(v, a, func(s *session.Session) { visits.Set(s, 1); color.Set(s, "red") })
	res := request(v, a, func(s *session.Session) {
		visits.Set(s, 100)
		color.Set(s, "blue")
		store.once(op("Update"), func(first call) error {
			store.once(op("Update"), func(again call) error {
				require.NoError(t, first.do()) // it was only late
				beside(t, store.Store, first.id, func(n int) int { return n + 1 })
				return again.do()
			})
			return session.ErrUncertain
		})
	})
	require.Equal(t, 200, res.StatusCode, res.body)
	_, n, col := v.see(a)
	require.Equal(t, "101 blue", fmt.Sprint(n, " ", col))
}

// Renewals by the request itself do not supersede it.
func TestUpdate_AfterOwnRenewal(t *testing.T) {
	store := newFaulty()
	m := newManager(t, store)
	a, v := newApp(t, m), newVisitor(t)
	request(v, a, func(s *session.Session) { visits.Set(s, 1) })
	request(v, a, func(s *session.Session) {
		runs := 0
		n, err := visits.Update(background, s, func(n int) int {
			if runs++; runs == 1 {
				beside(t, store.Store, s.ID(), func(n int) int { return n + 10 })
				s.Renew()
				require.NoError(t, s.Save(background))
			}
			return n + 1
		})
		require.NoError(t, err)
		require.Equal(t, 12, n)

		store.once(op("Load"), func(c call) error { // the read after a conflict
			err := c.do()
			s.Renew()
			require.NoError(t, s.Save(background))
			return err
		})
		beside(t, store.Store, s.ID(), func(n int) int { return n + 10 })
		n, err = visits.Update(background, s, func(n int) int { return n + 1 })
		require.NoError(t, err)
		require.Equal(t, 23, n)
	})
}

// Functions supplied by the program may ask the session for its user, even
// during an outage.
func TestCallbacks_ReadTheSession(t *testing.T) {
	now := newClock()
	var mu sync.Mutex
	var s *session.Session
	asked := map[string]int{}
	ask := func(by string) {
		mu.Lock()
		is := s
		asked[by]++
		mu.Unlock()
		if is != nil {
			is.User()
			is.ID()
			visits.GetOr(is, 0)
		}
	}
	store := newFaulty()
	m := newManager(t, store,
		session.WithLogger(slog.New(askingHandler{slog.DiscardHandler, ask})),
		session.WithObserver(func(context.Context, session.Event) { ask("observer") }),
		session.WithCodec(askingCodec{session.JSON, func() { ask("codec") }}))
	m.SetClock(now.Now)
	done := make(chan struct{})
	go func() {
		defer close(done)
		is := must(m.Load(background, nil))
		mu.Lock()
		s = is
		mu.Unlock()
		is.SignIn("ann")
		color.Set(is, "red")
		assert.NoError(t, is.Save(background))
		now.advance(2 * time.Hour)
		store.once(op("Update"), func(call) error { return errDown }) // the touch
		color.Set(is, "blue")
		assert.NoError(t, is.Save(background))
		_, err := visits.Update(background, is, func(n int) int { ask("f"); return n + 1 })
		assert.NoError(t, err)
		assert.NoError(t, is.Reload(background))
		store.set(func(call) error { return errDown })
		color.Set(is, "green")
		assert.Error(t, is.Save(background))
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("a callback waits for the session, which waits for the callback")
	}
	for _, by := range []string{"logger", "observer", "f"} {
		require.NotZero(t, asked[by], by)
	}
}

type askingHandler struct {
	slog.Handler
	ask func(string)
}

func (h askingHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h askingHandler) Handle(context.Context, slog.Record) error {
	h.ask("logger")
	return nil
}

type askingCodec struct {
	session.Codec
	ask func()
}

func (c askingCodec) Encode(v any) ([]byte, error) {
	c.ask()
	return c.Codec.Encode(v)
}
