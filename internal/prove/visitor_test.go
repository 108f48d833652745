package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// Each app breaks one guarantee, and the visitor must notice it.
func TestVisitor_Finds(t *testing.T) {
	cases := []struct {
		name string
		lie  func(next http.Handler) http.Handler
		want string // part of the visitor's message; empty if nothing is broken
	}{
		{"correct", func(next http.Handler) http.Handler { return next }, ""},
		{"anonymous now and then", everyNth(23, func(r *http.Request) { r.Header.Del("Cookie") }), "is lost"},
		{"clears the cookie of a failure", failing(func(w http.ResponseWriter) {
			w.Header().Set("Set-Cookie", "session=; Max-Age=0")
		}), "cleared the cookie"},
		{"drops an Update", dropping("/count"), "counter is"},
		{"drops a change", dropping("/cart"), "cart is"},
		{"drops a sign-out", dropping("/logout"), "left the cookie"},
		{"opens dead tokens", resurrecting(), "dead token opens"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			said := live(t, c.lie)
			switch {
			case c.want == "" && said != "":
				t.Fatalf("a correct app: %s", said)
			case !strings.Contains(said, c.want):
				t.Fatalf("want %q in: %s", c.want, said)
			}
		})
	}
}

func live(t *testing.T, lie func(http.Handler) http.Handler) string {
	t.Helper()
	a := new(app)
	var err error
	if a.sessions, err = a.manager(memstore.New(), appConfig{Secret: newSecret(), Timeout: time.Second}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(lie(a.handler()))
	defer server.Close()
	tr := new(trace)
	for i := range 4 {
		v := newVisitor(newClient(tr), "v"+string(rune('0'+i)), []string{server.URL}, uint64(i))
		for range 300 {
			v.step()
		}
		v.verify()
	}
	return strings.Join(tr.list, "\n")
}

// everyNth changes every nth request.
func everyNth(n int, change func(*http.Request)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		i := 0
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if i++; i%n == 0 {
				change(r)
			}
			next.ServeHTTP(w, r)
		})
	}
}

func failing(how func(http.ResponseWriter)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		i := 0
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if i++; i%50 == 0 {
				how(w)
				http.Error(w, "the store failed", http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// dropping drops one of three requests for a path and responds as if it had
// succeeded.
func dropping(path string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		i := 0
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if i++; r.URL.Path == path && i%3 == 0 {
				r.Method, r.URL.Path = "GET", "/me"
			}
			next.ServeHTTP(w, r)
		})
	}
}

// resurrecting accepts every old cookie in place of the current one.
func resurrecting() func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		latest := ""
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/me" && latest != "" {
				r.Header.Set("Cookie", "session="+latest)
			}
			next.ServeHTTP(w, r)
			for _, c := range (&http.Response{Header: w.Header()}).Cookies() {
				latest = c.Value
			}
		})
	}
}

func TestSearch_Finds(t *testing.T) {
	m := memstore.NewManager(session.DangerouslyAllowHTTP())
	rec := httptest.NewRecorder()
	m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignIn("ann")
	})).ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	cookie := rec.Result().Cookies()[0].Value
	c := &chaosTrace{trace: &trace{cookies: map[string]bool{cookie: true}}, dump: []byte("nothing")}
	s := newSearch()
	if err := s.learn(cookie); err != nil {
		t.Fatal(err)
	}
	if err := s.checkItself(c); err != nil {
		t.Fatal(err)
	}
	if s.count([]byte("nothing")) != 0 || s.count([]byte("x"+cookie+"y")) == 0 {
		t.Fatal("the search is wrong")
	}
}
