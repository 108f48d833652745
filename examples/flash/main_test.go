package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session/memstore"
)

func TestFlash_ShownOnce(t *testing.T) {
	srv := httptest.NewTLSServer(memstore.NewManager().Wrap(handler()))
	defer srv.Close()
	client := srv.Client()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client.Jar = jar
	text := func(resp *http.Response, err error) string {
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(body)
	}

	// The client follows the redirect to the page.
	require.Contains(t, text(client.PostForm(srv.URL, url.Values{"note": {"<milk>"}})), "Saved: &lt;milk&gt;")
	require.NotContains(t, text(client.Get(srv.URL)), "Saved")

	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	text(client.PostForm(srv.URL, url.Values{"note": {"one"}}))
	text(client.PostForm(srv.URL, url.Values{"note": {"two"}}))
	both := text(client.Get(srv.URL))
	require.Contains(t, both, "Saved: one")
	require.Contains(t, both, "Saved: two")
}
