package session_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// trail collects the events in the lives of sessions.
type trail struct {
	mu     sync.Mutex
	events []session.Event
}

// observe also reads the request's session, which an observer may do.
func (l *trail) observe(ctx ctxT, e session.Event) {
	if s, ok := session.TryFromContext(ctx); ok {
		s.User()
		s.ID()
	}
	if e.Reason == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

func (l *trail) option() session.Option { return session.WithObserver(l.observe) }

// take returns the events since the last call, in the form "kind reason user".
func (l *trail) take() []string {
	var texts []string
	for _, e := range l.takeEvents() {
		texts = append(texts, strings.TrimSpace(fmt.Sprint(e.Kind, " ", e.Reason, " ", e.User)))
	}
	return texts
}

func (l *trail) takeEvents() []session.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	events := l.events
	l.events = nil
	return events
}

// watched returns an app with a trail and a clock.
func watched(t *testing.T, store session.Store, opts ...session.Option) (*app, *trail, *clock) {
	t.Helper()
	l := new(trail)
	a, now := clocked(t, store, append(opts, l.option())...)
	return a, l, now
}

func TestEvents_LifeOfSession(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		a, l, now := watched(t, store, session.WithClientInfo(), session.WithMaxPerUser(2), session.WithIdleTimeout(24*time.Hour))
		v := newVisitor(t)
		step := func(v *visitor, do func(s *session.Session), want ...string) {
			t.Helper()
			now.advance(time.Second)
			request(v, a, do)
			require.Equal(t, want, l.take())
		}
		as := func(user string) func(*session.Session) { return func(s *session.Session) { s.SignIn(user) } }
		set := func(s *session.Session) { color.Set(s, "red") }

		step(v, func(s *session.Session) { color.Get(s) })
		step(v, set, "created change")
		step(v, set)
		step(v, (*session.Session).Renew, "renewed renew")
		step(v, as("ann"), "signed_in sign_in ann")
		step(v, as("ann"), "signed_in sign_in ann")
		step(v, func(s *session.Session) { s.SetTimeouts(time.Hour, time.Hour) }, "renewed set_timeouts ann")
		step(v, func(s *session.Session) { s.SetTimeouts(24*time.Hour, 24*time.Hour); s.Renew() }, "renewed set_timeouts ann")
		step(v, as("bob"), "signed_out sign_in_as_other_user ann", "created sign_in bob", "signed_in sign_in bob")
		step(v, func(s *session.Session) { s.SignOut(); s.SignIn("ann") },
			"signed_out sign_out bob", "created sign_in ann", "signed_in sign_in ann")
		step(v, (*session.Session).SignOut, "signed_out sign_out ann")
		step(v, (*session.Session).SignOut)

		first, second := newVisitor(t), newVisitor(t)
		step(first, as("ann"), "created sign_in ann", "signed_in sign_in ann")
		step(second, as("ann"), "created sign_in ann", "signed_in sign_in ann")
		step(v, as("ann"), "evicted max_per_user ann", "created sign_in ann", "signed_in sign_in ann")
		require.Equal(t, "", first.user(a))
		step(v, func(s *session.Session) { require.Equal(t, 1, must(s.RevokeOthers(background))) }, "revoked revoke_others ann")
		step(second, as("ann"), "created sign_in ann", "signed_in sign_in ann")
		require.Equal(t, 2, must(a.m.RevokeAll(background, "ann")))
		require.Equal(t, []string{"revoked revoke_all ann", "revoked revoke_all ann"}, l.take())
		now.advance(time.Second)
		step(v, as("ann"), "created sign_in ann", "signed_in sign_in ann")
		id := must(a.m.List(background, "ann"))[0].ID
		require.NoError(t, a.m.Revoke(background, "ann", id))
		require.Equal(t, []string{"revoked revoke ann"}, l.take())
		require.ErrorIs(t, a.m.Revoke(background, "ann", id), session.ErrNotFound)
		require.Empty(t, l.take())

		step(v, as("ann"), "created sign_in ann", "signed_in sign_in ann")
		now.advance(24 * time.Hour)
		step(v, func(s *session.Session) { require.True(t, s.Expired()) }, "expired idle_timeout ann")
		step(v, func(s *session.Session) { s.SignIn("eve"); s.SetTimeouts(time.Hour, time.Hour) },
			"expired idle_timeout ann", "created sign_in eve", "signed_in sign_in eve")
		now.advance(time.Hour)
		step(v, nothingOf, "expired lifetime eve")
		require.Equal(t, 0, must(a.m.RevokeAll(background, "eve")), "it had expired")
		require.Empty(t, l.take())
	})
}

func nothingOf(*session.Session) {}

// An event has the ID and the client of the session that it concerns.
func TestEvents_Fields(t *testing.T) {
	a, l, _ := watched(t, memstore.New(), session.WithClientInfo())
	v := newVisitor(t)
	login := func(user, agent string) (id session.ID) {
		v.do(a, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.SignIn(user); id = s.ID() }, "User-Agent", agent)
		return id
	}
	ann := login("ann", "phone")
	bob := login("bob", "laptop")
	require.NoError(t, a.m.Revoke(background, "bob", bob))
	of := func(kind session.EventKind, why session.EventReason, id session.ID, user, agent string) session.Event {
		return session.Event{Kind: kind, Reason: why, ID: id, User: user, ClientIP: "127.0.0.1", UserAgent: agent}
	}
	require.Equal(t, []session.Event{
		of(session.EventCreated, session.ReasonSignIn, ann, "ann", "phone"),
		of(session.EventSignedIn, session.ReasonSignIn, ann, "ann", "phone"),
		of(session.EventSignedOut, session.ReasonSignInAsOtherUser, ann, "ann", "phone"),
		of(session.EventCreated, session.ReasonSignIn, bob, "bob", "laptop"),
		of(session.EventSignedIn, session.ReasonSignIn, bob, "bob", "laptop"),
		of(session.EventRevoked, session.ReasonRevoke, bob, "bob", "laptop"),
	}, l.takeEvents())
}

// A lost reply neither hides an event nor doubles it, whether the write was
// applied or not.
func TestEvents_LostReply(t *testing.T) {
	signIn := func(s *session.Session) { s.SignIn("ann") }
	change := func(s *session.Session) { color.Set(s, "red") }
	for name, c := range map[string]struct {
		before, calls func(s *session.Session)
		lost          string // operation
		want          []string
	}{
		"created":              {nothingOf, change, "Insert", []string{"created change"}},
		"created by a sign-in": {nothingOf, signIn, "Insert", []string{"created sign_in ann", "signed_in sign_in ann"}},
		"signed in":            {change, signIn, "Update", []string{"signed_in sign_in ann"}},
		"renewed":              {change, (*session.Session).Renew, "Update", []string{"renewed renew"}},
		"timeouts": {
			change, func(s *session.Session) { s.SetTimeouts(time.Hour, time.Hour); color.Set(s, "blue") }, "Update",
			[]string{"renewed set_timeouts"},
		},
		"another user": {
			func(s *session.Session) { s.SignIn("eve") }, signIn, "Insert",
			[]string{"signed_out sign_in_as_other_user eve", "created sign_in ann", "signed_in sign_in ann"},
		},
	} {
		for _, applied := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " applied=", applied), func(t *testing.T) {
				store := newFaulty()
				a, l, _ := watched(t, store)
				v := newVisitor(t)
				request(v, a, c.before)
				l.take()
				store.uncertain(c.lost, applied, 1)
				require.Equal(t, 200, request(v, a, c.calls).StatusCode)
				require.Equal(t, c.want, l.take())
			})
		}
	}
}

// The same holds for a lost reply to a deletion. If the record is still there, the
// request fails, and a later one reports the end.
func TestEvents_LostReplyOfADeletion(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(a *app, s *session.Session) error
		want []string
	}{
		"sign-out": {func(_ *app, s *session.Session) error { s.SignOut(); return s.Save(background) }, []string{"signed_out sign_out ann"}},
		"Revoke":   {func(a *app, s *session.Session) error { return a.m.Revoke(background, "ann", s.ID()) }, []string{"revoked revoke ann"}},
		"RevokeAll": {func(a *app, _ *session.Session) error {
			_, err := a.m.RevokeAll(background, "ann")
			return err
		}, []string{"revoked revoke_all ann"}},
	} {
		t.Run(name, func(t *testing.T) {
			store := newFaulty()
			a, l, _ := watched(t, store)
			v := newVisitor(t)
			v.login(a, "ann")
			l.take()
			res := request(v, a, func(s *session.Session) {
				store.once(op("Delete"), notApplied)
				require.ErrorIs(t, c.end(a, s), session.ErrUncertain)
				require.Empty(t, l.take())
				store.once(op("Delete"), lost)
				require.NoError(t, c.end(a, s))
			})
			require.Equal(t, 200, res.StatusCode)
			require.Equal(t, c.want, l.take())
			require.Equal(t, "", v.user(a))
		})
	}
}

// An event is reported when the outcome is known, and not before.
func TestEvents_UnknownOutcome(t *testing.T) {
	for name, c := range map[string]struct {
		before, calls func(s *session.Session)
		lost          string
		want          []string
	}{
		"created":   {nothingOf, func(s *session.Session) { color.Set(s, "red") }, "Insert", []string{"created change"}},
		"renewed":   {func(s *session.Session) { color.Set(s, "red") }, (*session.Session).Renew, "Update", []string{"renewed renew"}},
		"signed in": {func(s *session.Session) { color.Set(s, "red") }, func(s *session.Session) { s.SignIn("ann") }, "Update", []string{"signed_in sign_in ann"}},
		"new":       {nothingOf, func(s *session.Session) { s.SignIn("ann") }, "Insert", []string{"created sign_in ann", "signed_in sign_in ann"}},
	} {
		for _, applied := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " applied=", applied), func(t *testing.T) {
				store := newFaulty()
				a, l, _ := watched(t, store)
				v := newVisitor(t)
				request(v, a, c.before)
				l.take()
				res := request(v, a, func(s *session.Session) {
					store.uncertain(c.lost, applied, 1)
					store.fail("Load", errDown)
					c.calls(s)
					require.ErrorIs(t, s.Save(background), session.ErrUncertain)
					require.Empty(t, l.take())
					store.fail("Load", nil)
					require.NoError(t, s.Save(background))
				})
				require.Equal(t, 200, res.StatusCode)
				require.Equal(t, c.want, l.take())
			})
		}
	}
}

// A change that is not stored has no event.
func TestEvents_NothingStored(t *testing.T) {
	type calls = func(s *session.Session)
	for name, c := range map[string]struct {
		before, calls calls
		fails         string
		err           error
		status        int
	}{
		"insert":        {nothingOf, func(s *session.Session) { color.Set(s, "red") }, "Insert", errDown, 503},
		"sign-in":       {nothingOf, func(s *session.Session) { s.SignIn("ann") }, "Insert", errDown, 503},
		"renewal":       {func(s *session.Session) { color.Set(s, "red") }, (*session.Session).Renew, "Update", errDown, 503},
		"sign-out":      {func(s *session.Session) { s.SignIn("ann") }, (*session.Session).SignOut, "Delete", errDown, 503},
		"conflict":      {func(s *session.Session) { s.SignIn("ann") }, (*session.Session).Renew, "Update", session.ErrConflict, 409},
		"too large":     {nothingOf, func(s *session.Session) { s.SignIn("ann"); color.Set(s, strings.Repeat("x", 1<<20)) }, "", nil, 500},
		"invalid call":  {nothingOf, func(s *session.Session) { s.SignIn("ann"); s.SignIn("") }, "", nil, 500},
		"discarded":     {nothingOf, func(s *session.Session) { s.SignIn("ann"); s.Discard() }, "", nil, 200},
		"not readable":  {nothingOf, func(s *session.Session) { s.SignIn("ann") }, "Load", errDown, 503},
		"nothing there": {nothingOf, func(s *session.Session) { s.Renew(); s.SignOut() }, "", nil, 200},
	} {
		t.Run(name, func(t *testing.T) {
			store := newFaulty()
			a, l, _ := watched(t, store, session.WithStoreTimeout(10*time.Millisecond))
			v := newVisitor(t)
			request(v, a, c.before)
			l.take()
			res := request(v, a, func(s *session.Session) {
				store.fail(c.fails, c.err)
				c.calls(s)
			})
			require.Equal(t, c.status, res.StatusCode)
			require.Empty(t, l.take())
		})
	}
}

// Of two requests that sign one user in over one session, one reports it.
func TestEvents_JoinedSignIn(t *testing.T) {
	for name, also := range map[string]func(s *session.Session){
		"alone":         nothingOf,
		"with a change": func(s *session.Session) { color.Set(s, "red") },
	} {
		t.Run(name, func(t *testing.T) {
			a, l, _ := watched(t, memstore.New())
			v := newVisitor(t)
			request(v, a, func(s *session.Session) { visits.Set(s, 1) })
			l.take()
			res := during(v, a, func(s *session.Session) { s.SignIn("ann") }, func(s *session.Session) { also(s); s.SignIn("ann") })
			require.Equal(t, 200, res.StatusCode)
			require.Equal(t, []string{"signed_in sign_in ann"}, l.take())
			require.Equal(t, "ann", v.user(a))
		})
		t.Run(name+", admitted later", func(t *testing.T) {
			a, l, now := watched(t, memstore.New())
			v := newVisitor(t)
			request(v, a, func(s *session.Session) { visits.Set(s, 1) })
			old := v.cookies(a)
			v.login(a, "ann")
			l.take()
			now.advance(time.Second)
			res := ask(t, a, old, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { also(s); s.SignIn("ann") })
			require.Equal(t, 200, res.StatusCode)
			require.Empty(t, l.take())
		})
	}
}

// A sign-in that joins a renewal without a sign-in is reported.
func TestEvents_SignInBesideRenewal(t *testing.T) {
	for name, also := range map[string]func(s *session.Session){
		"alone":         nothingOf,
		"with a change": func(s *session.Session) { color.Set(s, "red") },
	} {
		t.Run(name, func(t *testing.T) {
			a, l, now := watched(t, memstore.New())
			v := newVisitor(t)
			v.login(a, "ann")
			l.take()
			now.advance(time.Second)
			res := during(v, a, (*session.Session).Renew, func(s *session.Session) { also(s); s.SignIn("ann") })
			require.Equal(t, 200, res.StatusCode)
			require.Equal(t, []string{"renewed renew ann", "signed_in sign_in ann"}, l.take())
		})
	}
}

// A joined sign-in is not reported either if it is completed by a later Save.
func TestEvents_JoinedSignInOfAnEarlierSave(t *testing.T) {
	store := newFaulty()
	a, l, _ := watched(t, store)
	v := newVisitor(t)
	request(v, a, func(s *session.Session) { visits.Set(s, 1) })
	l.take()
	res := request(v, a, func(s *session.Session) {
		store.uncertain("Update", false, 1)
		store.fail("Load", errDown)
		s.SignIn("ann")
		require.ErrorIs(t, s.Save(background), session.ErrUncertain)
		store.fail("Load", nil)
		request(v, a, func(s *session.Session) { s.SignIn("ann") })
		require.Equal(t, []string{"signed_in sign_in ann"}, l.take())
	})
	require.Equal(t, 200, res.StatusCode)
	require.Empty(t, l.take())
}

// A sign-in that was revoked in progress is not reported, and the end of an
// earlier session is reported once.
func TestEvents_RevokedSignIn(t *testing.T) {
	signIn := func(s *session.Session) { s.SignIn("ann") }
	for name, c := range map[string]struct {
		before func(s *session.Session)
		revoke string // the operation before which the revocation happens
		want   []string
	}{
		"a new session, listed":         {nothingOf, "Load", []string{"revoked revoke_all ann"}},
		"a new session, not listed":     {nothingOf, "Insert", nil},
		"an earlier one, listed":        {func(s *session.Session) { color.Set(s, "red") }, "Load", []string{"revoked revoke_all ann"}},
		"an earlier one, not listed":    {func(s *session.Session) { color.Set(s, "red") }, "Update", []string{"revoked revoked_sign_in ann"}},
		"one of the user, listed":       {signIn, "Load", []string{"revoked revoke_all ann"}},
		"one of the user, before write": {signIn, "Update", []string{"revoked revoke_all ann"}},
	} {
		t.Run(name, func(t *testing.T) {
			store := newFaulty()
			a, l, now := watched(t, store)
			other := newManager(t, store.Store, l.option())
			other.SetClock(now.Now)
			v := newVisitor(t)
			request(v, a, c.before)
			l.take()
			res := request(v, a, func(s *session.Session) {
				signIn(s)
				now.advance(time.Second)
				fits := op(c.revoke)
				if c.revoke == "Load" {
					fits = readsMarker
				}
				store.once(fits, func(call call) error {
					must(other.RevokeAll(background, "ann"))
					return call.do()
				})
			})
			require.Equal(t, 409, res.StatusCode)
			require.Equal(t, c.want, l.take())
		})
	}
}

// A sign-in whose last steps failed is reported once, also if it is repeated.
// If a later request finds out that it was revoked, it reports the end.
func TestEvents_IncompleteSignIn(t *testing.T) {
	signIn := func(s *session.Session) { s.SignIn("ann") }
	earlier := func(s *session.Session) { color.Set(s, "red") }

	t.Run("repeated", func(t *testing.T) {
		for name, again := range map[string]func(s *session.Session){
			"saved":    nothingOf,
			"timeouts": func(s *session.Session) { s.SetTimeouts(time.Hour, time.Hour) },
			"signed":   signIn,
		} {
			store := newFaulty()
			a, l, _ := watched(t, store)
			v := newVisitor(t)
			request(v, a, earlier)
			l.take()
			res := request(v, a, func(s *session.Session) {
				store.once(readsMarker, func(call) error { return errDown })
				signIn(s)
				require.ErrorIs(t, s.Save(background), session.ErrUnavailable)
				require.Equal(t, []string{"signed_in sign_in ann"}, l.take(), name)
				again(s)
			})
			require.Equal(t, 200, res.StatusCode, name)
			require.Empty(t, l.take(), name)
		}
	})
	t.Run("revoked", func(t *testing.T) {
		store := newFaulty()
		a, l, now := watched(t, store)
		v := newVisitor(t)
		request(v, a, earlier)
		l.take()
		now.advance(time.Second)
		res := request(v, a, func(s *session.Session) {
			signIn(s)
			store.once(op("Update"), func(c call) error { // the renewal, after a revocation
				now.advance(time.Second)
				must(a.m.RevokeAll(background, "ann"))
				store.once(readsMarker, func(call) error { return errDown })
				return c.do()
			})
		})
		require.Equal(t, 503, res.StatusCode)
		require.Equal(t, []string{"signed_in sign_in ann"}, l.take())
		require.Equal(t, "", v.user(a))
		require.Equal(t, []string{"revoked revoked_sign_in ann"}, l.take())
		require.Equal(t, "", v.user(a))
		require.Empty(t, l.take())
	})
	t.Run("withdrawn", func(t *testing.T) {
		store := newFaulty()
		a, l, _ := watched(t, store)
		store.once(readsMarker, func(call) error { return errDown })
		require.Equal(t, 503, request(newVisitor(t), a, signIn).StatusCode)
		require.Empty(t, l.take(), "the record was deleted again")
	})
}

// twoCookies returns the Cookie header of a browser with the cookies of both
// visitors.
func twoCookies(a *app, v, w *visitor) string { return v.cookies(a) + "; " + w.cookies(a) }

// A request with several cookies reports each session that it ends once, also
// if the store fails in between.
func TestEvents_SeveralCookies(t *testing.T) {
	for name, c := range map[string]struct {
		calls func(s *session.Session)
		want  []string // after the first attempt
		then  []string
	}{
		"sign-out": {(*session.Session).SignOut, []string{"signed_out sign_out ann"}, []string{"signed_out sign_out bob"}},
		"sign-in": {
			func(s *session.Session) { s.SignIn("bob") },
			[]string{"signed_in sign_in bob"},
			[]string{"signed_out sign_in_as_other_user ann"},
		},
		"sign-in of a third": {
			func(s *session.Session) { s.SignIn("eve") },
			[]string{"signed_out sign_in_as_other_user ann", "created sign_in eve", "signed_in sign_in eve"},
			[]string{"signed_out sign_in_as_other_user bob"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := newFaulty()
			a, l, now := watched(t, store)
			ann, bob := newVisitor(t), newVisitor(t)
			ann.login(a, "ann")
			now.advance(time.Second)
			bob.login(a, "bob")
			l.take()
			last := must(a.m.List(background, "bob"))[0].ID
			if name == "sign-in" {
				last = must(a.m.List(background, "ann"))[0].ID
			}
			res := ask(t, a, twoCookies(a, ann, bob), func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
				c.calls(s)
				store.once(func(c call) bool { return c.op == "Delete" && c.id == last }, func(call) error { return errDown })
				require.ErrorIs(t, s.Save(background), session.ErrUnavailable)
				require.Equal(t, c.want, l.take())
			})
			require.Equal(t, 200, res.StatusCode)
			require.Equal(t, c.then, l.take())
		})
	}
}

// A session beyond the maximum is reported once, also if replies are lost or
// several sign-ins end it.
func TestEvents_Evicted(t *testing.T) {
	isEviction := func(c call) bool { return c.op == "Update" && c.change.User == "" && c.change.Verifier != nil }
	start := func(t *testing.T) (*faulty, *app, *trail) {
		store := newFaulty()
		a, l, now := watched(t, store, session.WithMaxPerUser(1))
		newVisitor(t).login(a, "ann")
		now.advance(time.Second)
		l.take()
		return store, a, l
	}
	want := []string{"evicted max_per_user ann", "created sign_in ann", "signed_in sign_in ann"}
	for name, hook := range map[string]func(c call) error{"applied": lost, "not applied": notApplied} {
		t.Run(name, func(t *testing.T) {
			store, a, l := start(t)
			store.once(isEviction, hook)
			newVisitor(t).login(a, "ann")
			require.Equal(t, want, l.take())
		})
	}
	t.Run("not deleted at first", func(t *testing.T) {
		store, a, l := start(t)
		res := request(newVisitor(t), a, func(s *session.Session) {
			store.once(op("Delete"), func(call) error {
				store.once(op("Delete"), func(call) error { return errDown })
				return errDown
			})
			s.SignIn("ann")
			require.Error(t, s.Save(background))
		})
		require.Equal(t, 200, res.StatusCode)
		require.ElementsMatch(t, want, l.take())
	})
	t.Run("by two sign-ins", func(t *testing.T) {
		store, a, l := start(t)
		old := must(a.m.List(background, "ann"))[0].ID
		store.once(isEviction, func(c call) error {
			store.once(func(c call) bool { return c.op == "Delete" && c.id == old }, func(call) error { return nil }) // it is still there
			newVisitor(t).login(a, "ann")
			return c.do()
		})
		newVisitor(t).login(a, "ann")
		evicted := map[session.ID]int{}
		for _, e := range l.takeEvents() {
			if e.Kind == session.EventEvicted {
				evicted[e.ID]++
			}
		}
		require.Equal(t, 1, evicted[old])
	})
}

// RevokeAll reports what it has ended before the store failed, and the rest
// when it is called again.
func TestEvents_RevokeAllTwice(t *testing.T) {
	store := newFaulty()
	a, l, _ := watched(t, store)
	for range 3 {
		newVisitor(t).login(a, "ann")
	}
	l.take()
	deleted := map[session.ID]bool{}
	store.set(func(c call) error {
		if c.op == "Delete" && len(deleted) == 2 {
			return errDown
		}
		if c.op == "Delete" {
			deleted[c.id] = true
		}
		return c.do()
	})
	n, err := a.m.RevokeAll(background, "ann")
	require.ErrorIs(t, err, session.ErrUnavailable)
	require.Equal(t, 2, n)
	events := l.takeEvents()
	require.Len(t, events, 2)
	for _, e := range events {
		require.True(t, deleted[e.ID])
	}
	store.set(nil)
	require.Equal(t, 1, must(a.m.RevokeAll(background, "ann")))
	events = l.takeEvents()
	require.Len(t, events, 1)
	require.False(t, deleted[events[0].ID])
}

func TestEvents_ContainNothingSecret(t *testing.T) {
	store := newFaulty()
	var mu sync.Mutex
	var text strings.Builder
	a := newApp(t, newManager(t, store, session.WithObserver(func(_ ctxT, e session.Event) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&text, "%+v\n", e)
	})))
	v := newVisitor(t)
	secrets := []string{"scarlet"}
	store.set(func(c call) error {
		if c.record != nil && c.record.Verifier != nil {
			secrets = append(secrets, string(c.record.Verifier), fmt.Sprintf("%v", c.record.Verifier), fmt.Sprintf("%x", c.record.Verifier))
		}
		return c.do()
	})
	for _, do := range []func(s *session.Session){
		func(s *session.Session) { color.Set(s, "scarlet") }, func(s *session.Session) { s.SignIn("ann") },
		(*session.Session).Renew, func(s *session.Session) { s.SignIn("bob") }, (*session.Session).SignOut,
	} {
		for _, c := range request(v, a, do).Cookies() {
			if c.Value != "" {
				secrets = append(secrets, c.Value)
			}
		}
	}
	require.Greater(t, len(secrets), 6)
	require.Contains(t, text.String(), string(session.EventSignedOut))
	for _, is := range secrets {
		assert.NotContains(t, text.String(), is)
	}
}

func TestWithObserver_Several(t *testing.T) {
	var order []string
	add := func(name string) session.Option {
		return session.WithObserver(func(_ ctxT, e session.Event) {
			if e.Kind == session.EventSignedIn {
				order = append(order, name)
			}
		})
	}
	m := newManager(t, memstore.New(), add("first"), add("second"), add("third"))
	s := must(m.Load(background, nil))
	s.SignIn("ann")
	require.NoError(t, s.Save(background))
	require.Equal(t, []string{"first", "second", "third"}, order)
}
