package readme_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// docs/how-to/proxies-and-https.md

func TestBehindAProxy(t *testing.T) {
	t.Setenv("SESSION_SECRET", secret)
	store := memstore.New()
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"),
		session.WithTrustedProxies(netip.MustParsePrefix("10.0.0.0/8")), // addresses of proxies, not of clients
		session.WithClientInfo())
	require.NoError(t, err)
	byRealIP, err := session.New(store, os.Getenv("SESSION_SECRET"),
		session.WithTrustedProxies(netip.MustParsePrefix("10.0.0.0/8")),
		session.WithForwardedHeader("X-Real-Ip"),
		session.WithClientInfo())
	require.NoError(t, err)
	for _, tc := range []struct {
		m          *session.Manager
		peer, want string
	}{
		{sessions, "10.1.2.3:4", "203.0.113.9"},
		{sessions, "198.51.100.7:4", "198.51.100.7"},
		{byRealIP, "10.1.2.3:4", "203.0.113.10"},
	} {
		r := httptest.NewRequest(http.MethodPost, "http://example.com/", nil)
		r.RemoteAddr = tc.peer
		r.Header.Set("X-Forwarded-For", "192.0.2.66, 203.0.113.9")
		r.Header.Set("X-Real-Ip", "203.0.113.10")
		r.Header.Set("X-Forwarded-Proto", "https")
		w := httptest.NewRecorder()
		tc.m.Wrap(http.HandlerFunc(login)).ServeHTTP(w, r)
		require.True(t, w.Result().Cookies()[0].Secure)
		infos, err := tc.m.List(t.Context(), "ann")
		require.NoError(t, err)
		require.Equal(t, tc.want, infos[0].ClientIP, "the peer is %s", tc.peer)
		_, err = tc.m.RevokeAll(t.Context(), "ann")
		require.NoError(t, err)
	}
}
