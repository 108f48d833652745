package session_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// ask sends one request with the given Cookie header and without a jar.
func ask(t *testing.T, a *app, cookies string, do handler) answer {
	t.Helper()
	return bare(t).do(a, do, "Cookie", cookies)
}

func userOf(t *testing.T, a *app, cookies string) (user string) {
	t.Helper()
	ask(t, a, cookies, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { user = s.User() })
	return user
}

func TestCookie_Attributes(t *testing.T) {
	for name, c := range map[string]struct {
		opts []session.Option
		want string
	}{
		"default":      {nil, "__Host-session=; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax"},
		"domain":       {[]session.Option{session.WithCookieDomain("example.com")}, "__Secure-session=; Path=/; Domain=example.com; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax"},
		"path":         {[]session.Option{session.WithCookiePath("/app")}, "__Secure-session=; Path=/app; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax"},
		"http":         {[]session.Option{session.DangerouslyAllowHTTP()}, "session=; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax"},
		"strict":       {[]session.Option{session.WithSameSite(http.SameSiteStrictMode)}, "__Host-session=; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Strict"},
		"embedded":     {[]session.Option{session.WithSameSite(http.SameSiteNoneMode), session.WithPartitioned()}, "__Host-session=; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=None; Partitioned"},
		"browser":      {[]session.Option{session.WithBrowserSession()}, "__Host-session=; Path=/; HttpOnly; Secure; SameSite=Lax"},
		"long-lived":   {[]session.Option{session.WithLifetime(400 * 24 * time.Hour)}, "__Host-session=; Path=/; Max-Age=34560000; HttpOnly; Secure; SameSite=Lax"},
		"another name": {[]session.Option{session.WithCookieName("sid")}, "sid=; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax"},
		"half a year":  {[]session.Option{session.WithLifetime(180 * 24 * time.Hour)}, "__Host-session=; Path=/; Max-Age=15552000; HttpOnly; Secure; SameSite=Lax"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t, newManager(t, memstore.New(), c.opts...))
			res := newVisitor(t).login(a, "ann")
			require.Len(t, res.Header["Set-Cookie"], 1)
			line := res.Header["Set-Cookie"][0]
			pair, attributes, _ := strings.Cut(line, ";")
			cookie, value, _ := strings.Cut(pair, "=")
			require.Equal(t, c.want, cookie+"=;"+attributes)
			require.LessOrEqual(t, len(value), 144)

			// A deletion repeats the attributes by which the browser identifies the
			// cookie.
			res = ask(t, a, pair, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.SignOut() })
			require.Equal(t, cleared(c.want), res.Header["Set-Cookie"][0])
		})
	}
}

// cleared returns the Set-Cookie line to delete the cookie set by line.
func cleared(line string) string {
	var out []string
	for p := range strings.SplitSeq(line, "; ") {
		if strings.HasPrefix(p, "HttpOnly") {
			out = append(out, "Max-Age=0")
		}
		if !strings.HasPrefix(p, "Max-Age") {
			out = append(out, p)
		}
	}
	return strings.Join(out, "; ")
}

func TestSetTimeouts_PersistentCookie(t *testing.T) {
	a := newApp(t, newManager(t, memstore.New(), session.WithBrowserSession()))
	res := request(newVisitor(t), a, func(s *session.Session) { s.SignIn("ann"); s.SetTimeouts(time.Hour, 48*time.Hour) })
	require.Equal(t, 48*60*60, res.setCookie(host).MaxAge)
}

func TestCookie_OneSetCookie(t *testing.T) {
	now := newClock()
	m := newManager(t, memstore.New())
	m.SetClock(now.Now)
	a, v := newApp(t, m), newVisitor(t)
	v.login(a, "ann")
	now.advance(2 * time.Hour) // a touch is due
	res := v.do(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		http.SetCookie(w, &http.Cookie{Name: host, Value: "mine"})
		http.SetCookie(w, &http.Cookie{Name: "theme", Value: "dark"})
		s.Renew()
		require.NoError(t, s.Save(background))
		s.SignIn("bob")
		require.NoError(t, s.Save(background))
		s.SignOut()
		color.Set(s, "bye")
	})
	require.Len(t, res.Header["Set-Cookie"], 2)
	require.Equal(t, "dark", res.setCookie("theme").Value)
	require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	_, _, col := v.see(a)
	require.Equal(t, "bye", col)
}

func TestCacheHeaders(t *testing.T) {
	a, v := newApp(t, newManager(t, memstore.New())), newVisitor(t)
	headers := func(do handler) string {
		h := v.do(a, do).Header
		return fmt.Sprint(h["Vary"], h["Cache-Control"])
	}
	require.Equal(t, "[] []", headers(nothing), "a page may be cached if it does not read the session")
	require.Equal(t, "[Cookie] [private]", headers(func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.User() }))
	require.Equal(t, "[Cookie] [public]", headers(func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		w.Header().Set("Cache-Control", "public")
		color.Get(s)
	}))
	require.Equal(t, "[Accept, Cookie] [no-store]", headers(func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		w.Header().Set("Vary", "Accept, Cookie")
		s.SignIn("ann")
	}), "a response with a session cookie must not be cached")
	require.Equal(t, "[Cookie] [no-store]", headers(func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.SignOut() }))
}

// A template may call User long after the first byte.
func TestCacheHeaders_LateRead(t *testing.T) {
	store := memstore.New()
	a, v := newApp(t, newManager(t, store)), newVisitor(t)
	headers := func(v *visitor, do handler) string {
		h := v.do(a, do).Header
		return fmt.Sprint(h["Vary"], h["Cache-Control"])
	}
	late := func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		write(w)
		_ = flush(w)
		io.WriteString(w, s.User())
	}
	request(v, a, func(s *session.Session) { color.Set(s, "red") })
	for range 2 { // first without a user, then with one
		require.Equal(t, "[Cookie] [private]", headers(v, late))
		require.Equal(t, "[Cookie] [private]", headers(v, func(w http.ResponseWriter, _ *http.Request, _ *session.Session) { write(w) }))
		require.Equal(t, "[Accept-Encoding Cookie] [public]", headers(v, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			w.Header().Set("Cache-Control", "public")
			w.Header().Set("Vary", "Accept-Encoding")
			late(w, r, s)
		}))
		v.login(a, "ann")
	}
	// A superseded token identifies a visitor too.
	old := bare(t)
	cookie := v.cookies(a)
	request(v, a, (*session.Session).Renew)
	res := old.do(a, late, "Cookie", cookie)
	require.Equal(t, "private", res.Header.Get("Cache-Control"))
	// A response to a visitor without a session may be cached.
	require.Equal(t, "[] []", headers(bare(t), late))
}

// A header for specific caches takes precedence over Cache-Control in those
// caches (RFC 9213, and older headers of vendors). Next to a Set-Cookie it
// would make the cache store the cookie.
func TestCacheHeaders_ForCertainCaches(t *testing.T) {
	names := []string{
		"CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "Vercel-CDN-Cache-Control", "x-litespeed-cache-control",
		"Surrogate-Control", "surrogate-control", "Edge-Control", "X-Accel-Expires", "Expires", "cache-control",
	}
	a, v := newApp(t, newManager(t, memstore.New())), newVisitor(t)
	answerWith := func(do func(s *session.Session)) http.Header {
		return v.do(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			for _, name := range names {
				w.Header()[name] = []string{"max-age=3600"}
			}
			w.Header().Set("Surrogate-Key", "page")
			do(s)
			w.WriteHeader(200)
		}).Header
	}
	for _, do := range []func(s *session.Session){func(s *session.Session) { s.SignIn("ann") }, (*session.Session).Renew, (*session.Session).SignOut} {
		h := answerWith(do)
		require.Len(t, h["Set-Cookie"], 1)
		require.Equal(t, []string{"no-store"}, h["Cache-Control"])
		require.Equal(t, "page", h.Get("Surrogate-Key"))
		for _, name := range names[:len(names)-1] {
			require.Empty(t, h.Get(name), name)
		}
	}
	h := answerWith(func(s *session.Session) { s.User() })
	for _, name := range names[:len(names)-1] {
		require.Equal(t, "max-age=3600", h.Get(name), "without a cookie, a header of the handler stays")
	}
}

// Caches must not store an error page either, whatever headers a middleware
// sets.
func TestCacheHeaders_ErrorPage(t *testing.T) {
	store := newFaulty()
	a, v := newApp(t, newManager(t, store), func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("CDN-Cache-Control", "max-age=3600")
			next.ServeHTTP(w, r)
		})
	}), newVisitor(t)
	store.fail("Insert", errDown)
	res := request(v, a, func(s *session.Session) { color.Set(s, "red") })
	require.Equal(t, 503, res.StatusCode)
	require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	require.Empty(t, res.Header.Get("CDN-Cache-Control"))
}

func TestCookie_Hostile(t *testing.T) {
	coll, count := counted(t)
	a, v := newApp(t, newManager(t, openMongo(t, coll, noSweep))), newVisitor(t)
	good := v.login(a, "ann").setCookie(host).Value
	raw := must(base64.URLEncoding.DecodeString(good))
	sign := func(secretKey []byte, name string, value []byte) string {
		sc := securecookie.New(secretKey, nil).SetSerializer(securecookie.NopEncoder{})
		return must(sc.Encode(name, value))
	}
	key := session.SigningKey(secret)
	cookies := []string{
		"", "x", good[:len(good)-4], good + "AAAA", "a" + good[1:], strings.ToUpper(good), good[:70] + "!" + good[71:],
		base64.URLEncoding.EncodeToString(raw[:len(raw)-1]), base64.URLEncoding.EncodeToString(append(raw, 0)),
		strings.Repeat("A", 8192), strings.Repeat("%", 300), "\"" + good[:20] + "\"", base64.URLEncoding.EncodeToString([]byte("||||")),
		sign([]byte(strings.Repeat("k", 32)), host, make([]byte, 48)), // signed with another key
		sign(key, "other", make([]byte, 48)),                          // signed for another cookie
		sign(key, host, make([]byte, 47)), sign(key, host, make([]byte, 49)), sign(key, host, nil), sign(key, host, make([]byte, 480)),
	}
	count.take()
	for _, c := range cookies {
		res := ask(t, a, host+"="+c, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			require.Empty(t, s.User())
			w.WriteHeader(204)
		})
		require.Equal(t, 204, res.StatusCode, c)
		require.Empty(t, res.Header["Set-Cookie"])
	}
	require.Empty(t, count.take(), "a cookie with an invalid signature reached the store")

	// The signature is valid, but the record never existed. The Manager looks
	// once and never adopts the ID.
	stale := host + "=" + sign(key, host, make([]byte, 48))
	var id session.ID
	res := ask(t, a, stale, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { color.Set(s, "red"); id = s.ID() })
	require.Equal(t, "find insert", count.take())
	require.NotZero(t, id)
	require.NotEqual(t, host+"="+res.setCookie(host).Value, stale)
	res = ask(t, a, stale, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.User() })
	require.Empty(t, res.Header["Set-Cookie"], "a cookie whose session is not found is not cleared")
}

func TestCookie_SeveralOfOneName(t *testing.T) {
	coll, count := counted(t)
	now := newClock()
	m := newManager(t, openMongo(t, coll, noSweep))
	m.SetClock(now.Now)
	a := newApp(t, m)
	pair := func(do func(s *session.Session)) string {
		c := request(newVisitor(t), a, do).setCookie(host)
		now.advance(time.Minute)
		return c.Name + "=" + c.Value
	}
	old, newer := pair(func(s *session.Session) { s.SignIn("old") }), pair(func(s *session.Session) { s.SignIn("newer") })
	anon := pair(func(s *session.Session) { color.Set(s, "red") })
	junk := host + "=junk"
	for _, order := range [][]string{{old, newer, anon, junk}, {junk, anon, newer, old}, {newer, old, junk, anon}, {anon, old, newer, newer}} {
		require.Equal(t, "newer", userOf(t, a, strings.Join(order, "; ")))
	}
	var many []string
	for range 10 {
		many = append(many, pair(func(s *session.Session) { s.SignIn("many") }))
	}
	count.take()
	userOf(t, a, strings.Join(many, "; "))
	require.Equal(t, "find find find find", count.take(), "the number of reads per request is bounded")

	// Signing out ends the sessions of all cookies in the request. Otherwise the
	// browser would present the next one.
	ask(t, a, strings.Join([]string{old, newer, anon}, "; "), func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.SignOut() })
	for _, c := range []string{old, newer, anon} {
		require.Equal(t, "", userOf(t, a, c))
	}
	one, two := pair(func(s *session.Session) { s.SignIn("one") }), pair(func(s *session.Session) { s.SignIn("two") })
	ask(t, a, one+"; "+two, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.SignIn("three") })
	require.Equal(t, "", userOf(t, a, one))
	require.Equal(t, "", userOf(t, a, two))

	// net/http reads at most 3,000 cookies. More of them sign nobody out.
	res := ask(t, a, strings.Repeat("a=b; ", 3001)+pair(func(s *session.Session) { s.SignIn("x") }), func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		w.Write([]byte("user:" + s.User()))
	})
	require.Equal(t, "user:x", res.body)
	// The work per request stays bounded with many cookies of the session's
	// name.
	require.Equal(t, "", userOf(t, a, strings.Repeat(host+"=junk; ", 50)+pair(func(s *session.Session) { s.SignIn("y") })))
}

func TestToken_Superseded(t *testing.T) {
	for name, supersede := range map[string]func(s *session.Session){
		"sign-in":     func(s *session.Session) { s.SignIn("ann") },
		"renewal":     (*session.Session).Renew,
		"SetTimeouts": func(s *session.Session) { s.SetTimeouts(time.Hour, 48*time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, store session.Store) {
				now := newClock()
				var events []string
				m := newManager(t, store, session.WithObserver(func(_ ctxT, e session.Event) {
					if e.Kind == session.EventStaleToken {
						events = append(events, string(e.Kind))
					}
				}))
				m.SetClock(now.Now)
				a, v := newApp(t, m), newVisitor(t)
				request(v, a, func(s *session.Session) { color.Set(s, "red") })
				old := v.cookies(a)
				request(v, a, supersede)
				status := func(do func(s *session.Session)) int {
					res := ask(t, a, old, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { do(s) })
					require.Empty(t, res.Header["Set-Cookie"], "it would replace the new cookie")
					if res.StatusCode == 409 {
						require.Equal(t, "1", res.Header.Get("Retry-After"))
					}
					return res.StatusCode
				}
				for range 2 {
					require.Equal(t, 200, status(func(s *session.Session) {
						require.Empty(t, color.GetOr(s, ""))
						require.Empty(t, s.User())
						require.Zero(t, s.ID())
						require.ErrorIs(t, s.Reload(background), session.ErrSuperseded)
						_, err := visits.Update(background, s, func(n int) int { return n + 1 })
						require.ErrorIs(t, err, session.ErrSuperseded)
					}))
					require.Equal(t, 409, status(func(s *session.Session) { color.Set(s, "blue") }))
					require.Equal(t, 409, status((*session.Session).SignOut))
					require.Equal(t, 409, status((*session.Session).Renew))
					require.Equal(t, 409, status(func(s *session.Session) { s.SignIn("mallory") }))
					require.Equal(t, 409, status(func(s *session.Session) { s.SignOut(); s.SignIn("ann") }))
					now.advance(29 * time.Second)
				}
				require.Empty(t, events)
				require.Equal(t, 1, sessions(t, store))
				// After 30 seconds the token is stale and reported.
				now.advance(-28 * time.Second)
				now.advance(2 * time.Second)
				res := ask(t, a, old, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { shape.Set(s, "round") })
				require.NotNil(t, res.setCookie(host))
				require.Equal(t, []string{"stale_token"}, events)
				_, _, col := v.see(a)
				require.Equal(t, "red", col)
				require.Equal(t, 2, sessions(t, store))
			})
		})
	}
}

func TestSignIn_DoubleClick(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		a, v := newApp(t, newManager(t, store)), newVisitor(t)
		request(v, a, func(s *session.Session) { color.Set(s, "red") })
		cookie := v.cookies(a)
		inside, second := make(chan struct{}), make(chan answer)
		// The second request is admitted before the first one commits, and
		// commits after it.
		go func() {
			second <- bare(t).try(a, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
				inside <- struct{}{}
				<-inside
				s.SignIn("ann")
				shape.Set(s, "round")
				s.SetTimeouts(time.Hour, 48*time.Hour)
			}, "Cookie", cookie)
		}()
		<-inside
		first := v.login(a, "ann").setCookie(host)
		inside <- struct{}{}
		other := (<-second).setCookie(host)
		require.NotNil(t, other)
		require.Equal(t, session.Token(secret, first.Value), session.Token(secret, other.Value))
		// A third request presents the superseded token and joins too.
		third := ask(t, a, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.SignIn("ann") }).setCookie(host)
		require.Equal(t, session.Token(secret, first.Value), session.Token(secret, third.Value))
		require.Equal(t, 1, sessions(t, store))
		request(v, a, func(s *session.Session) {
			require.Equal(t, "ann", s.User())
			require.Equal(t, "red round", color.GetOr(s, "")+" "+shape.GetOr(s, ""))
			require.Equal(t, time.Hour, s.Info().IdleTimeout)
		})
	})
}

func TestRenew_BesideSignIn(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		a, v := newApp(t, newManager(t, store)), newVisitor(t)
		request(v, a, func(s *session.Session) { color.Set(s, "red") })
		res := request(v, a, func(s *session.Session) {
			s.Renew() // Renew of an anonymous session, which meanwhile belongs to ann
			request(v, a, func(other *session.Session) { other.SignIn("ann") })
		})
		require.Equal(t, 409, res.StatusCode)
		require.Empty(t, res.Header["Set-Cookie"])
		require.Equal(t, "ann", v.user(a))
	})
}

func TestSecrets_Rotation(t *testing.T) {
	const next = "the next secret, of 32 bytes or more"
	store := memstore.New()
	deploy := func(key string, accepted ...string) *app {
		m, err := session.New(store, key, sender.options(session.WithAcceptedSecrets(accepted...), new(logs).option())...)
		require.NoError(t, err)
		return newApp(t, m)
	}
	v := newVisitor(t)
	was := deploy(secret)
	c := v.login(was, "ann").setCookie(host)
	cookie := c.Name + "=" + c.Value
	for _, a := range []*app{deploy(secret, next), deploy(next, "", secret)} {
		res := ask(t, a, cookie, func(w http.ResponseWriter, _ *http.Request, s *session.Session) { w.Write([]byte(s.User())) })
		require.Equal(t, "ann", res.body)
		require.Empty(t, res.Header["Set-Cookie"], "using a cookie does not sign it again")
	}
	now := deploy(next, secret)
	renewed := ask(t, now, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Renew() }).setCookie(host)
	require.Equal(t, "ann", userOf(t, deploy(next), host+"="+renewed.Value))
	require.Equal(t, "", userOf(t, deploy(next), cookie))
}

func TestCrossSite_Requests(t *testing.T) {
	top := []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}
	sub := []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}
	frame := []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}
	own := []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors"}
	set := func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { color.Set(s, "red") }
	for name, c := range map[string]struct {
		site   http.SameSite
		header []string
		method string
		do     handler
		status int
	}{
		"lax, a followed link":     {http.SameSiteLaxMode, top, "GET", set, 200},
		"lax, a form":              {http.SameSiteLaxMode, top, "POST", set, 403},
		"lax, an image":            {http.SameSiteLaxMode, sub, "GET", set, 403},
		"lax, a frame":             {http.SameSiteLaxMode, frame, "GET", set, 403},
		"lax, the site itself":     {http.SameSiteLaxMode, own, "POST", set, 200},
		"lax, no browser":          {http.SameSiteLaxMode, nil, "POST", set, 200},
		"lax, only reading":        {http.SameSiteLaxMode, sub, "GET", nothing, 200},
		"lax, a sign-in by a form": {http.SameSiteLaxMode, top, "POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.SignIn("ann") }, 200},
		"strict, a followed link":  {http.SameSiteStrictMode, top, "GET", set, 403},
		"none, an image":           {http.SameSiteNoneMode, sub, "GET", set, 200},
		"lax, an update by a frame": {http.SameSiteLaxMode, frame, "GET", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
			visits.Update(background, s, func(int) int { return 1 })
		}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			store := memstore.New()
			a := newApp(t, newManager(t, store, session.WithSameSite(c.site)))
			res := bare(t).send(c.method, a.URL, append([]string{"X-Do", a.add(c.do)}, c.header...)...)
			require.NoError(t, res.err)
			require.Equal(t, c.status, res.StatusCode)
			if c.status != 200 {
				require.Empty(t, res.Header["Set-Cookie"])
				require.Zero(t, store.Len())
			}
			// If the cookie was sent, it was not withheld.
			v := newVisitor(t)
			v.login(a, "ann")
			res = v.send(c.method, a.URL, append([]string{"X-Do", a.add(c.do)}, c.header...)...)
			require.Equal(t, 200, res.StatusCode)
		})
	}
}

func TestWithClientInfo_MaxLength(t *testing.T) {
	m := newManager(t, memstore.New(), session.WithClientInfo())
	a, v := newApp(t, m), newVisitor(t)
	v.do(a, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.SignIn("ann") },
		"User-Agent", strings.Repeat("é", 127)+"\xe9€"+strings.Repeat("x", 5000))
	infos := must(m.List(background, "ann"))
	require.Equal(t, strings.Repeat("é", 127), infos[0].UserAgent, "valid, and at most 256 bytes")
}

func TestAdmit_RecordWithoutVerifier(t *testing.T) {
	store := memstore.New()
	a := newApp(t, newManager(t, store))
	now := time.Now()
	id := session.ID{1}
	require.NoError(t, store.Insert(background, &session.Record{Info: session.Info{
		ID: id, User: "ann", CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(time.Hour), Deadline: now.Add(time.Hour),
	}}))
	sc := securecookie.New(session.SigningKey(secret), nil).SetSerializer(securecookie.NopEncoder{})
	cookie := must(sc.Encode(host, append(id[:], make([]byte, 32)...)))
	require.Equal(t, "", userOf(t, a, host+"="+cookie))
}
