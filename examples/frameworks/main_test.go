package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// visitor is a browser on a server of one framework.
type visitor struct {
	t    *testing.T
	base string
	*http.Client
}

func visit(t *testing.T, h http.Handler) *visitor {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, srv.URL, &http.Client{Jar: jar, Transport: srv.Client().Transport}}
}

// gets sends a GET request. It fails the test unless the response has the status and contains text.
func (v *visitor) gets(path string, status int, text string) {
	v.t.Helper()
	resp, err := v.Get(v.base + path)
	v.expect(resp, err, status, text)
}

func (v *visitor) posts(path string, status int, text string) {
	v.t.Helper()
	resp, err := v.Post(v.base+path, "", nil)
	v.expect(resp, err, status, text)
}

func (v *visitor) expect(resp *http.Response, err error, status int, text string) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	if resp.StatusCode != status || !strings.Contains(string(body), text) {
		v.t.Errorf("%s: %d %q, want %d %q", resp.Request.URL.Path, resp.StatusCode, body, status, text)
	}
}

func (v *visitor) cookie() string {
	u, err := url.Parse(v.base)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, c := range v.Jar.Cookies(u) {
		return c.Value
	}
	return ""
}

func each(t *testing.T, names []string, f func(t *testing.T, v *visitor)) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) { f(t, visit(t, frameworks[name](memstore.NewManager()))) })
	}
}

var all = []string{"chi", "gin", "echo"}

func TestSignInAndCount(t *testing.T) {
	each(t, all, func(t *testing.T, v *visitor) {
		v.gets("/", http.StatusOK, `user "", visits 0`)
		if v.cookie() != "" {
			t.Error("a visitor for whom nothing is stored has got a cookie")
		}
		v.gets("/count", http.StatusOK, "1")
		before := v.cookie()
		v.posts("/login", http.StatusOK, `user "ann", visits 1`) // after the redirect
		if now := v.cookie(); now == before || before == "" {
			t.Errorf("the cookie was %q, is %q: want a new one at the sign-in", before, now)
		}
		v.gets("/count", http.StatusOK, "2")
		v.gets("/", http.StatusOK, `user "ann", visits 2`)
	})
}

func TestPanic_Discards(t *testing.T) {
	each(t, all, func(t *testing.T, v *visitor) {
		v.gets("/count", http.StatusOK, "1")
		before := v.cookie()
		v.gets("/crash", http.StatusInternalServerError, "")
		if v.cookie() != before {
			t.Error("the panicking handler's sign-in has sent a cookie")
		}
		v.gets("/", http.StatusOK, `user "", visits 1`)
	})
}

// Wrap saves the session before the router writes its error page. echo writes it only after the middleware has
// returned.
func TestErrorPage_OfFramework(t *testing.T) {
	each(t, []string{"gin", "echo"}, func(t *testing.T, v *visitor) {
		v.gets("/fail", http.StatusTeapot, map[bool]string{true: "the page of echo"}[strings.HasSuffix(t.Name(), "echo")])
		v.gets("/", http.StatusOK, `visits 7`)
	})
}

func TestUnknownPage_OfFramework(t *testing.T) {
	each(t, all, func(t *testing.T, v *visitor) { v.gets("/nowhere", http.StatusNotFound, "") })
}

// The context of gin is a context.Context too. It looks into the context of the request only if ContextWithFallback is
// set.
func TestGin_Context(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	for _, fallback := range []bool{false, true} {
		router := gin.New()
		router.ContextWithFallback = fallback
		router.GET("/", func(c *gin.Context) {
			if _, ok := session.TryFromContext(c); ok != fallback {
				t.Errorf("ContextWithFallback %v: gin's context has a session: %v", fallback, ok)
			}
			session.FromContext(c.Request.Context()) // panics without a session
		})
		visit(t, memstore.NewManager().Wrap(router)).gets("/", http.StatusOK, "")
	}
}

// This test shows why gin needs a recoverer with a call of Discard. The default recoverer hides the panic from Wrap,
// which then saves the session with the error page.
func TestGin_DefaultRecovererSaves(t *testing.T) {
	router := gin.New()
	router.Use(gin.RecoveryWithWriter(io.Discard))
	router.GET("/", gin.WrapF(hello))
	router.GET("/crash", gin.WrapF(crash))
	v := visit(t, memstore.NewManager().Wrap(router))
	v.gets("/crash", http.StatusInternalServerError, "")
	v.gets("/", http.StatusOK, `user "mallory", visits 1000`)
}
