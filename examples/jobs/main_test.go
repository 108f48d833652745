package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

func TestRevoke_EndsSessionsOfOpenBrowsers(t *testing.T) {
	sessions := memstore.NewManager()
	srv := httptest.NewServer(sessions.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, session.FromContext(r.Context()).User())
	})))
	defer srv.Close()
	visitor := func(user string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
		require.NoError(t, err)
		return memstore.WithSession(t, sessions, r, func(s *session.Session) { s.SignIn(user) })
	}
	get := func(r *http.Request) string {
		resp, err := srv.Client().Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(body)
	}
	laptop, phone, other := visitor("ann"), visitor("ann"), visitor("bob")
	require.Equal(t, "ann", get(phone))

	var report strings.Builder
	require.NoError(t, revoke(t.Context(), sessions, strings.NewReader("ann\n\ncarl\n"), &report, 0))
	require.Contains(t, report.String(), "ann: 2 sessions ended\n")
	require.Contains(t, report.String(), "\"\": session: ")
	require.Contains(t, report.String(), "carl: 0 sessions ended\n")
	require.Empty(t, get(laptop))
	require.Empty(t, get(phone))
	require.Equal(t, "bob", get(other))
}

func TestRevoke_RepeatsAfterOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		sessions, err := session.New(store, strings.Repeat("s3cret", 6))
		require.NoError(t, err)
		memstore.WithSession(t, sessions, httptest.NewRequest("GET", "/", nil), func(s *session.Session) { s.SignIn("ann") })
		store.Fail(errors.New("no primary"))
		time.AfterFunc(90*time.Second, func() { store.Fail(nil) })

		var report strings.Builder
		require.NoError(t, revoke(t.Context(), sessions, strings.NewReader("ann\n"), &report, time.Minute))
		require.Contains(t, report.String(), "trying again\n")
		require.True(t, strings.HasSuffix(report.String(), "ann: 1 sessions ended\n"), report.String())
	})
}
