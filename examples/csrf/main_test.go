package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session/memstore"
)

var field = regexp.MustCompile(`name="csrf" type="hidden" value="([A-Z2-7]+)"`)

func TestProtect(t *testing.T) {
	srv := httptest.NewTLSServer(memstore.NewManager().Wrap(protect(handler())))
	defer srv.Close()
	visit := func() (*http.Client, string) {
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		client := &http.Client{Transport: srv.Client().Transport, Jar: jar}
		resp, err := client.Get(srv.URL)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		token := field.FindSubmatch(body)
		require.NotNil(t, token, "%s", body)
		return client, string(token[1])
	}
	ann, hers := visit()
	bob, his := visit()
	require.NotEqual(t, hers, his)

	for _, c := range []struct {
		name   string
		client *http.Client
		token  string
		status int
	}{
		{"own token", ann, hers, http.StatusOK},
		{"own token again", ann, hers, http.StatusOK},
		{"token of another visitor", bob, hers, http.StatusForbidden},
		{"no token", ann, "", http.StatusForbidden},
		{"no session", &http.Client{Transport: srv.Client().Transport}, "", http.StatusForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, err := c.client.PostForm(srv.URL, url.Values{"csrf": {c.token}})
			require.NoError(t, err)
			resp.Body.Close()
			require.Equal(t, c.status, resp.StatusCode)
		})
	}
}
