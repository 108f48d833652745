package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session/memstore"
)

func TestManagers_KeepTheirSessionsApart(t *testing.T) {
	srv := httptest.NewTLSServer(handler(memstore.NewManager(), memstore.NewManager(adminOptions...)))
	defer srv.Close()
	client := srv.Client()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client.Jar = jar

	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/admin/", 403, "Sign in as an administrator.\n"},
		{"POST", "/login", 200, ""},
		{"GET", "/admin/", 403, "Sign in as an administrator.\n"}, // a visitor is no administrator
		{"POST", "/admin/login", 200, ""},
		{"GET", "/admin/", 200, "administrator root, visitor \"ann\"\n"},
		{"GET", "/", 200, "visitor \"ann\"\n"},
		{"POST", "/admin/logout", 200, ""},
		{"GET", "/admin/", 403, "Sign in as an administrator.\n"},
		{"GET", "/", 200, "visitor \"ann\"\n"}, // still signed in
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, srv.URL+c.path, nil)
		require.NoError(t, err)
		resp, err := client.Do(r)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		require.NoError(t, err)
		require.Equal(t, c.status, resp.StatusCode, "%s %s", c.method, c.path)
		require.Equal(t, c.body, string(body), "%s %s", c.method, c.path)
	}
}
