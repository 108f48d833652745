package session_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

var (
	bearer = session.WithTokenHeader("Authorization", "Session-Token")

	signInAnn = func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.SignIn("ann") }
	signOut   = func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.SignOut() }
	setRed    = func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { color.Set(s, "red") }
	writeUser = func(w http.ResponseWriter, _ *http.Request, s *session.Session) { fmt.Fprint(w, "user:", s.User()) }
)

// token returns the token in a response's header, or "none".
func (a answer) token() string {
	switch values := a.Header["Session-Token"]; len(values) {
	case 0:
		return "none"
	case 1:
		return values[0]
	default:
		return fmt.Sprint("several: ", values)
	}
}

// newToken signs ann in over a token client and returns the token.
func newToken(t *testing.T, a *app) string {
	t.Helper()
	res := bare(t).do(a, signInAnn, "Authorization", "Bearer")
	require.Equal(t, 200, res.StatusCode, res.body)
	require.Greater(t, len(res.token()), 100)
	return res.token()
}

func TestWithTokenHeader_Life(t *testing.T) {
	for name, c := range map[string]struct{ request, response, before string }{
		"Authorization":  {"Authorization", "Session-Token", "Bearer "},
		"another header": {"X-Session", "X-New-Session", ""},
		"one header":     {"session-token", "session-token", ""},
	} {
		t.Run(name, func(t *testing.T) {
			bothProtocols(t, func(t *testing.T, http2 bool) {
				store := memstore.New()
				m := newManager(t, store, session.WithTokenHeader(c.request, c.response))
				var do func(s *session.Session)
				srv, v := start(t, m.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { do(session.FromContext(r.Context())) })), http2)
				v.Jar = nil
				request := func(token string, f func(s *session.Session)) []string {
					do = f
					res := v.send("GET", srv.URL, c.request, c.before+token)
					require.NoError(t, res.err)
					require.Empty(t, res.Header["Set-Cookie"])
					return res.Header.Values(c.response)
				}
				see := func(user, col string) func(s *session.Session) {
					return func(s *session.Session) {
						require.Equal(t, user, s.User())
						require.Equal(t, col, color.GetOr(s, ""))
					}
				}
				require.Empty(t, request("", see("", "")), "a client without a token, and without a session")
				begun := request("", func(s *session.Session) { color.Set(s, "red") })
				require.Len(t, begun, 1)
				signedIn := request(begun[0], func(s *session.Session) { s.SignIn("ann") })
				require.Len(t, signedIn, 1)
				require.NotEqual(t, begun, signedIn)
				require.Empty(t, request(signedIn[0], see("ann", "red")))
				require.Empty(t, request(begun[0], see("", "")), "a superseded token: another response has the new one")
				require.Equal(t, 1, store.Len())

				// The token is the value of the cookie.
				do = see("ann", "red")
				require.Equal(t, 200, v.send("GET", srv.URL, "Cookie", host+"="+signedIn[0]).StatusCode)

				require.Equal(t, []string{""}, request(signedIn[0], (*session.Session).SignOut))
				require.Zero(t, store.Len())
				require.Equal(t, []string{""}, request(signedIn[0], see("", "")))
				require.Len(t, request(signedIn[0], func(s *session.Session) { s.SignIn("bob") })[0], len(signedIn[0]))
			})
		})
	}
}

// A request with the header neither reads nor changes the cookie.
func TestWithTokenHeader_BesideCookie(t *testing.T) {
	store := memstore.New()
	a, v := newApp(t, newManager(t, store, bearer)), newVisitor(t)
	token := newToken(t, a)
	res := v.do(a, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.SignIn("bob") })
	require.NotNil(t, res.setCookie(host))
	require.Equal(t, "none", res.token(), "a script could read the token of the cookie")
	for _, c := range []struct {
		authorization, user string
		do                  handler
	}{
		{"Bearer " + token, "ann", writeUser},
		{"Bearer", "", writeUser},
		{"Bearer junk", "", writeUser},
		{"Bearer", "", setRed},
		{"Bearer " + token, "", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Renew() }},
		{"Bearer " + newToken(t, a), "", signOut},
		{"Bearer " + newToken(t, a), "", signInAnn},
		{"Bearer junk", "", signOut},
	} {
		res := v.do(a, c.do, "Authorization", c.authorization)
		require.Equal(t, 200, res.StatusCode)
		require.Empty(t, res.Header["Set-Cookie"])
		require.Contains(t, []string{"", "user:" + c.user}, res.body)
		require.Equal(t, "bob", v.user(a), "%s changed the session of the cookie", c.authorization)
	}
}

// Authorization of another scheme belongs to the app.
func TestWithTokenHeader_OtherSchemes(t *testing.T) {
	a, v := newApp(t, newManager(t, memstore.New(), bearer)), newVisitor(t)
	token := newToken(t, a)
	v.login(a, "bob")
	for _, other := range []string{"Basic YW5uOnNlY3JldA==", "Negotiate", "Digest username=\"Bearer x\"", "Bearer,", "Bearer" + token, "bear " + token, token, ""} {
		res := v.do(a, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			require.Equal(t, other, r.Header.Get("Authorization"))
			writeUser(w, r, s)
			require.ErrorIs(t, s.Save(background), nil)
		}, "Authorization", other)
		require.Equal(t, "user:bob", res.body, other)
		require.Equal(t, "none", res.token())
		res = bare(t).do(a, signInAnn, "Authorization", other)
		require.NotNil(t, res.setCookie(host), "a browser with %q gets a cookie", other)
		require.Equal(t, "none", res.token())
	}
	for _, form := range []string{"Bearer " + token, "bearer " + token, "BEARER\t" + token, "  Bearer \t " + token + " \t"} {
		require.Equal(t, "user:ann", v.do(a, writeUser, "Authorization", form).body, form)
	}
	res := v.do(a, writeUser, "Authorization", "Basic YW5uOnNlY3JldA==", "Authorization", "Bearer "+token)
	require.Equal(t, "user:ann", res.body, "the app may have its own scheme beside the token")
}

// Without the option, no header counts.
func TestWithTokenHeader_Default(t *testing.T) {
	store := memstore.New()
	token := newToken(t, newApp(t, newManager(t, store, bearer)))
	a, v := newApp(t, newManager(t, store)), newVisitor(t)
	res := v.do(a, writeUser, "Authorization", "Bearer "+token)
	require.Equal(t, "user:", res.body)
	require.Equal(t, "Cookie", res.Header.Get("Vary"))
	require.NotNil(t, v.do(a, signInAnn, "Authorization", "Bearer").setCookie(host))
}

func TestWithTokenHeader_Hostile(t *testing.T) {
	coll, count := counted(t)
	store := openMongo(t, coll, noSweep)
	a := newApp(t, newManager(t, store, bearer))
	raw := newApp(t, newManager(t, store, session.WithTokenHeader("X-Session", "Session-Token")))
	good := newToken(t, a)
	decoded := must(base64.URLEncoding.DecodeString(good))
	sign := func(secretKey []byte, name string, value []byte) string {
		return must(securecookie.New(secretKey, nil).SetSerializer(securecookie.NopEncoder{}).Encode(name, value))
	}
	key := session.SigningKey(secret)
	values := []string{
		"x", "none", good[:len(good)-4], good + "AAAA", "a" + good[1:], strings.ToUpper(good), good[:70] + " " + good[70:], good[:70] + "!" + good[71:],
		good + "," + good, good + " " + good, good + ", Bearer " + good, "Bearer " + good, host + "=" + good, "\"" + good + "\"", "token=" + good,
		base64.URLEncoding.EncodeToString(decoded[:len(decoded)-1]), base64.URLEncoding.EncodeToString([]byte("||||")),
		strings.Repeat("A", 8192), strings.Repeat("A", 200_000), strings.Repeat("%", 300), strings.Repeat("Bearer ", 300), "\x80\xff",
		sign([]byte(strings.Repeat("k", 32)), host, make([]byte, 48)), sign(key, "other", make([]byte, 48)),
		sign(key, host, make([]byte, 47)), sign(key, host, make([]byte, 49)), sign(key, host, nil), sign(key, host, make([]byte, 480)),
	}
	count.take()
	check := func(a *app, header ...string) {
		res := bare(t).do(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			require.Empty(t, s.User())
			w.WriteHeader(204)
		}, header...)
		require.Equal(t, 204, res.StatusCode, header)
		require.Empty(t, res.Header["Set-Cookie"])
		require.Empty(t, res.token(), "the client is told that its token opens nothing")
	}
	for _, v := range values {
		check(a, "Authorization", "Bearer "+v)
		check(raw, "X-Session", v)
	}
	check(a, "Authorization", "Bearer "+good, "Authorization", "Bearer "+good)
	check(a, "Authorization", "Bearer "+good, "Authorization", "bearer")
	check(raw, "X-Session", good, "X-Session", "junk")
	check(raw, "X-Session", "", "X-Session", good)
	require.Empty(t, count.take(), "a token with an invalid signature reached the store")

	// The signature is valid, but the record never existed. The Manager looks
	// once and never adopts the ID.
	stale := sign(key, host, make([]byte, 48))
	check(a, "Authorization", "Bearer "+stale)
	require.Equal(t, "find", count.take())
	res := bare(t).do(a, setRed, "Authorization", "Bearer "+stale)
	require.Equal(t, "find insert", count.take())
	require.NotEqual(t, session.Token(secret, stale)[:16], session.Token(secret, res.token())[:16])

	// net/http refuses line ends in a request. Base64 would skip them.
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["Authorization"] = []string{"Bearer " + good[:70] + "\r\n" + good[70:]}
	w := httptest.NewRecorder()
	a.m.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		require.Empty(t, session.FromContext(r.Context()).User())
	})).ServeHTTP(w, r)
	require.Empty(t, count.take())
}

// The client learns that its token opens no session. If another response has
// the new token, or if the store does not respond, the client is not told so.
func TestWithTokenHeader_LostSession(t *testing.T) {
	now := newClock()
	store := newFaulty()
	m := newManager(t, store, bearer)
	m.SetClock(now.Now)
	a := newApp(t, m)
	use := func(token string, do handler) answer { return bare(t).do(a, do, "Authorization", "Bearer "+token) }
	for name, end := range map[string]func(token string){
		"revoked": func(string) { must(m.RevokeAll(background, "ann")) },
		"idle":    func(string) { now.advance(15 * 24 * time.Hour) },
		"stale": func(token string) {
			require.NotEmpty(t, use(token, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Renew() }).token())
			for _, do := range []handler{nothing, setRed} {
				require.Equal(t, "none", use(token, do).token(), "superseded")
			}
			now.advance(31 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			token := newToken(t, a)
			store.fail("Load", errDown)
			res := use(token, nothing)
			require.Equal(t, 503, res.StatusCode)
			require.Equal(t, "none", res.token(), "an outage signs nobody out")
			store.fail("Load", nil)
			require.Equal(t, "none", use(token, nothing).token())
			end(token)
			for _, do := range []handler{nothing, writeUser, signOut, func(w http.ResponseWriter, _ *http.Request, _ *session.Session) { _ = flush(w); write(w) }} {
				res = use(token, do)
				require.Equal(t, 200, res.StatusCode)
				require.Equal(t, "", res.token())
				require.Equal(t, "no-store", res.Header.Get("Cache-Control"), "a cache could give it to a client with a session")
				require.Equal(t, "Authorization", res.Header.Get("Vary"))
			}
			require.Greater(t, len(use(token, signInAnn).token()), 100)
			now.advance(time.Minute)
		})
	}
	store.fail("Insert", errDown)
	res := use("junk", setRed)
	require.Equal(t, 503, res.StatusCode)
	require.Equal(t, "", res.token(), "an error page too")
	require.Equal(t, "none", use("", setRed).token(), "a client without a token")
}

func TestWithTokenHeader_CacheHeaders(t *testing.T) {
	a, v := newApp(t, newManager(t, memstore.New(), bearer)), newVisitor(t)
	headers := func(do handler, header ...string) string {
		h := v.do(a, do, header...).Header
		return fmt.Sprint(h["Vary"], h["Cache-Control"])
	}
	withVary := func(vary string, do handler) handler {
		return func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			w.Header().Set("Vary", vary)
			do(w, r, s)
		}
	}
	token := newToken(t, a)
	require.Equal(t, "[] []", headers(nothing))
	require.Equal(t, "[] []", headers(nothing, "Authorization", "Bearer"))
	require.Equal(t, "[Authorization] [private]", headers(writeUser, "Authorization", "Bearer"))
	require.Equal(t, "[Authorization] [private]", headers(nothing, "Authorization", "Bearer "+token))
	require.Equal(t, "[Accept, authorization] [private]", headers(withVary("Accept, authorization", writeUser), "Authorization", "Bearer"))
	require.Equal(t, "[Accept Authorization] [private]", headers(withVary("Accept", writeUser), "Authorization", "Bearer"))
	require.Equal(t, "[Authorization] [no-store]", headers(signInAnn, "Authorization", "Bearer"))
	// The page for the cookie is not for a client with the header.
	require.Equal(t, "[Authorization, Cookie] [private]", headers(writeUser))
	require.Equal(t, "[Authorization, Cookie] [no-store]", headers(signInAnn))
	require.Equal(t, "[Cookie Authorization] [private]", headers(withVary("Cookie", writeUser)))
	require.Equal(t, "[*] [private]", headers(withVary("*", writeUser)))
}

// A browser never adds the header by itself, and no cookie is replaced.
func TestWithTokenHeader_CrossSite(t *testing.T) {
	a := newApp(t, newManager(t, memstore.New(), bearer, session.WithSameSite(http.SameSiteStrictMode), session.WithCookiePath("/app")))
	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"},
		{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"},
		nil, // outside the path
	} {
		require.Equal(t, 403, bare(t).do(a, setRed, header...).StatusCode)
		require.Equal(t, 403, bare(t).do(a, setRed, append(header, "Authorization", "Basic x")...).StatusCode)
		for _, token := range []string{"Bearer", "Bearer junk"} {
			res := bare(t).do(a, setRed, append(header, "Authorization", token)...)
			require.Equal(t, 200, res.StatusCode)
			require.Greater(t, len(res.token()), 100)
		}
	}
}

func TestWithTokenHeader_Hijack(t *testing.T) {
	m := newManager(t, memstore.New(), bearer)
	a := newApp(t, m)
	srv, v := start(t, m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		s.SignIn("ann")
		_, _, err := http.NewResponseController(w).Hijack()
		require.ErrorIs(t, err, session.ErrUndeliverable)
		require.NoError(t, s.Save(r.Context()))
		require.Nil(t, s.Cookie(), "a cookie is not for this client")
		_, _, err = http.NewResponseController(w).Hijack()
		require.ErrorIs(t, err, session.ErrUndeliverable, "the caller has not sent the token")
		h := http.Header{}
		s.SetHeader(h)
		conn, rw, err := http.NewResponseController(w).Hijack()
		require.NoError(t, err)
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 200 OK\r\nConnection: close\r\n")
		require.NoError(t, h.Write(rw))
		fmt.Fprint(rw, "\r\n")
		rw.Flush()
	})), false)
	res := v.send("GET", srv.URL, "Authorization", "Bearer")
	require.NoError(t, res.err)
	require.Empty(t, res.Header["Set-Cookie"])
	require.Equal(t, "user:ann", bare(t).do(a, writeUser, "Authorization", "Bearer "+res.token()).body)
}

func TestWithTokenHeader_PlainHTTP(t *testing.T) {
	log := new(logs)
	m := newManager(t, memstore.New(), bearer, log.option())
	r := httptest.NewRequest("GET", "http://example.com/", nil)
	r.Header.Set("Authorization", "Bearer")
	m.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { session.FromContext(r.Context()).SignIn("ann") })).ServeHTTP(httptest.NewRecorder(), r)
	require.Contains(t, log.String(), "session: token header sent over what looks like plain HTTP")
}

// A Tracer sees the admission of a token client like that of a browser.
func TestWithTokenHeader_Tracer(t *testing.T) {
	a, r, _ := traced(t, memstore.New(), bearer)
	token := newToken(t, a)
	for _, c := range []struct {
		outcome string
		header  []string
	}{
		{"current", []string{"Bearer " + token}},
		{"none", []string{"Bearer"}},
		{"none", []string{"Basic x"}},
		{"forged", []string{"Bearer junk"}},
		{"forged", []string{"Bearer " + token, "Bearer " + token}},
	} {
		r.take()
		var header []string
		for _, value := range c.header {
			header = append(header, "Authorization", value)
		}
		bare(t).do(a, nothing, header...)
		require.Contains(t, r.take(), "admit "+c.outcome, c.header)
	}
}

// Each Manager of a request has its own headers.
func TestWithTokenHeader_TwoManagers(t *testing.T) {
	outer := newManager(t, memstore.New(), bearer)
	inner := newManager(t, memstore.New(), session.WithCookieName("inner"), session.WithTokenHeader("X-Inner", "X-New-Inner"))
	srv, v := start(t, outer.Wrap(inner.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, b := outer.FromContext(r.Context()), inner.FromContext(r.Context())
		fmt.Fprint(w, a.User(), " ", b.User())
	}))), false)
	login, _ := start(t, outer.Wrap(inner.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		outer.FromContext(r.Context()).SignIn("ann")
		inner.FromContext(r.Context()).SignIn("bob")
	}))), false)
	v.Jar = nil
	res := v.send("GET", login.URL, "Authorization", "Bearer", "X-Inner", "")
	require.Empty(t, res.Header["Set-Cookie"])
	both := []string{"Authorization", "Bearer " + res.token(), "X-Inner", res.Header.Get("X-New-Inner")}
	require.Equal(t, "ann bob", v.send("GET", srv.URL, both...).body)
	require.Equal(t, "ann ", v.send("GET", srv.URL, both[:2]...).body)
	require.Equal(t, " bob", v.send("GET", srv.URL, both[2:]...).body)
	mixed := v.send("GET", login.URL, "Authorization", "Bearer")
	require.Greater(t, len(mixed.token()), 100)
	require.NotNil(t, mixed.setCookie("inner"), "one of them may use its cookie")
	require.Nil(t, mixed.setCookie(host))

	for name, shared := range map[string]session.Option{
		"Authorization": session.WithTokenHeader("authorization", "X-Other"),
		"Session-Token": session.WithTokenHeader("X-Other", "session-token"),
	} {
		other := newManager(t, memstore.New(), session.WithCookieName("other"), shared)
		require.PanicsWithValue(t, `session: two managers wrap this request with one token header "`+name+`": use other names for one of them (WithTokenHeader)`, func() {
			outer.Wrap(other.Wrap(http.NotFoundHandler())).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		})
	}
}

func TestNew_TokenHeader(t *testing.T) {
	for names, want := range map[[2]string]string{
		{"", "Session-Token"}:                     `the request header "" is not a token of RFC 9110`,
		{"X Session", "Session-Token"}:            `the request header "X Session" is not a token`,
		{"Session:", "Session-Token"}:             "is not a token",
		{"Authorization", ""}:                     `the response header "" is not a token of RFC 9110`,
		{"Authorization", "Sitzung\u00fc"}:        "is not a token",
		{"cookie", "Session-Token"}:               `the request header "Cookie" has another meaning in HTTP; use a name such as Session-Token`,
		{"Authorization", "set-cookie"}:           `the response header "Set-Cookie" has another meaning`,
		{"Connection", "Session-Token"}:           "has another meaning",
		{"te", "Session-Token"}:                   "has another meaning",
		{"Transfer-Encoding", "Session-Token"}:    "has another meaning",
		{"Proxy-Authorization", "Session-Token"}:  "has another meaning",
		{"Keep-Alive", "Session-Token"}:           "has another meaning",
		{"Upgrade", "Session-Token"}:              "has another meaning",
		{"Host", "Session-Token"}:                 "has another meaning",
		{"User-Agent", "Session-Token"}:           "has another meaning",
		{"Accept", "Session-Token"}:               "has another meaning",
		{"Accept-Language", "Session-Token"}:      "has another meaning",
		{"Content-Type", "Session-Token"}:         "has another meaning",
		{"Sec-Fetch-Site", "Session-Token"}:       "has another meaning",
		{"Origin", "Session-Token"}:               "has another meaning",
		{"X-Forwarded-For", "Session-Token"}:      "has another meaning",
		{"X-Peer", "Session-Token"}:               "has another meaning", // WithForwardedHeader below
		{"Authorization", "Cache-Control"}:        "has another meaning",
		{"Authorization", "Vary"}:                 "has another meaning",
		{"Authorization", "Content-Length"}:       "has another meaning",
		{"Authorization", "Access-Control-Any"}:   "has another meaning",
		{"Authorization", "authorization"}:        `the response header "Authorization" is a header of requests; use a name such as Session-Token`,
		{"authorization", "Session-Token"}:        "",
		{"session-token", "session-token"}:        "",
		{"X-Auth-Token", "X-Auth-Token"}:          "",
		{"Proxied-Session", "Contented-Session"}:  "",
		{"!#$%&'*+-.^_`|~0aZ", "Session-Token-2"}: "",
	} {
		_, err := session.New(memstore.New(), secret, session.WithForwardedHeader("X-Peer"), session.WithTokenHeader(names[0], names[1]))
		if want == "" {
			require.NoError(t, err, names)
			continue
		}
		require.ErrorContains(t, err, "session: WithTokenHeader: ", names)
		require.ErrorContains(t, err, want, names)
	}
}
