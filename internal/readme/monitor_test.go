package readme_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// docs/how-to/monitor.md

type metricsOfATest struct{ failed map[string]int }

func (m *metricsOfATest) observe(kind session.EventKind, _ time.Duration, failed bool) {
	if failed {
		m.failed[string(kind)]++
	}
}

func TestObserver(t *testing.T) {
	log, metrics := slog.New(slog.DiscardHandler), &metricsOfATest{map[string]int{}}
	observed := []session.Option{
		session.WithLogger(log),
		session.WithObserver(func(ctx context.Context, e session.Event) {
			switch e.Kind {
			case session.EventStaleToken: // perhaps stolen
				log.WarnContext(ctx, "an old session token was presented", "session", e.ID)
			case session.EventLostChange: // an error in the program, or an outage
				log.ErrorContext(ctx, "a change of a session was lost", "error", e.Err)
			case session.EventLoad, session.EventInsert, session.EventUpdate, session.EventDelete, session.EventList:
				expected := errors.Is(e.Err, session.ErrNotFound) || errors.Is(e.Err, session.ErrConflict)
				metrics.observe(e.Kind, e.Duration, e.Err != nil && !expected)
			}
		}),
	}
	store := memstore.New()
	m, err := session.New(store, secret, observed...)
	require.NoError(t, err)
	cookies := do(m, nil, login).Cookies()
	require.Empty(t, metrics.failed, "a sign-in looks for a revocation, and finding none is no failure")

	store.Fail(errors.New("connection refused"))
	resp := do(m, cookies, login)
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	require.NotEmpty(t, resp.Header.Get("Retry-After"))
	require.Empty(t, resp.Cookies(), "the cookie stays as it is")
	require.Equal(t, map[string]int{"load": 1}, metrics.failed)
}

func TestErrorHandler(t *testing.T) {
	store := memstore.New()
	sessions, err := session.New(store, secret,
		session.WithErrorHandler(func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, session.ErrUnavailable) {
				http.Redirect(w, r, "https://status.example.com", http.StatusSeeOther)
				return
			}
			session.DefaultErrorHandler(w, r, err)
		}))
	require.NoError(t, err)
	r := memstore.WithSession(t, sessions, httptest.NewRequest("GET", "https://example.com/", nil),
		func(s *session.Session) { s.SignIn("ann") })
	store.Fail(errors.New("connection refused"))
	w := httptest.NewRecorder()
	sessions.Wrap(http.HandlerFunc(home)).ServeHTTP(w, r)
	require.Equal(t, http.StatusSeeOther, w.Code)
}
