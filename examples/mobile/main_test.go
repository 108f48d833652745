package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session/memstore"
)

// device is a browser or the app.
type device struct {
	t      *testing.T
	base   string
	accept string
	app    *appTransport // nil in a browser
	http.Client
}

// devices starts the server and returns a browser with a cookie jar, the app, and the number of ann's sessions.
func devices(t *testing.T) (browser, app *device, count func() int) {
	sessions, err := newSessions(memstore.New(), "a secret of a test, of 32 bytes.")
	require.NoError(t, err)
	srv := httptest.NewTLSServer(handler(sessions))
	t.Cleanup(srv.Close)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	network := srv.Client().Transport
	browser = &device{t: t, base: srv.URL, accept: "text/html", Client: http.Client{Jar: jar, Transport: network}}
	app = &device{t: t, base: srv.URL, accept: "application/json", app: &appTransport{RoundTripper: network}}
	app.Transport = app.app
	for _, d := range []*device{browser, app} {
		d.CheckRedirect = func(next *http.Request, _ []*http.Request) error {
			d.check(next.Response)
			return nil
		}
	}
	return browser, app, func() int {
		infos, err := sessions.List(t.Context(), "ann")
		require.NoError(t, err)
		return len(infos)
	}
}

// send sends a request, follows redirects and returns the status and the body. It checks that the server uses the
// device's way to send tokens.
func (d *device) send(method, path string, form url.Values) (int, string) {
	d.t.Helper()
	r, err := http.NewRequest(method, d.base+path, strings.NewReader(form.Encode()))
	require.NoError(d.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", d.accept)
	if d.app == nil {
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	res, err := d.Do(r)
	require.NoError(d.t, err)
	defer res.Body.Close()
	d.check(res)
	body, err := io.ReadAll(res.Body)
	require.NoError(d.t, err)
	return res.StatusCode, string(body)
}

func (d *device) check(res *http.Response) {
	if d.app == nil {
		require.Empty(d.t, res.Header["Session-Token"])
	} else {
		require.Empty(d.t, res.Header["Set-Cookie"])
	}
}

func (d *device) see() string {
	d.t.Helper()
	status, body := d.send("GET", "/", nil)
	require.Equal(d.t, 200, status)
	return body
}

func TestHandler_BrowserAndApp(t *testing.T) {
	browser, app, count := devices(t)
	require.Contains(t, browser.see(), "Sign in")
	require.JSONEq(t, `{"User": "", "Notes": null}`, app.see())
	require.Zero(t, count())

	ann := url.Values{"user": {"ann"}}
	browser.send("POST", "/login", ann)
	app.send("POST", "/login", ann)
	require.Equal(t, 2, count(), "each device has its own session")
	require.NotEmpty(t, app.app.token)

	// Both at once, several requests each.
	var all sync.WaitGroup
	for _, d := range []*device{browser, app} {
		for range 4 {
			all.Go(func() { d.send("POST", "/notes", url.Values{"note": {"n"}}) })
		}
	}
	all.Wait()
	require.JSONEq(t, `{"User": "ann", "Notes": ["n", "n", "n", "n"]}`, app.see())
	require.Contains(t, browser.see(), "<li>n</li><li>n</li><li>n</li><li>n</li></ul>")

	// The browser ends the session of the app, which learns it with its next request.
	browser.send("POST", "/logout-others", nil)
	require.Equal(t, 1, count())
	require.JSONEq(t, `{"User": "", "Notes": null}`, app.see())
	require.Empty(t, app.app.token)
	status, _ := app.send("POST", "/notes", url.Values{"note": {"x"}})
	require.Equal(t, http.StatusForbidden, status)

	// A sign-out of the app does not concern the browser.
	app.send("POST", "/login", ann)
	first := app.app.token
	app.send("POST", "/login", ann)
	require.NotEqual(t, first, app.app.token, "a sign-in replaces the token")
	app.send("POST", "/logout", nil)
	require.Empty(t, app.app.token)
	require.Contains(t, browser.see(), "Notes of ann")
	browser.send("POST", "/logout", nil)
	require.Zero(t, count())
}

// Responses of concurrent requests arrive in any order.
func TestAppTransport_Receive(t *testing.T) {
	for _, c := range []struct{ has, sent, got, want string }{
		{"", "", "new", "new"},
		{"old", "old", "new", "new"},
		{"old", "old", "", ""},
		{"new", "old", "", "new"}, // a late response to a request with the old token
		{"", "old", "new", "new"},
	} {
		app := &appTransport{token: c.has}
		app.receive(c.sent, c.got)
		require.Equal(t, c.want, app.token, c)
	}
}
