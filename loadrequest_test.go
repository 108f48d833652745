package session_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// credentials are the header by which a client sends its token, and the value
// of the response that contains a new one.
type credentials struct {
	name string
	send func(token string) []string
	got  func(res answer) string
}

// bothCarriers calls f for a client with a cookie and for a token client.
func bothCarriers(t *testing.T, f func(t *testing.T, by credentials)) {
	for _, by := range []credentials{
		{"cookie", func(token string) []string { return []string{"Cookie", host + "=" + token} }, func(res answer) string {
			if c := res.setCookie(host); c != nil {
				return c.Value
			}
			return "none"
		}},
		{"header", func(token string) []string { return []string{"Authorization", "Bearer " + token} }, answer.token},
	} {
		t.Run(by.name, func(t *testing.T) { f(t, by) })
	}
}

// A gateway loads the session itself and responds without Wrap.
func TestLoadRequest_Gateway(t *testing.T) {
	bothCarriers(t, func(t *testing.T, by credentials) {
		store := newFaulty()
		m := newManager(t, store, bearer, session.WithClientInfo())
		var do func(s *session.Session)
		srv, v := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := m.LoadRequest(r)
			if err == nil {
				do(s)
				err = s.Save(r.Context())
			}
			if err != nil {
				http.Error(w, "no", session.HTTPStatus(err))
				return
			}
			user := s.User()
			s.SetHeader(w.Header())
			io.WriteString(w, user)
		}), false)
		v.Jar = nil
		request := func(token string, f func(s *session.Session)) answer {
			do = f
			res := v.send("GET", srv.URL, append(by.send(token), "User-Agent", "an app")...)
			require.NoError(t, res.err)
			return res
		}
		noop := func(*session.Session) {}
		res := request("", func(s *session.Session) { s.SignIn("ann") })
		token := by.got(res)
		require.Greater(t, len(token), 100)
		require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
		info := must(m.List(background, "ann"))[0]
		require.Equal(t, "127.0.0.1 an app", info.ClientIP+" "+info.UserAgent)

		res = request(token, noop)
		require.Equal(t, "ann", res.body)
		require.Equal(t, "none", by.got(res))
		require.Equal(t, "private", res.Header.Get("Cache-Control"))
		renewed := by.got(request(token, (*session.Session).Renew))
		require.Equal(t, "ann", request(renewed, noop).body)
		require.Equal(t, 409, request(token, func(s *session.Session) { color.Set(s, "red") }).StatusCode)

		store.fail("Load", errDown)
		require.Equal(t, 503, request(renewed, noop).StatusCode)
		store.fail("Load", nil)
		require.Equal(t, "", by.got(request(renewed, (*session.Session).SignOut)))
		require.Zero(t, store.Store.(*memstore.Store).Len())
		require.Equal(t, "", request(renewed, noop).body)
	})
}

// A gateway in front of Wrap puts the session into the context. Wrap commits it
// and sends the token in the way that the client uses.
func TestLoadRequest_InFrontOfWrap(t *testing.T) {
	bothCarriers(t, func(t *testing.T, by credentials) {
		m := newManager(t, memstore.New(), bearer)
		a := newApp(t, m, loaded(t, func(r *http.Request) *session.Session {
			defer r.Header.Del("Authorization")
			defer r.Header.Del("Cookie") // what the gateway has read is not for the handler
			return must(m.LoadRequest(r))
		}))
		res := bare(t).do(a, setRed, by.send("")...)
		token := by.got(res)
		require.Greater(t, len(token), 100)
		require.Equal(t, "none", by.got(bare(t).do(a, setRed, by.send(token)...)))
		signedIn := by.got(bare(t).do(a, signInAnn, by.send(token)...))
		again := func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.SignOut(); color.Set(s, "blue") }
		extra := by.got(bare(t).do(a, signInAnn, by.send("")...))
		res = bare(t).do(a, again, append(by.send(extra), "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors")...)
		require.Equal(t, 200, res.StatusCode, "the browser sent the cookie")
		require.Greater(t, len(by.got(res)), 100)
		res = bare(t).do(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			fmt.Fprint(w, s.User(), color.GetOr(s, ""))
		}, by.send(signedIn)...)
		require.Equal(t, "annred", res.body)
		require.Equal(t, "", by.got(bare(t).do(a, signOut, by.send(signedIn)...)))
		if by.name == "header" {
			require.Equal(t, "", by.got(bare(t).do(a, nothing, by.send(signedIn)...)), "the client learns that its token opens nothing")
		}
	})
}

// Load reads the cookies only. A client that sends the header gets no cookie
// even then.
func TestLoad_InFrontOfWrapWithTokenHeader(t *testing.T) {
	m := newManager(t, memstore.New(), bearer)
	a := newApp(t, m, loaded(t, func(r *http.Request) *session.Session { return must(m.Load(r.Context(), r.Cookies())) }))
	res := bare(t).do(a, signInAnn, "Authorization", "Bearer")
	require.Empty(t, res.Header["Set-Cookie"])
	require.Greater(t, len(res.token()), 100)
	v := newVisitor(t)
	v.login(a, "bob")
	res = v.do(a, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Renew() }, "Authorization", "Bearer")
	require.NotNil(t, res.setCookie(host), "the session came by the cookie")
	require.Equal(t, "none", res.token())
	require.Equal(t, "bob", v.user(a))
}

// LoadRequest knows the request, so a browser cannot lose its session to a
// request from another site.
func TestLoadRequest_CrossSite(t *testing.T) {
	m := newManager(t, memstore.New(), bearer)
	for authorization, want := range map[string]error{"": session.ErrCrossSite, "Basic x": session.ErrCrossSite, "Bearer": nil, "Bearer junk": nil} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Authorization", authorization)
		s := must(m.LoadRequest(r))
		color.Set(s, "red")
		require.ErrorIs(t, s.Save(background), want, authorization)
		require.Nil(t, s.Cookie())
	}
}
