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

const day = 24 * time.Hour

// clocked returns an app with a clock moved by the test.
func clocked(t *testing.T, store session.Store, opts ...session.Option) (*app, *clock) {
	t.Helper()
	now := newClock()
	m := newManager(t, store, opts...)
	m.SetClock(now.Now)
	return newApp(t, m), now
}

func TestIdleTimeout_ToTheMillisecond(t *testing.T) {
	for name, c := range map[string]struct {
		opts  []session.Option
		start func(s *session.Session)
		idle  time.Duration
	}{
		"default":         {nil, func(s *session.Session) { s.SignIn("ann") }, 14 * day},
		"anonymous":       {[]session.Option{session.WithAnonymousIdleTimeout(time.Hour)}, func(s *session.Session) { visits.Set(s, 1) }, time.Hour},
		"for one session": {nil, func(s *session.Session) { s.SignIn("ann"); s.SetTimeouts(90*time.Second, day) }, 90 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, store session.Store) {
				a, now := clocked(t, store, c.opts...)
				v := newVisitor(t)
				seen := func() bool {
					user, n, _ := v.see(a)
					return user != "" || n != 0
				}
				request(v, a, c.start)
				now.advance(c.idle - time.Millisecond)
				require.True(t, seen(), "ended one millisecond early")
				now.advance(c.idle - time.Millisecond)
				require.True(t, seen(), "the touch did not extend it")
				now.advance(c.idle)
				require.False(t, seen(), "alive at the end of the idle timeout")
			})
		})
	}
}

func TestLifetime_NotExtendedByTouch(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		a, now := clocked(t, store, session.WithIdleTimeout(time.Hour), session.WithLifetime(10*time.Hour))
		v := newVisitor(t)
		request(v, a, func(s *session.Session) { color.Set(s, "red") })
		for range 9 * 2 {
			now.advance(30 * time.Minute)
			_, _, col := v.see(a)
			require.Equal(t, "red", col)
		}
		// A sign-in restarts the lifetime; a renewal does not.
		v.login(a, "ann")
		for range 9*2 + 1 {
			now.advance(30 * time.Minute)
			require.Equal(t, "ann", v.user(a))
		}
		require.Equal(t, 30*60, request(v, a, (*session.Session).Renew).setCookie(host).MaxAge)
		now.advance(30*time.Minute - time.Millisecond)
		require.Equal(t, "ann", v.user(a))
		now.advance(time.Millisecond)
		require.Equal(t, "", v.user(a))
	})
}

func TestTimeouts_LoweredByDeploy(t *testing.T) {
	store := memstore.New()
	a, now := clocked(t, store)
	v := newVisitor(t)
	v.login(a, "ann")
	own := newVisitor(t)
	request(own, a, func(s *session.Session) { s.SignIn("own"); s.SetTimeouts(10*day, 20*day) })
	now.advance(2 * time.Hour)
	for _, c := range []struct {
		opts []session.Option
		user string
	}{
		{[]session.Option{session.WithIdleTimeout(time.Hour)}, ""},
		{[]session.Option{session.WithLifetime(time.Hour)}, ""},
		{[]session.Option{session.WithLifetime(2 * time.Hour)}, ""},
		{[]session.Option{session.WithLifetime(2*time.Hour + 1)}, "ann"},
		{nil, "ann"},
	} {
		m := newManager(t, store, c.opts...)
		m.SetClock(now.Now)
		b := newApp(t, m)
		require.Equal(t, c.user, userOf(t, b, v.cookies(a)), len(c.opts))
		require.Equal(t, "own", userOf(t, b, own.cookies(a)), "a session keeps its own timeouts")
	}
}

// An active visitor stays signed in and causes one write per touch interval.
func TestTouch_Intervals(t *testing.T) {
	for _, c := range []struct{ idle, touch, own time.Duration }{
		{14 * day, -1, 0},
		{time.Hour, -1, 0},
		{time.Hour, 50 * time.Minute, 0},
		{time.Hour, 0, 0},
		{14 * day, time.Hour, 10 * time.Second},
	} {
		t.Run(fmt.Sprint(c.idle, c.touch, c.own), func(t *testing.T) {
			opts := []session.Option{session.WithIdleTimeout(c.idle)}
			if c.touch >= 0 {
				opts = append(opts, session.WithTouchInterval(c.touch))
			}
			touches := 0
			a, now := clocked(t, memstore.New(), append(opts, session.WithObserver(func(_ ctxT, e session.Event) {
				if e.Kind == session.EventUpdate {
					touches++
				}
			}))...)
			v := newVisitor(t)
			idle, interval := c.idle, c.touch
			if interval < 0 {
				interval = min(c.idle/10, time.Hour)
			}
			request(v, a, func(s *session.Session) {
				s.SignIn("ann")
				if c.own > 0 {
					s.SetTimeouts(c.own, 29*day)
					idle, interval = c.own, c.own/10
				}
			})
			touches = 0
			// The effective idle timeout is at least idle − interval.
			step := idle - interval - time.Millisecond
			for range 20 {
				if !now.Now().Add(step).Before(newClock().Now().Add(29 * day)) {
					break
				}
				now.advance(step)
				require.Equal(t, "ann", v.user(a))
			}
			request(v, a, func(s *session.Session) {
				s.SignIn("ann")
				if c.own > 0 {
					s.SetTimeouts(c.own, 29*day)
				}
			})
			touches = 0
			for range 5 {
				v.user(a)
			}
			if interval > 0 {
				require.Zero(t, touches, "a read within the touch interval wrote")
			}
			now.advance(interval + time.Millisecond)
			for range 5 {
				v.user(a)
			}
			require.Equal(t, 1, touches)
		})
	}
}

func TestTouch_AfterShorterTimeout(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		a, now := clocked(t, store)
		v := newVisitor(t)
		v.login(a, "ann")
		now.advance(2 * time.Hour)
		slow, at := stoppedAtUpdates(store)
		// Its clock is ahead, so the touch is due by time.
		m := newManager(t, slow, session.WithTouchInterval(0))
		m.SetClock(func() time.Time { return now.Now().Add(10 * time.Millisecond) })
		b := newApp(t, m)
		done := make(chan answer)
		cookies := v.cookies(a)
		go func() { done <- bare(t).try(b, nothing, "Cookie", cookies) }()
		<-at // a touch is about to be written
		request(v, a, func(s *session.Session) { s.SetTimeouts(time.Minute, day) })
		at <- struct{}{}
		require.Equal(t, 200, (<-done).StatusCode)
		now.advance(time.Minute + 20*time.Millisecond)
		require.Equal(t, "", v.user(a))
	})
}

func TestExpiry_ClocksDiffer(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		behind, now := clocked(t, store, session.WithIdleTimeout(time.Minute))
		m := newManager(t, store, session.WithIdleTimeout(time.Minute))
		m.SetClock(func() time.Time { return now.Now().Add(5 * time.Second) })
		ahead := newApp(t, m)
		v := newVisitor(t)
		c := v.login(behind, "ann").setCookie(host)
		cookie := c.Name + "=" + c.Value
		for range 10 {
			now.advance(20 * time.Second)
			require.Equal(t, "ann", userOf(t, ahead, cookie))
			now.advance(20 * time.Second)
			require.Equal(t, "ann", userOf(t, behind, cookie))
		}
		renewed := ask(t, ahead, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Renew() }).setCookie(host)
		require.Equal(t, "ann", userOf(t, behind, host+"="+renewed.Value))
		require.Equal(t, "", userOf(t, behind, cookie))
	})
}

// A request is judged once. Its commit succeeds although its session has expired
// meanwhile. Save and the next request check the timeouts again.
func TestExpiry_DuringRequest(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		a, now := clocked(t, store, session.WithIdleTimeout(time.Minute))
		v := newVisitor(t)
		v.login(a, "ann")
		res := request(v, a, func(s *session.Session) {
			now.advance(time.Hour)
			color.Set(s, "red")
		})
		require.Equal(t, 200, res.StatusCode)
		require.Equal(t, "", v.user(a))

		v.login(a, "ann")
		request(v, a, func(s *session.Session) {
			now.advance(50 * time.Second)
			require.Equal(t, "ann", v.user(a), "the session ended although another request extended it")
			now.advance(50 * time.Second)
			color.Set(s, "red")
			require.NoError(t, s.Save(background), "Save did not read the record again")
			now.advance(time.Hour)
			require.ErrorIs(t, s.Save(background), session.ErrNotFound)
			require.ErrorIs(t, s.Reload(background), session.ErrNotFound)
		})
	})
}

func TestSave_KeepsLongConnectionAlive(t *testing.T) {
	a, now := clocked(t, memstore.New(), session.WithIdleTimeout(time.Minute))
	v := newVisitor(t)
	v.login(a, "ann")
	request(v, a, func(s *session.Session) {
		for range 20 {
			now.advance(50 * time.Second)
			require.NoError(t, s.Save(background))
			require.NoError(t, s.Reload(background))
		}
	})
	require.Equal(t, "ann", v.user(a))
}

func TestLoadID_IsNoActivity(t *testing.T) {
	a, now := clocked(t, memstore.New(), session.WithIdleTimeout(time.Minute))
	v := newVisitor(t)
	var id session.ID
	request(v, a, func(s *session.Session) { s.SignIn("ann"); id = s.ID() })
	now.advance(50 * time.Second)
	s, err := a.m.LoadID(background, id)
	require.NoError(t, err)
	require.NoError(t, s.Save(background))
	now.advance(10 * time.Second)
	_, err = a.m.LoadID(background, id)
	require.ErrorIs(t, err, session.ErrNotFound)
	require.ErrorIs(t, s.Save(background), session.ErrNotFound)
}
