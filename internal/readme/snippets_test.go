package readme_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// The README's shorter blocks stand in these functions.

const (
	flash session.Key[string] = "flash"
	paid  session.Key[bool]   = "paid"
)

// do runs f as a handler and returns the answer.
func do(m *session.Manager, cookies []*http.Cookie, f http.HandlerFunc) *http.Response {
	r := httptest.NewRequest(http.MethodPost, "https://example.com/?remember=yes", nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	m.Wrap(f).ServeHTTP(w, r)
	return w.Result()
}

func TestFlashShowsOnce(t *testing.T) {
	do(memstore.NewManager(), nil, func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		// A message that the next page shows once.
		flash.Set(s, "Saved.")
		message, ok := flash.Pop(s)
		require.True(t, ok)
		require.Equal(t, "Saved.", message)
		_, ok = flash.Pop(s)
		require.False(t, ok)
	})
}

func remember(s *session.Session, r *http.Request, user string) {
	// "Remember me": this session's own limits, counted from the sign-in.
	s.SignIn(user)
	if r.PostFormValue("remember") != "" {
		s.SetTimeouts(90*24*time.Hour, 365*24*time.Hour)
	}
}

func TestRememberMe(t *testing.T) {
	m := memstore.NewManager()
	resp := do(m, nil, func(w http.ResponseWriter, r *http.Request) {
		r.PostForm = r.URL.Query()
		remember(session.FromContext(r.Context()), r, "ann")
	})
	require.Equal(t, 365*24*3600, resp.Cookies()[0].MaxAge)
	do(m, resp.Cookies(), func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, 90*24*time.Hour, session.FromContext(r.Context()).Info().IdleTimeout)
	})
}

func endOthers(sessions *session.Manager, r *http.Request, report func(devices, ended int)) error {
	s := session.FromContext(r.Context())
	// "Your devices", and ending all but this one, as after a change of password.
	devices, err := sessions.List(r.Context(), s.User())
	if err != nil {
		return err
	}
	ended, err := s.RevokeOthers(r.Context())
	report(len(devices), ended)
	return err
}

func TestDevices(t *testing.T) {
	m := memstore.NewManager()
	var cookies []*http.Cookie
	for range 3 {
		cookies = do(m, nil, func(w http.ResponseWriter, r *http.Request) {
			remember(session.FromContext(r.Context()), r, "ann")
		}).Cookies()
	}
	do(m, cookies, func(w http.ResponseWriter, r *http.Request) {
		require.NoError(t, endOthers(m, r, func(devices, ended int) {
			require.Equal(t, 3, devices)
			require.Equal(t, 2, ended)
		}))
	})
}

func charge(s *session.Session, r *http.Request) error {
	// Now, before a side effect that must not happen twice.
	paid.Set(s, true)
	if err := s.Save(r.Context()); err != nil {
		return err
	}
	return nil
}

func TestSaveBeforeASideEffect(t *testing.T) {
	store := memstore.New()
	m, err := session.New(store, "a secret of a test, of 32 bytes.")
	require.NoError(t, err)
	do(m, nil, func(w http.ResponseWriter, r *http.Request) {
		require.Zero(t, store.Len())
		require.NoError(t, charge(session.FromContext(r.Context()), r))
		require.Equal(t, 1, store.Len())
	})
}

func TestBehindAProxy(t *testing.T) {
	t.Setenv("SESSION_SECRET", "a secret of a test, of 32 bytes.")
	store := memstore.New()
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"),
		session.WithTrustedProxies(netip.MustParsePrefix("10.0.0.0/8")), // where the proxies are, not the clients
		session.WithClientInfo())
	require.NoError(t, err)
	for peer, want := range map[string]string{"10.1.2.3:4": "203.0.113.9", "198.51.100.7:4": "198.51.100.7"} {
		r := httptest.NewRequest(http.MethodPost, "http://example.com/", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", "192.0.2.66, 203.0.113.9")
		r.Header.Set("X-Forwarded-Proto", "https")
		w := httptest.NewRecorder()
		sessions.Wrap(http.HandlerFunc(login)).ServeHTTP(w, r)
		require.True(t, w.Result().Cookies()[0].Secure)
		infos, err := sessions.List(t.Context(), "ann")
		require.NoError(t, err)
		require.Equal(t, want, infos[0].ClientIP, "the peer is %s", peer)
		_, err = sessions.RevokeAll(t.Context(), "ann")
		require.NoError(t, err)
	}
}

func login(_ http.ResponseWriter, r *http.Request) {
	session.FromContext(r.Context()).SignIn("ann")
}

func TestTestingHandlers(t *testing.T) {
	sessions := memstore.NewManager()
	app := sessions.Wrap(http.HandlerFunc(login))

	answer := httptest.NewRecorder()
	app.ServeHTTP(answer, httptest.NewRequest("POST", "https://example.com/login", nil))

	next := httptest.NewRequest("GET", "https://example.com/", nil)
	for _, cookie := range answer.Result().Cookies() {
		next.AddCookie(cookie)
	}
	user := ""
	sessions.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		user = session.FromContext(r.Context()).User()
	})).ServeHTTP(httptest.NewRecorder(), next)
	require.Equal(t, "ann", user)
}

type metricsOfATest struct{ failed map[string]int }

func (m *metricsOfATest) observe(kind session.EventKind, _ time.Duration, failed bool) {
	if failed {
		m.failed[string(kind)]++
	}
}

// failing is a store without a server.
type failing struct{ session.Store }

func (failing) Load(context.Context, session.ID) (*session.Record, error) {
	return nil, errors.New("nobody answers")
}

func TestObserver(t *testing.T) {
	log, metrics := slog.New(slog.DiscardHandler), &metricsOfATest{map[string]int{}}
	observed := []session.Option{
		session.WithLogger(log),
		session.WithObserver(func(ctx context.Context, e session.Event) {
			switch e.Kind {
			case session.EventStaleToken: // a token from before a renewal, long after it: perhaps a stolen one
				log.WarnContext(ctx, "an old session token was presented", "session", e.ID)
			case session.EventLostChange: // a change that came too late to be saved: a fault of the program, or an outage
				log.ErrorContext(ctx, "a change of a session was lost", "error", e.Err)
			case session.EventExpired: // a visitor came back after the session had expired
			default: // load, insert, update, delete, list
				expected := errors.Is(e.Err, session.ErrNotFound) || errors.Is(e.Err, session.ErrConflict)
				metrics.observe(e.Kind, e.Duration, e.Err != nil && !expected)
			}
		}),
	}
	store := memstore.New()
	m, err := session.New(store, "a secret of a test, of 32 bytes.", observed...)
	require.NoError(t, err)
	cookies := do(m, nil, login).Cookies()
	require.Empty(t, metrics.failed, "a sign-in looks for a revocation, and finding none is no failure")

	m, err = session.New(failing{store}, "a secret of a test, of 32 bytes.", observed...)
	require.NoError(t, err)
	resp := do(m, cookies, login)
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	require.NotEmpty(t, resp.Header.Get("Retry-After"))
	require.Empty(t, resp.Cookies(), "the cookie stays as it is")
	require.Equal(t, map[string]int{"load": 1}, metrics.failed)
}
