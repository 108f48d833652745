package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

const frontEnd = "https://shop.example"

// page sends requests as a browser does for a fetch from a page.
type page struct {
	t      *testing.T
	origin string
	base   string
	*http.Client
}

func (p *page) fetch(method, path string) (*http.Response, string) {
	p.t.Helper()
	r, err := http.NewRequest(method, p.base+path, nil)
	require.NoError(p.t, err)
	r.Header.Set("Origin", p.origin)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Sec-Fetch-Mode", "cors")
	if method == http.MethodOptions {
		r.Header.Set("Access-Control-Request-Method", http.MethodPost)
	}
	resp, err := p.Do(r)
	require.NoError(p.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(p.t, err)
	return resp, string(body)
}

func serve(t *testing.T) (theirs, evil *page, store *memstore.Store) {
	store = memstore.New()
	sessions, err := session.New(store, "a secret of a test, of 32 bytes.", cookie()...)
	require.NoError(t, err)
	h, err := handler(frontEnd, sessions)
	require.NoError(t, err)
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client := &http.Client{Jar: jar, Transport: srv.Client().Transport}
	return &page{t, frontEnd, srv.URL, client}, &page{t, "https://evil.example", srv.URL, client}, store
}

func TestHandler_FrontEndOnOtherSite(t *testing.T) {
	shop, _, _ := serve(t)
	resp, _ := shop.fetch(http.MethodOptions, "/login")
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	require.Equal(t, frontEnd, resp.Header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "true", resp.Header.Get("Access-Control-Allow-Credentials"))

	resp, _ = shop.fetch(http.MethodPost, "/login")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, frontEnd, resp.Header.Get("Access-Control-Allow-Origin"))
	line := resp.Header.Get("Set-Cookie")
	require.True(t, strings.HasPrefix(line, "__Host-session="), line)
	for _, attribute := range []string{"SameSite=None", "Secure", "HttpOnly", "Partitioned", "Path=/"} {
		require.Contains(t, line, attribute)
	}

	_, body := shop.fetch(http.MethodPost, "/visits")
	require.Equal(t, "1", body)
	resp, body = shop.fetch(http.MethodGet, "/me")
	require.Equal(t, `user "ann", visits 1`, body)
	require.ElementsMatch(t, []string{"Origin", "Cookie"}, resp.Header.Values("Vary"))

	resp, _ = shop.fetch(http.MethodPost, "/logout")
	require.Contains(t, resp.Header.Get("Set-Cookie"), "Partitioned", "or the browser keeps the other cookie")
	_, body = shop.fetch(http.MethodGet, "/me")
	require.Equal(t, `user "", visits 0`, body)
}

func TestHandler_OtherOriginsRefused(t *testing.T) {
	shop, evil, store := serve(t)
	resp, _ := evil.fetch(http.MethodPost, "/login")
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
	require.Zero(t, store.Len())

	shop.fetch(http.MethodPost, "/login")
	resp, _ = evil.fetch(http.MethodPost, "/visits")
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
	resp, _ = evil.fetch(http.MethodGet, "/me")
	require.Empty(t, resp.Header.Get("Access-Control-Allow-Origin"), "the browser must not show it the answer")
	resp, _ = evil.fetch(http.MethodOptions, "/visits")
	require.Empty(t, resp.Header.Get("Access-Control-Allow-Origin"))
	_, body := shop.fetch(http.MethodGet, "/me")
	require.Equal(t, `user "ann", visits 0`, body)
}

// With the default, SameSite=Lax, the browser would not send the cookie, so Wrap refuses to start a second session.
func TestHandler_DefaultCookie(t *testing.T) {
	h, err := handler(frontEnd, memstore.NewManager())
	require.NoError(t, err)
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	shop := &page{t, frontEnd, srv.URL, srv.Client()}
	resp, _ := shop.fetch(http.MethodPost, "/visits")
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
	require.Equal(t, frontEnd, resp.Header.Get("Access-Control-Allow-Origin"), "the page can read why")
}

// Hosts of one site need no option. The browser sends the default cookie, and the origin is trusted.
func TestHandler_SiblingHosts(t *testing.T) {
	const app = "https://app.example.com"
	h, err := handler(app, memstore.NewManager())
	require.NoError(t, err)
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	sibling := &page{t, app, srv.URL, &http.Client{Jar: jar, Transport: sameSite{srv.Client().Transport}}}
	resp, _ := sibling.fetch(http.MethodPost, "/login")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Contains(t, resp.Header.Get("Set-Cookie"), "SameSite=Lax")
	_, body := sibling.fetch(http.MethodPost, "/visits")
	require.Equal(t, "1", body)
	_, body = sibling.fetch(http.MethodGet, "/me")
	require.Equal(t, `user "ann", visits 1`, body)
}

// sameSite sets the header of a request from a sibling host.
type sameSite struct{ http.RoundTripper }

func (s sameSite) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Sec-Fetch-Site", "same-site")
	return s.RoundTripper.RoundTrip(r)
}

func TestHandler_InvalidFrontEnd(t *testing.T) {
	for _, bad := range []string{"", "shop.example", "https://shop.example/path"} {
		_, err := handler(bad, memstore.NewManager())
		require.Error(t, err, bad)
	}
}
