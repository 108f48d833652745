package express_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/express"
	"github.com/holdfast-go/session/memstore"
	"github.com/holdfast-go/session/mongostore"
)

var errDown = errors.New("down")

// records returns a store for the sessions of Go, beside the sessions of Express.
func records(t testing.TB) session.Store {
	t.Helper()
	store, err := mongostore.OpenCollection(t.Context(), collection(t).Database().Collection("http_sessions"))
	require.NoError(t, err)
	t.Cleanup(func() { store.Close(context.Background()) })
	return store
}

func TestMove_UserAndCart(t *testing.T) {
	for name, form := range map[string]any{
		"text": sessionOfAda,
		"sub-document": bson.D{
			{Key: "cookie", Value: bson.D{{Key: "originalMaxAge", Value: 3600000}, {Key: "path", Value: "/"}}},
			{Key: "passport", Value: bson.D{{Key: "user", Value: "ada"}}},
			{Key: "cart", Value: bson.A{"tea"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, records(t))
			b := s.browser(s.express(id, form))
			b.sees("ada tea 0")
			require.NotEmpty(t, b.cookie(s.m.CookieName()))
			require.Equal(t, 1, s.documents(), "the browser may not have the cookie yet")
			require.NotEmpty(t, b.cookie("connect.sid"))
			b.post("/cart?add=milk") // removes the Express session
			require.Zero(t, s.documents())
			require.Empty(t, b.cookie("connect.sid"))
			b.sees("ada tea,milk 0")
			require.Len(t, must(s.m.List(t.Context(), "ada")), 1)
		})
	}
}

// With a removal delay, the Express session stays for requests that the browser has
// sent without the new cookie.
func TestMove_RemovalDelay(t *testing.T) {
	coll := collection(t)
	insert(t, coll, document(sessionOfAda))
	old := open(t, coll)
	now := time.Now()
	old.SetClock(func() time.Time { return now })
	m := memstore.NewManager()
	h := m.Wrap(old.Move(m, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	send := func(r *http.Request) *http.Response {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result()
	}
	first := send(request(sid)).Cookies()
	require.Len(t, first, 1)
	for _, after := range []time.Duration{0, 29 * time.Second, 31 * time.Second} {
		now = now.Add(after)
		r := request(sid)
		r.AddCookie(first[0])
		require.Equal(t, after > 30*time.Second, strings.HasPrefix(send(r).Header.Get("Set-Cookie"), "connect.sid=;"), after)
	}
}

// Many requests of a visitor, of whom no response has arrived, end in one session.
func TestMove_ConcurrentRequests(t *testing.T) {
	s := newSite(t, records(t))
	b := s.browser(s.express(id, sessionOfAda))
	const n = 8
	var meet sync.WaitGroup
	meet.Add(n)
	s.hook(func(op string) error {
		if op == "Load" {
			meet.Done()
			meet.Wait()
		}
		return nil
	})
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() {
			one := s.browser(b.cookie("connect.sid"))
			if res := one.send("POST", fmt.Sprintf("/cart?add=%d", i)); res.StatusCode != 200 {
				t.Errorf("%d %s", res.StatusCode, res.body)
			}
			if c := one.cookie(s.m.CookieName()); c != "" {
				b.Jar.SetCookies(b.u, []*http.Cookie{{Name: s.m.CookieName(), Value: c, Path: "/", Secure: true}})
			}
		})
	}
	done.Wait()
	s.hook(nil)
	res := b.send("GET", "/")
	require.True(t, strings.HasPrefix(res.body, "ada tea,"), res.body)
	for i := range n {
		require.Contains(t, res.body, fmt.Sprint(i), "no item of the cart is lost")
	}
	require.Len(t, must(s.m.List(t.Context(), "ada")), 1)
}

func TestMove_AnonymousSessions(t *testing.T) {
	for name, c := range map[string]struct {
		form, sees string
		moves      bool
	}{
		"a cart":                  {sessionOfOne, " tea 0", true},
		"nothing":                 {`{` + plainCookie + `}`, "  0", false},
		"no property of interest": {`{` + plainCookie + `,"flash":{},"csrfSecret":"x"}`, "  0", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, memstore.New())
			b := s.browser(s.express(id, c.form))
			b.sees(c.sees)
			require.Equal(t, c.moves, b.cookie(s.m.CookieName()) != "")
			b.sees(c.sees)
			require.Equal(t, c.moves, s.documents() == 0)
			require.Equal(t, c.moves, b.cookie("connect.sid") == "")
		})
	}
}

// Visitors without a valid cookie of Express cause no store call.
func TestMove_OthersAreNotTouched(t *testing.T) {
	s := newSite(t, memstore.New())
	s.hook(func(op string) error { return fmt.Errorf("unexpected %s", op) })
	for _, sid := range []string{"", "bad", sid + "x", signed("")} {
		b := s.browser(sid)
		b.sees("  0")
		require.Empty(t, b.cookie(s.m.CookieName()))
	}
	b := s.browser("")
	b.post("/login?user=bob")
	b.set(signed("an ID of Express"))
	b.sees("bob  0") // the visitor's own session counts, without a look at Express
}

// Without the store of Express, a visitor of Express gets an error page and keeps
// both cookies.
func TestMove_StoreOfExpressFails(t *testing.T) {
	s := newSite(t, memstore.New())
	b := s.browser(s.express(id, sessionOfAda))
	s.hook(func(string) error { return errDown })
	res := b.send("GET", "/")
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	require.Equal(t, "5", res.Header.Get("Retry-After"))
	require.Empty(t, res.Header["Set-Cookie"])
	require.Contains(t, s.logs.String(), "express: visitor could not be moved")
	s.hook(nil)
	b.sees("ada tea 0")

	// A visitor who has moved does not need it.
	s.hook(func(string) error { return errDown })
	b.sees("ada tea 0")
	require.Contains(t, s.logs.String(), "trying again later")
	require.NotEmpty(t, b.cookie("connect.sid"))
	s.hook(nil)
	b.sees("ada tea 0")
	require.Empty(t, b.cookie("connect.sid"))
	require.Zero(t, s.documents())
}

// A step of the move fails, in the store of Go or in the one of Express, before or
// after it was applied, or the response is lost. A retry ends in one session with the
// cart.
// imported is the ID of the session of Go that continues the session id.
var imported = importedID()

func TestMove_EachStepFails(t *testing.T) {
	steps := []string{"go Load", "go Insert", "go Insert, applied", "go Load of revocations", "Load", "Mark", "Mark, applied", "Delete", "Delete, applied", "go Update", "the response"}
	for _, step := range steps {
		for _, requests := range []int{1, 2} { // the step fails once, or twice
			t.Run(fmt.Sprintf("%s %d", step, requests), func(t *testing.T) {
				goStore := memstore.New()
				failing := &failingStore{Store: goStore}
				s := newSite(t, failing)
				b := s.browser(s.express(id, sessionOfAda))
				for range requests {
					failing.step.Store(&step)
					s.hook(func(op string) error {
						switch step {
						case op:
							return errDown
						case op + ", applied":
							s.hook(nil)
							var err error
							switch op {
							case "Mark":
								_, err = s.store.Mark(t.Context(), id, express.MarkMoved)
							case "Delete":
								err = s.store.Delete(t.Context(), id)
							}
							require.NoError(t, err)
							return errDown
						}
						return nil
					})
					res := b.send("GET", "/")
					if step == "the response" {
						b.drop()
						require.Equal(t, "ada tea 0", res.body)
					}
					if res.StatusCode != 200 {
						require.Equal(t, http.StatusServiceUnavailable, res.StatusCode, "%s", res.body)
					}
				}
				failing.step.Store(nil)
				s.hook(nil)
				b.sees("ada tea 0")
				b.post("/cart?add=milk")
				b.sees("ada tea,milk 0")
				require.Len(t, must(s.m.List(t.Context(), "ada")), 1)
			})
		}
	}
}

// An expired or revoked session of Go is not begun again by the cookie of Express.
func TestMove_OnlyOnce(t *testing.T) {
	for _, rollback := range []bool{false, true} {
		t.Run(fmt.Sprint(rollback), func(t *testing.T) {
			var opts []express.Option
			if rollback {
				opts = append(opts, express.WithRollback())
			}
			s := newSite(t, memstore.New(), opts...)
			b := s.browser(s.express(id, sessionOfAda))
			b.sees("ada tea 0")
			n, err := s.m.RevokeAll(t.Context(), "ada")
			require.NoError(t, err)
			require.Equal(t, 1, n)
			b.sees("  0")
			b.drop()
			b.sees("  0")
			require.Equal(t, 1, s.documents())
		})
	}
}

func TestMove_SignOutEndsBoth(t *testing.T) {
	for name, c := range map[string]struct {
		opts   []express.Option
		visits int // before the sign-out
	}{
		"at once":                 {nil, 0},
		"moved":                   {[]express.Option{express.WithRemovalDelay(time.Hour)}, 1},
		"removed":                 {nil, 2},
		"rollback":                {[]express.Option{express.WithRollback()}, 1},
		"rollback, after a while": {[]express.Option{express.WithRollback()}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, records(t), c.opts...)
			cookie := s.express(id, sessionOfAda)
			b := s.browser(cookie)
			for range c.visits {
				b.sees("ada tea 0")
			}
			b.post("/logout")
			require.Zero(t, s.documents())
			require.Empty(t, b.cookie("connect.sid"))
			require.Empty(t, b.cookie(s.m.CookieName()))
			require.Empty(t, must(s.m.List(t.Context(), "ada")))

			// A slow request of Express stores its session again and sends its cookie.
			s.express(id, sessionOfAda)
			b.set(cookie)
			if name != "removed" {
				b.sees("  0")
				require.Zero(t, s.documents())
			}
		})
	}
}

// If the Express session cannot be ended, the sign-out has not happened.
func TestMove_SignOutFails(t *testing.T) {
	for _, op := range []string{"Load", "Mark", "Delete"} {
		s := newSite(t, memstore.New(), express.WithRollback())
		b := s.browser(s.express(id, sessionOfAda))
		b.sees("ada tea 0")
		b.sees("ada tea 0")
		s.hook(func(got string) error {
			if got == op {
				return errDown
			}
			return nil
		})
		require.Equal(t, http.StatusServiceUnavailable, b.send("POST", "/logout").StatusCode)
		s.hook(nil)
		b.sees("ada tea 0")
		b.post("/logout")
		b.sees("  0")
		require.Zero(t, s.documents())
	}
}

// A sign-in as another user ends the Express session of the first one.
func TestMove_SignInAsOtherUser(t *testing.T) {
	s := newSite(t, memstore.New(), express.WithRollback())
	b := s.browser(s.express(id, sessionOfAda))
	b.sees("ada tea 0")
	b.post("/login?user=bob")
	require.Zero(t, s.documents())
	require.Empty(t, b.cookie("connect.sid"))
	b.sees("bob  0")
}

// A sign-in renews the token. The cookie of Express does not open the session any
// more.
func TestMove_ThenSignIn(t *testing.T) {
	s := newSite(t, memstore.New(), express.WithRollback())
	b := s.browser(s.express(id, sessionOfOne))
	b.sees(" tea 0")
	b.post("/login?user=ada")
	b.sees("ada tea 0")
	thief := s.browser(b.cookie("connect.sid"))
	thief.sees("  0")
	b.sees("ada tea 0")
}

func TestMove_Rollback(t *testing.T) {
	s := newSite(t, memstore.New(), express.WithRollback())
	b := s.browser(s.express(id, sessionOfAda))
	for range 3 {
		b.sees("ada tea 0")
	}
	raw, err := s.coll.FindOne(t.Context(), bson.D{}).Raw()
	require.NoError(t, err)
	require.Equal(t, sessionOfAda, raw.Lookup("session").StringValue())
	require.NotEmpty(t, b.cookie("connect.sid"))
	s.hook(func(op string) error { return fmt.Errorf("unexpected %s", op) })
	b.sees("ada tea 0") // without a call of the store
}

// A request read the Express session, which another request then moved and signed
// out. It must not begin the session again.
func TestMove_BesideSignOut(t *testing.T) {
	s := newSite(t, records(t))
	cookie := s.express(id, sessionOfAda)
	goStore := s.browser(cookie)
	var once sync.Once
	late := s.browser(cookie)
	// The late request has loaded the session of Express when the hook runs.
	loaded, proceed := make(chan struct{}), make(chan struct{})
	s.store.after(func(op string) {
		if op == "Load" {
			first := false
			once.Do(func() { first = true })
			if first {
				close(loaded)
				<-proceed
			}
		}
	})
	var res reply
	var done sync.WaitGroup
	done.Go(func() { res = late.send("GET", "/") })
	<-loaded
	goStore.sees("ada tea 0")
	goStore.post("/logout")
	close(proceed)
	done.Wait()
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, "  0", res.body)
	require.Empty(t, res.Header["Set-Cookie"])
	require.Empty(t, must(s.m.List(t.Context(), "ada")))
}

// A property that does not fit is left out, and the Express session is kept.
func TestMove_PropertyDoesNotFit(t *testing.T) {
	s := newSite(t, memstore.New())
	b := s.browser(s.express(id, `{`+plainCookie+`,"passport":{"user":"ada"},"cart":{"tea":1},"views":3}`))
	b.sees("ada  3")
	b.sees("ada  3")
	require.Equal(t, 1, s.documents())
	require.Contains(t, s.logs.String(), "property was not moved")
}

func TestMove_WithUser(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		sees   string
	}{
		"a user":        {nil, 200, "user-ada tea 0"},
		"revoked":       {fmt.Errorf("password changed: %w", session.ErrRevoked), 200, "  0"},
		"damaged":       {fmt.Errorf("unknown user: %w", express.ErrDamaged), 200, "  0"},
		"not available": {fmt.Errorf("users: %w", session.ErrUnavailable), 503, ""},
		"another error": {errDown, 500, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, memstore.New(), express.WithUser(func(_ context.Context, s *express.Session) (string, error) {
				user, _ := s.JSON("passport", "user")
				return "user-" + strings.Trim(string(user), `"`), c.err
			}))
			b := s.browser(s.express(id, sessionOfAda))
			res := b.send("GET", "/")
			require.Equal(t, c.status, res.StatusCode)
			if c.status == 200 {
				require.Equal(t, c.sees, res.body)
			}
			require.Equal(t, 1, s.documents())
		})
	}
}

// A client that sends its token in a header is not touched, even with a cookie of
// Express.
func TestMove_TokenHeader(t *testing.T) {
	coll := collection(t)
	insert(t, coll, document(sessionOfAda))
	old := open(t, coll)
	m := memstore.NewManager(session.WithTokenHeader("Authorization", "Session-Token"))
	h := m.Wrap(old.Move(m, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		require.Empty(t, s.User())
		s.SignOut()
	})))
	r := request(sid)
	r.Header.Set("Authorization", "Bearer")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, 200, w.Code)
	require.Empty(t, w.Header()["Set-Cookie"])
	require.Equal(t, sessionOfAda, stored(t, coll).Lookup("session").StringValue())
}

// A request from another site comes without the cookie of Go, because of SameSite, but
// perhaps with the one of Express.
func TestMove_CrossSite(t *testing.T) {
	s := newSite(t, memstore.New(), express.WithRollback())
	b := s.browser(s.express(id, sessionOfAda))
	crossSite := []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}
	res := b.send("POST", "/cart?add=poison", crossSite...)
	require.Equal(t, http.StatusForbidden, res.StatusCode)
	b.sees("ada tea 0")
	withheld := s.browser(b.cookie("connect.sid"))
	require.Equal(t, http.StatusForbidden, withheld.send("POST", "/cart?add=poison", crossSite...).StatusCode)
	b.sees("ada tea 0")
}

func TestMove_DamagedSession(t *testing.T) {
	for _, form := range []any{"{", "[object Object]", nil, `{"passport":{"user":"ada"}}`} {
		s := newSite(t, memstore.New())
		b := s.browser(s.express(id, form))
		b.sees("  0")
		b.post("/cart?add=milk")
		b.sees(" milk 0")
		require.Equal(t, 1, s.documents())
		require.Contains(t, s.logs.String(), "session cannot be read")
	}
}

// Numbers keep their digits.
func TestMove_Numbers(t *testing.T) {
	coll := collection(t)
	insert(t, coll, document(`{`+plainCookie+`,"n":12345678901234567890.10}`))
	const n session.Key[rawNumber] = "n"
	old := open(t, coll, express.WithProperty("n", n))
	m := memstore.NewManager()
	var got rawNumber
	m.Wrap(old.Move(m, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, _ = n.Get(session.FromContext(r.Context()))
	}))).ServeHTTP(httptest.NewRecorder(), request(sid))
	require.Equal(t, rawNumber("12345678901234567890.10"), got)
}

// rawNumber keeps the digits of a number.
type rawNumber string

func (n *rawNumber) UnmarshalJSON(text []byte) error { *n = rawNumber(text); return nil }
func (n rawNumber) MarshalJSON() ([]byte, error)     { return []byte(n), nil }

func TestMove_DeletionCookie(t *testing.T) {
	s := newSite(t, memstore.New())
	cookie := s.express(id, `{"cookie":{"originalMaxAge":null,"path":"/shop","domain":"example.com","secure":true,"partitioned":true,"sameSite":"none"},"passport":{"user":"ada"}}`)
	first := s.browser(cookie).send("GET", "/")
	b := s.browser(cookie)
	b.Jar.SetCookies(b.u, first.Cookies())
	res := b.send("GET", "/")
	require.Equal(t, "connect.sid=; Path=/shop; Domain=example.com; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; HttpOnly; Secure; SameSite=None; Partitioned", res.Header.Get("Set-Cookie"))
}

func TestMove_Panics(t *testing.T) {
	old := open(t, collection(t))
	m := memstore.NewManager(session.WithCookieName("connect.sid"))
	require.PanicsWithValue(t, `express: the session cookie and the one of Express are both named "connect.sid": choose another name with session.WithCookieName`, func() { old.Move(m, nil) })
	require.Panics(t, func() {
		old.Move(memstore.NewManager(), nil).ServeHTTP(httptest.NewRecorder(), request("not signed"))
	}, "outside Wrap")
}
