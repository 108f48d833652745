package migrate

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	scsmem "github.com/alexedwards/scs/v2/memstore"
	"github.com/gorilla/sessions"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

func init() { gob.Register([]string{}) }

// bridge is an old app and a new one. A browser sends the cookies of one to the other, because both have one host.
type bridge struct {
	t        *testing.T
	manager  *session.Manager
	scs      *scs.SessionManager // nil for gorilla
	old, new string
}

// newBridge starts both apps. oldApp serves POST /login and POST /cart, and says who a visitor is.
func newBridge(t *testing.T, oldApp http.Handler, wrap func(*session.Manager, http.Handler) http.Handler) *bridge {
	t.Helper()
	b := &bridge{t: t, manager: memstore.NewManager(session.DangerouslyAllowHTTP(), session.WithCookieName("id"))}
	app := http.NewServeMux()
	app.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		fmt.Fprintf(w, "%s %v", s.User(), cart.GetOr(s, nil))
	})
	app.HandleFunc("POST /logout", func(_ http.ResponseWriter, r *http.Request) { session.FromContext(r.Context()).SignOut() })
	before, after := httptest.NewServer(oldApp), httptest.NewServer(b.manager.Wrap(wrap(b.manager, app)))
	t.Cleanup(before.Close)
	t.Cleanup(after.Close)
	b.old, b.new = before.URL, after.URL
	return b
}

type visitor struct {
	t *testing.T
	http.Client
}

func (b *bridge) visitor() *visitor {
	jar, _ := cookiejar.New(nil)
	return &visitor{b.t, http.Client{Jar: jar}}
}

// ann has signed in at the old app and has tea in the cart.
func (b *bridge) ann() *visitor {
	v := b.visitor()
	v.post(b.old + "/login")
	require.Equal(b.t, "ann [tea]", v.get(b.old))
	return v
}

func (v *visitor) do(method, url string) (int, string) {
	v.t.Helper()
	r, err := http.NewRequest(method, url, nil)
	require.NoError(v.t, err)
	res, err := v.Do(r)
	require.NoError(v.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(v.t, err)
	return res.StatusCode, string(body)
}

func (v *visitor) get(url string) string {
	v.t.Helper()
	_, body := v.do(http.MethodGet, url)
	return body
}
func (v *visitor) post(url string) { v.t.Helper(); v.do(http.MethodPost, url) }

// copied returns a visitor with a copy of the cookies of v.
func (v *visitor) copied(of string) *visitor {
	jar, _ := cookiejar.New(nil)
	u, _ := url.Parse(of)
	jar.SetCookies(u, v.Jar.Cookies(u))
	return &visitor{v.t, http.Client{Jar: jar}}
}

func (v *visitor) has(name, of string) bool {
	u, _ := url.Parse(of)
	for _, c := range v.Jar.Cookies(u) {
		if c.Name == name {
			return true
		}
	}
	return false
}

func scsBridge(t *testing.T, delay time.Duration, configure ...func(*scs.SessionManager)) (*bridge, *failing) {
	old := scs.New()
	for _, set := range configure {
		set(old)
	}
	store := &failing{Store: scsmem.NewWithCleanupInterval(0)}
	old.Store = store
	app := http.NewServeMux()
	app.HandleFunc("POST /login", func(_ http.ResponseWriter, r *http.Request) {
		old.Put(r.Context(), "userID", "ann")
		old.Put(r.Context(), "cart", []string{"tea"})
	})
	app.HandleFunc("POST /remember", func(_ http.ResponseWriter, r *http.Request) { old.RememberMe(r.Context(), true) })
	app.HandleFunc("POST /cart", func(_ http.ResponseWriter, r *http.Request) { old.Put(r.Context(), "cart", []string{"tea"}) })
	app.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %v", old.GetString(r.Context(), "userID"), old.Get(r.Context(), "cart"))
	})
	b := newBridge(t, old.LoadAndSave(app), func(m *session.Manager, next http.Handler) http.Handler { return FromSCS(old, delay, m, next) })
	b.scs = old
	return b, store
}

// failing is a store of scs that can fail.
type failing struct {
	scs.Store
	down   bool
	expiry atomic.Pointer[time.Time] // of the last commit
}

func (f *failing) Commit(token string, data []byte, expiry time.Time) error {
	f.expiry.Store(&expiry)
	return f.Store.Commit(token, data, expiry)
}

func (f *failing) All() (map[string][]byte, error) { return f.Store.(scs.IterableStore).All() }

func (f *failing) Find(token string) ([]byte, bool, error) {
	if f.down {
		return nil, false, errors.New("down")
	}
	return f.Store.Find(token)
}

func gorillaBridge(t *testing.T, keep bool) *bridge {
	store := sessions.NewCookieStore([]byte("a key of thirty-two bytes, as is"))
	app := http.NewServeMux()
	save := func(user string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			s, _ := store.Get(r, "shop")
			s.Values["cart"] = []string{"tea"}
			if user != "" {
				s.Values["user"] = user
			}
			if err := s.Save(r, w); err != nil {
				http.Error(w, err.Error(), 500)
			}
		}
	}
	app.HandleFunc("POST /login", save("ann"))
	app.HandleFunc("POST /cart", save(""))
	app.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		s, _ := store.Get(r, "shop")
		user, _ := s.Values["user"].(string)
		fmt.Fprintf(w, "%s %v", user, s.Values["cart"])
	})
	store.Options.Secure = false
	return newBridge(t, app, func(_ *session.Manager, next http.Handler) http.Handler {
		return FromGorilla(store, "shop", keep, next)
	})
}

// each runs a test on both bridges. If keep is true, the team can go back.
func each(t *testing.T, keep bool, f func(t *testing.T, b *bridge, cookie string)) {
	t.Run("scs", func(t *testing.T) {
		delay := time.Duration(0)
		if keep {
			delay = 24 * time.Hour
		}
		b, _ := scsBridge(t, delay)
		f(t, b, "session")
	})
	t.Run("gorilla", func(t *testing.T) { f(t, gorillaBridge(t, keep), "shop") })
}

func TestBridge_UserAndCart(t *testing.T) {
	each(t, false, func(t *testing.T, b *bridge, cookie string) {
		v := b.ann()
		for range 3 {
			require.Equal(t, "ann [tea]", v.get(b.new))
		}
		require.False(t, v.has(cookie, b.new), "the old cookie is deleted")
		require.Equal(t, " <nil>", v.get(b.old), "the old session has ended")
	})
}

func TestBridge_AnonymousCart(t *testing.T) {
	each(t, false, func(t *testing.T, b *bridge, _ string) {
		v := b.visitor()
		v.post(b.old + "/cart")
		require.Equal(t, " [tea]", v.get(b.new))
		require.Equal(t, " [tea]", v.get(b.new))
	})
}

// The response with the new cookie did not arrive.
func TestBridge_LostResponse(t *testing.T) {
	each(t, false, func(t *testing.T, b *bridge, _ string) {
		v := b.ann()
		lost := v.copied(b.new)
		require.Equal(t, "ann [tea]", lost.get(b.new))
		require.Equal(t, "ann [tea]", v.get(b.new))
		require.Len(t, b.sessions(), 1)
	})
}

func TestBridge_ConcurrentRequestsGetOneSession(t *testing.T) {
	each(t, true, func(t *testing.T, b *bridge, _ string) {
		v := b.ann()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if got := v.copied(b.new).get(b.new); got != "ann [tea]" {
					t.Errorf("a request saw %q", got)
				}
			})
		}
		wg.Wait()
		require.Len(t, b.sessions(), 1)
	})
}

func (b *bridge) sessions() []session.Info {
	b.t.Helper()
	list, err := b.manager.List(context.Background(), "ann")
	require.NoError(b.t, err)
	return list
}

func TestBridge_BackToTheOldApp(t *testing.T) {
	each(t, true, func(t *testing.T, b *bridge, cookie string) {
		v := b.ann()
		for range 2 {
			require.Equal(t, "ann [tea]", v.get(b.new))
			require.Equal(t, "ann [tea]", v.get(b.old))
		}
		v.post(b.new + "/logout")
		require.False(t, v.has(cookie, b.old), "a sign-out ends both")
		require.Equal(t, " <nil>", v.get(b.old))
		require.Equal(t, " []", v.get(b.new))
	})
}

// A copy of the cookie of scs opens no session after the sign-out. A CookieStore of gorilla cannot prevent this.
func TestSCS_SignOutIsFinal(t *testing.T) {
	b, _ := scsBridge(t, 24*time.Hour)
	v := b.ann()
	stolen := v.copied(b.new)
	require.Equal(t, "ann [tea]", v.get(b.new))
	v.post(b.new + "/logout")
	require.Equal(t, " []", stolen.get(b.new))
	require.Equal(t, " <nil>", stolen.get(b.old))
}

func TestSCS_RevokedSessionDoesNotBeginAgain(t *testing.T) {
	b, _ := scsBridge(t, 24*time.Hour)
	v := b.ann()
	require.Equal(t, "ann [tea]", v.get(b.new))
	_, err := b.manager.RevokeAll(t.Context(), "ann")
	require.NoError(t, err)
	require.Equal(t, " []", v.get(b.new))
}

// endEverywhere is a block of docs/how-to/migrate.md.
func endEverywhere(ctx context.Context, old *scs.SessionManager, sessions *session.Manager, user string) error {
	if err := EndSCS(ctx, old, user); err != nil {
		return err
	}
	_, err := sessions.RevokeAll(ctx, user)
	return err
}

func TestSCS_SignOutEverywhere(t *testing.T) {
	for _, hashed := range []bool{false, true} {
		t.Run(fmt.Sprintf("HashTokenInStore %t", hashed), func(t *testing.T) {
			b, _ := scsBridge(t, 24*time.Hour, func(old *scs.SessionManager) { old.HashTokenInStore = hashed })
			moved, waiting, other := b.ann(), b.ann(), b.visitor()
			other.post(b.old + "/cart")
			require.Equal(t, "ann [tea]", moved.get(b.new))

			require.NoError(t, endEverywhere(t.Context(), b.scs, b.manager, "ann"))
			for _, v := range []*visitor{moved, waiting} {
				require.Equal(t, " []", v.get(b.new))
				require.Equal(t, " <nil>", v.get(b.old))
			}
			require.Equal(t, " [tea]", other.get(b.new), "the session of somebody else remains")
		})
	}
}

func TestSCS_RememberMe(t *testing.T) {
	for remember, idle := range map[bool]time.Duration{false: 0, true: 30 * 24 * time.Hour} {
		b, _ := scsBridge(t, 0)
		v := b.ann()
		if remember {
			v.post(b.old + "/remember")
		}
		require.Equal(t, "ann [tea]", v.get(b.new))
		require.Equal(t, idle, b.sessions()[0].IdleTimeout)
	}
}

// A moved session has no requests at the old app, whose idle timeout would end it before the team goes back.
func TestSCS_IdleTimeoutDoesNotEndMovedSession(t *testing.T) {
	b, store := scsBridge(t, 24*time.Hour, func(old *scs.SessionManager) { old.IdleTimeout = time.Minute })
	v := b.ann()
	require.Less(t, time.Until(*store.expiry.Load()), 2*time.Minute)
	require.Equal(t, "ann [tea]", v.get(b.new))
	require.Greater(t, time.Until(*store.expiry.Load()), time.Hour)
}

// A failure of the old store signs nobody out.
func TestSCS_StoreDown(t *testing.T) {
	b, store := scsBridge(t, 0)
	v := b.ann()
	var logs bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&logs, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	store.down = true
	status, _ := v.do(http.MethodGet, b.new)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, logs.String(), "sessions of scs: down")
	store.down = false
	require.Equal(t, "ann [tea]", v.get(b.new))
}

func TestBridge_InvalidCookie(t *testing.T) {
	each(t, false, func(t *testing.T, b *bridge, cookie string) {
		v := b.visitor()
		u, _ := url.Parse(b.new)
		v.Jar.SetCookies(u, []*http.Cookie{{Name: cookie, Value: "forged"}})
		require.Equal(t, " []", v.get(b.new))
	})
}

func TestSCS_SameCookieName(t *testing.T) {
	sessions := memstore.NewManager(session.WithCookieName("session"))
	require.Panics(t, func() { FromSCS(scs.New(), 0, sessions, http.NotFoundHandler()) })
}
