package browser_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// A page on another site keeps its token itself and sends it in a header. It can read the new token if CORS exposes the
// header. The browser adds the header to no request by itself.
func TestTokenHeader_PageOnAnotherSite(t *testing.T) {
	var page *httptest.Server
	app := http.NewServeMux()
	app.HandleFunc("POST /login", func(_ http.ResponseWriter, r *http.Request) { session.FromContext(r.Context()).SignIn("ann") })
	app.HandleFunc("POST /logout", func(_ http.ResponseWriter, r *http.Request) { session.FromContext(r.Context()).SignOut() })
	app.HandleFunc("GET /who", func(w http.ResponseWriter, r *http.Request) {
		scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		fmt.Fprintf(w, "user %q, header %q, %d cookies", session.FromContext(r.Context()).User(), scheme, len(r.Cookies()))
	})
	origin := func() string { return strings.Replace(page.URL, "127.0.0.1", "localhost", 1) }
	sessions := memstore.NewManager(session.WithTokenHeader("Authorization", "Session-Token"))
	wrapped := sessions.Wrap(app)
	var exposed atomic.Bool
	exposed.Store(true)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		if r.Header.Get("Origin") == origin() {
			h.Set("Access-Control-Allow-Origin", origin())
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			if exposed.Load() {
				h.Set("Access-Control-Expose-Headers", "Session-Token")
			}
		}
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		wrapped.ServeHTTP(w, r)
	}))
	t.Cleanup(api.Close)
	page = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><link rel="icon" href="data:,"><title>another site</title>`)
	}))
	t.Cleanup(page.Close)

	p := newProfile(t)
	p.do(chromedp.Navigate(origin()))
	// call returns the header and the body of a response, and keeps a new token.
	evaluate[bool](p, `window.call = async (method, path) => {
		const headers = window.token === undefined ? {} : {Authorization: "Bearer " + window.token};
		const r = await fetch("`+api.URL+`" + path, {method, headers});
		const got = r.headers.get("Session-Token");
		if (got !== null) window.token = got;
		return (got === null ? "none" : got === "" ? "empty" : "new") + ": " + await r.text();
	}, true`)
	check := func(call, want string) {
		t.Helper()
		if got := evaluate[string](p, call, chromedp.EvalAwaitPromise); got != want {
			t.Errorf("%s: %q, want %q", call, got, want)
		}
	}
	evaluate[bool](p, `window.token = "", true`)
	check(`call("GET", "/who")`, `none: user "", header "Bearer", 0 cookies`)
	check(`call("POST", "/login")`, "new: ")
	check(`call("GET", "/who")`, `none: user "ann", header "Bearer", 0 cookies`)
	check(`fetch("`+api.URL+`/who").then((r) => r.text())`, `user "", header "", 0 cookies`)
	exposed.Store(false)
	check(`call("POST", "/login")`, "none: ") // the page does not see its new token
	exposed.Store(true)
	check(`call("GET", "/who")`, `none: user "", header "Bearer", 0 cookies`) // the token is superseded
	evaluate[bool](p, `window.token = "", true`)
	check(`call("POST", "/login")`, "new: ")
	check(`call("POST", "/logout")`, "empty: ")

	// The API's own pages use a cookie, and the browser has none.
	p.do(chromedp.Navigate(api.URL + "/who"))
	check(`Promise.resolve(document.body.innerText)`, `user "", header "", 0 cookies`)
}
