package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session/memstore"
)

func TestSignIn_Remember(t *testing.T) {
	for _, c := range []struct {
		name           string
		remember       string
		idle, lifetime time.Duration
		kept           bool // by the browser when it exits
	}{
		{"unchecked", "", time.Hour, 12 * time.Hour, false},
		{"checked", "on", 30 * 24 * time.Hour, 90 * 24 * time.Hour, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			sessions := memstore.NewManager(options...)
			srv := httptest.NewServer(sessions.Wrap(handler()))
			defer srv.Close()
			client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

			resp, err := client.PostForm(srv.URL+"/login",
				url.Values{"user": {"ann"}, "password": {"correct horse"}, "remember": {c.remember}})
			require.NoError(t, err)
			resp.Body.Close()
			require.Equal(t, http.StatusSeeOther, resp.StatusCode)
			require.Len(t, resp.Cookies(), 1)
			require.Equal(t, c.kept, resp.Cookies()[0].MaxAge > 0)

			page, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
			require.NoError(t, err)
			page.AddCookie(resp.Cookies()[0])
			resp, err = client.Do(page)
			require.NoError(t, err)
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Contains(t, string(body), "You are ann, until ")

			infos, err := sessions.List(t.Context(), "ann")
			require.NoError(t, err)
			require.Len(t, infos, 1)
			require.Equal(t, c.idle, infos[0].ExpiresAt.Sub(infos[0].LastSeenAt))
			require.Equal(t, c.lifetime, infos[0].Deadline.Sub(infos[0].SignedInAt))
		})
	}
}
