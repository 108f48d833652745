package browser_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

const color session.Key[string] = "color"

// A sign-in overtakes another request of the visitor. The late response leaves the cookie of the sign-in in the
// browser.
func TestCookie_LateResponse(t *testing.T) {
	for name, c := range map[string]struct {
		late   func(*session.Session)
		status int
	}{
		"reads":         {func(s *session.Session) { color.Get(s) }, http.StatusOK},
		"writes":        {func(s *session.Session) { color.Set(s, "late") }, http.StatusOK},
		"renews":        {func(s *session.Session) { s.Renew() }, http.StatusConflict},
		"extends":       {func(s *session.Session) { s.SetTimeouts(time.Hour, 2*time.Hour) }, http.StatusConflict},
		"signs in, too": {func(s *session.Session) { s.SignIn("ann") }, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			entered, overtaken := make(chan struct{}), make(chan struct{})
			app := http.NewServeMux()
			app.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
				color.Set(session.FromContext(r.Context()), "first")
				w.Header().Set("Content-Type", "text/html")
				_, _ = io.WriteString(w, `<!doctype html><link rel="icon" href="data:,"><title>late</title>`)
			})
			app.HandleFunc("POST /late", func(_ http.ResponseWriter, r *http.Request) {
				close(entered)
				<-overtaken
				c.late(session.FromContext(r.Context()))
			})
			app.HandleFunc("POST /login", func(_ http.ResponseWriter, r *http.Request) {
				session.FromContext(r.Context()).SignIn("ann")
			})
			app.HandleFunc("GET /who", func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, session.FromContext(r.Context()).User())
			})
			site := httptest.NewServer(memstore.NewManager().Wrap(app))
			t.Cleanup(site.Close)

			p := newProfile(t)
			p.do(chromedp.Navigate(site.URL))
			before := p.cookie()
			evaluate[bool](p, `window.late = fetch("/late", {method: "POST"}), true`)
			<-entered
			if status := evaluate[int](p, `fetch("/login", {method: "POST"}).then((r) => r.status)`, chromedp.EvalAwaitPromise); status != http.StatusOK {
				t.Fatalf("the sign-in: %d", status)
			}
			signedIn := p.cookie()
			if signedIn == before {
				t.Fatal("the sign-in changed no cookie")
			}
			close(overtaken)
			if status := evaluate[int](p, `late.then((r) => r.status)`, chromedp.EvalAwaitPromise); status != c.status {
				t.Errorf("the late response: %d, want %d", status, c.status)
			}
			if after := p.cookie(); after != signedIn {
				t.Error("the late response changed the cookie")
			}
			if who := evaluate[string](p, `fetch("/who").then((r) => r.text())`, chromedp.EvalAwaitPromise); who != "ann" {
				t.Errorf("signed in as %q", who)
			}
		})
	}
}

// cookie returns the value of the session cookie in the browser.
func (p *profile) cookie() string {
	p.t.Helper()
	all := p.cookies()
	if len(all) != 1 || all[0].Name != "__Host-session" {
		p.t.Fatalf("the cookies: %+v", all)
	}
	return all[0].Value
}
