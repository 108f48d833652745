package readme_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// docs/how-to/sign-in.md

func checkPassword(name, password string) (user string, ok bool) {
	return "user-17", name == "ann" && password == "correct horse"
}

func signIn(w http.ResponseWriter, r *http.Request) {
	user, ok := checkPassword(r.PostFormValue("name"), r.PostFormValue("password"))
	if !ok {
		http.Error(w, "Wrong name or password.", http.StatusForbidden)
		return
	}
	session.FromContext(r.Context()).SignIn(user)
	http.Redirect(w, r, "/account", http.StatusSeeOther)
}

func requireUser(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if session.FromContext(r.Context()).User() == "" {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		}
		next(w, r)
	}
}

func account(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, session.FromContext(r.Context()).User())
}

func site(sessions *session.Manager) http.Handler {
	app := http.NewServeMux()
	app.HandleFunc("GET /login", loginPage)
	app.HandleFunc("POST /login", signIn)
	app.HandleFunc("GET /account", requireUser(account))
	return http.NewCrossOriginProtection().Handler(sessions.Wrap(app))
}

func loginPage(w http.ResponseWriter, r *http.Request) {
	if session.FromContext(r.Context()).Expired() {
		fmt.Fprintln(w, "Your session has expired. Please sign in again.")
	}
	fmt.Fprint(w, `<form method="post">…</form>`)
}

func TestRequireUser(t *testing.T) {
	sessions := memstore.NewManager()
	app := site(sessions)
	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest("GET", "https://example.com/account", nil))
	require.Equal(t, "/login", w.Header().Get("Location"))

	r := httptest.NewRequest("POST", "https://example.com/login?name=ann&password=guess", nil)
	r.PostForm = r.URL.Query()
	w = httptest.NewRecorder()
	app.ServeHTTP(w, r)
	require.Equal(t, http.StatusForbidden, w.Code)

	r = httptest.NewRequest("POST", "https://example.com/login?name=ann&password=correct+horse", nil)
	r.PostForm = r.URL.Query()
	w = httptest.NewRecorder()
	app.ServeHTTP(w, r)
	require.Equal(t, "/account", w.Header().Get("Location"))

	r = httptest.NewRequest("GET", "https://example.com/account", nil)
	r.AddCookie(w.Result().Cookies()[0])
	w = httptest.NewRecorder()
	app.ServeHTTP(w, r)
	require.Equal(t, "user-17", w.Body.String())
}

func TestLoginPageTellsAnExpiredSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sessions := memstore.NewManager()
		r := memstore.WithSession(t, sessions, httptest.NewRequest("GET", "https://example.com/login", nil),
			func(s *session.Session) { s.SignIn("ann") })
		time.Sleep(15 * 24 * time.Hour)
		w := httptest.NewRecorder()
		site(sessions).ServeHTTP(w, r)
		require.Contains(t, w.Body.String(), "Your session has expired.")
	})
}

func remember(s *session.Session, r *http.Request, user string) {
	s.SignIn(user)
	if r.PostFormValue("remember") != "" {
		s.SetTimeouts(90*24*time.Hour, 365*24*time.Hour)
	}
}

func TestRememberMe(t *testing.T) {
	sessions, err := session.New(memstore.New(), secret,
		session.WithBrowserSession())
	require.NoError(t, err)
	sign := func(remembered bool) *http.Cookie {
		return do(sessions, nil, func(w http.ResponseWriter, r *http.Request) {
			if r.PostForm = nil; remembered {
				r.PostForm = r.URL.Query()
			}
			remember(session.FromContext(r.Context()), r, "ann")
		}).Cookies()[0]
	}
	c := sign(true)
	require.Equal(t, 365*24*3600, c.MaxAge)
	do(sessions, []*http.Cookie{c}, func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, 90*24*time.Hour, session.FromContext(r.Context()).Info().IdleTimeout)
	})
}

const confirmed session.Key[time.Time] = "confirmed"

// confirm is called after the user has entered the password again.
func confirm(s *session.Session) {
	confirmed.Set(s, time.Now())
	s.Renew()
}

func recentlyConfirmed(s *session.Session) bool {
	return time.Since(confirmed.GetOr(s, time.Time{})) < 10*time.Minute
}

func TestStepUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sessions := memstore.NewManager()
		before := do(sessions, nil, login).Cookies()
		after := do(sessions, before, func(w http.ResponseWriter, r *http.Request) {
			s := session.FromContext(r.Context())
			require.False(t, recentlyConfirmed(s))
			confirm(s)
		}).Cookies()
		require.NotEqual(t, before[0].Value, after[0].Value)
		recent := func() (is bool) {
			do(sessions, after, func(w http.ResponseWriter, r *http.Request) {
				is = recentlyConfirmed(session.FromContext(r.Context()))
			})
			return is
		}
		require.True(t, recent())
		time.Sleep(10 * time.Minute)
		require.False(t, recent())
	})
}

func signOut(w http.ResponseWriter, r *http.Request) {
	session.FromContext(r.Context()).SignOut()
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func TestSignOut(t *testing.T) {
	store := memstore.New()
	m, err := session.New(store, secret)
	require.NoError(t, err)
	resp := do(m, do(m, nil, login).Cookies(), signOut)
	require.Negative(t, resp.Cookies()[0].MaxAge)
	require.Zero(t, store.Len())
}
