package session_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// A browser sends the cookie only below the cookie's path. A request from
// outside that stores something would start a second session, and its cookie
// would replace the first one.
func TestCookiePath_RequestOutside(t *testing.T) {
	set := func(s *session.Session) { color.Set(s, "red") }
	signIn := func(s *session.Session) { s.SignIn("ann") }
	for name, c := range map[string]struct {
		path, target string
		header       []string
		do           func(s *session.Session)
		status       int
	}{
		"below":                     {"/app", "/app/cart", nil, set, 200},
		"the path itself":           {"/app", "/app", nil, set, 200},
		"with a query":              {"/app", "/app?x=/", nil, set, 200},
		"with a slash":              {"/app/", "/app/cart", nil, set, 200},
		"the path without a slash":  {"/app/", "/app", nil, set, 403},
		"outside":                   {"/app", "/", nil, set, 403},
		"outside, by a query":       {"/app", "/?/app/", nil, set, 403},
		"beside":                    {"/app", "/apple", nil, set, 403},
		"another case":              {"/app", "/App/cart", nil, set, 403},
		"absolute form":             {"/app", "http://shop.example/app/cart", nil, set, 200},
		"absolute form, outside":    {"/app", "http://shop.example/cart", nil, set, 403},
		"absolute form, no path":    {"/", "http://shop.example", nil, set, 200},
		"the whole server":          {"/app", "*", nil, set, 403},
		"outside, reading":          {"/app", "/", nil, func(s *session.Session) { color.Get(s); s.User() }, 200},
		"outside, a sign-in":        {"/app", "/login", nil, signIn, 200},
		"outside, an update":        {"/app", "/", nil, func(s *session.Session) { visits.Update(background, s, func(int) int { return 1 }) }, 403},
		"a proxy strips the path":   {"/app", "/cart", []string{"X-Forwarded-Prefix", "/app"}, set, 200},
		"two proxies strip a part":  {"/app/shop", "/cart", []string{"X-Forwarded-Prefix", "/app/", "X-Forwarded-Prefix", "/shop"}, set, 200},
		"a proxy strips another":    {"/app", "/app/cart", []string{"X-Forwarded-Prefix", "/other"}, set, 403},
		"another peer's prefix":     {"/app", "/cart", []string{"X-Forwarded-Prefix", "/app", "X-Peer", "198.51.100.7:1"}, set, 403},
		"the root, with any prefix": {"/", "/cart", []string{"X-Forwarded-Prefix", "/app"}, set, 200},
	} {
		t.Run(name, func(t *testing.T) {
			store := memstore.New()
			m := newManager(t, store, session.WithCookiePath(c.path), session.WithCookieName("s"),
				session.WithTrustedProxies(netip.MustParsePrefix("192.0.2.0/24")))
			app := m.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { c.do(session.FromContext(r.Context())) }))
			send := func(cookies ...*http.Cookie) *http.Response {
				r := httptest.NewRequest("POST", "/x", nil)
				r.RequestURI = c.target
				for i := 0; i < len(c.header); i += 2 {
					r.Header.Add(c.header[i], c.header[i+1])
				}
				if peer := r.Header.Get("X-Peer"); peer != "" {
					r.RemoteAddr = peer
				}
				for _, cookie := range cookies {
					r.AddCookie(cookie)
				}
				w := httptest.NewRecorder()
				app.ServeHTTP(w, r)
				return w.Result()
			}
			res := send()
			require.Equal(t, c.status, res.StatusCode)
			if c.status != 200 {
				require.Empty(t, res.Header["Set-Cookie"])
				require.Zero(t, store.Len())
			}
			// A request with the cookie does not replace it.
			w := httptest.NewRecorder()
			m.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { signIn(session.FromContext(r.Context())) })).
				ServeHTTP(w, httptest.NewRequest("POST", c.path, nil))
			require.Equal(t, 200, send(w.Result().Cookies()...).StatusCode)
		})
	}
}

// StripPrefix changes r.URL, but not the path requested by the browser.
func TestCookiePath_StripPrefix(t *testing.T) {
	m := newManager(t, memstore.New(), session.WithCookiePath("/app"))
	set := m.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		color.Set(session.FromContext(r.Context()), "red")
	}))
	mux := http.NewServeMux()
	mux.Handle("/app/", http.StripPrefix("/app", set))
	mux.Handle("/old/", http.StripPrefix("/old", set))
	srv, v := start(t, mux, false)
	require.Equal(t, 200, v.send("GET", srv.URL+"/app/cart").StatusCode)
	res := v.send("GET", srv.URL+"/old/app/cart")
	require.Equal(t, 403, res.StatusCode)
	require.Contains(t, res.body, "outside the path of the session cookie")
}

// CGI leaves RequestURI empty.
func TestCookiePath_NoRequestURI(t *testing.T) {
	m := newManager(t, memstore.New(), session.WithCookiePath("/app"))
	status := func(path string) int {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", path, nil)
		r.RequestURI = ""
		var err error
		m.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			s := session.FromContext(r.Context())
			color.Set(s, "red")
			err = s.Save(r.Context())
		})).ServeHTTP(w, r)
		if w.Code != 200 {
			require.ErrorIs(t, err, session.ErrOutsidePath)
		}
		return w.Code
	}
	require.Equal(t, 200, status("/app/cart"))
	require.Equal(t, 403, status("/cart"))
}

func TestNew_CookiePath(t *testing.T) {
	long := "/" + strings.Repeat("a", 1023)
	_, err := session.New(memstore.New(), secret, session.WithCookiePath(long))
	require.NoError(t, err)
	for path, want := range map[string]string{
		long + "a": "WithCookiePath: 1025 bytes, want at most 1024",
		"/app ":    "WithCookiePath",
		"/app?x":   "WithCookiePath",
		"/app#x":   "WithCookiePath",
		"app":      "WithCookiePath",
	} {
		_, err := session.New(memstore.New(), secret, session.WithCookiePath(path))
		require.ErrorContains(t, err, want)
	}
}

func TestNew_CookiePrefixes(t *testing.T) {
	for name, ok := range map[string][4]bool{ // by default, over HTTP, with a path, with a domain
		"s":             {true, true, true, true},
		"__Secure-s":    {true, false, true, true},
		"__Http-s":      {true, false, true, true},
		"__HTTP-s":      {true, false, true, true},
		"__Host-s":      {true, false, false, false},
		"__Host-Http-s": {true, false, false, false},
		"__host-http-s": {true, false, false, false},
	} {
		for i, opts := range [][]session.Option{nil, {session.DangerouslyAllowHTTP()}, {session.WithCookiePath("/app")}, {session.WithCookieDomain("example.com")}} {
			_, err := session.New(memstore.New(), secret, append(opts, session.WithCookieName(name))...)
			if ok[i] {
				require.NoError(t, err, "%s %d", name, i)
			} else {
				require.ErrorContains(t, err, "WithCookieName(", "%s %d", name, i)
			}
		}
	}
}
