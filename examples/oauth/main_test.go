package main

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session/memstore"
)

// fake is a provider with one user and one code. The code works once.
func fake(t *testing.T) *httptest.Server {
	challenge := ""
	mux := http.NewServeMux()
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		challenge = r.FormValue("code_challenge")
		back := r.FormValue("redirect_uri") + "?" + url.Values{"code": {"good"}, "state": {r.FormValue("state")}}.Encode()
		http.Redirect(w, r, back, http.StatusFound)
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if r.FormValue("code") != "good" || base64.RawURLEncoding.EncodeToString(sum[:]) != challenge {
			http.Error(w, "invalid_grant", http.StatusBadRequest)
			return
		}
		challenge = ""
		fmt.Fprint(w, `{"access_token":"abc"}`)
	})
	mux.HandleFunc("GET /user", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer abc" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"sub":"ann"}`)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

type browser struct {
	t    *testing.T
	base string
	*http.Client
}

func open(t *testing.T) *browser {
	idp := fake(t)
	p := &provider{
		authURL: idp.URL + "/authorize", tokenURL: idp.URL + "/token", userURL: idp.URL + "/user", client: idp.Client(),
	}
	srv := httptest.NewServer(http.NewCrossOriginProtection().Handler(memstore.NewManager().Wrap(p.handler())))
	t.Cleanup(srv.Close)
	p.redirectURL = srv.URL + "/callback"
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &browser{t, srv.URL, &http.Client{Jar: jar, Transport: srv.Client().Transport}}
}

func (b *browser) get(path string) (int, string) {
	resp, err := b.Get(b.base + path)
	return b.read(resp, err)
}

func (b *browser) read(resp *http.Response, err error) (int, string) {
	b.t.Helper()
	require.NoError(b.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	return resp.StatusCode, string(body)
}

func (b *browser) token() string {
	u, err := url.Parse(b.base)
	require.NoError(b.t, err)
	for _, c := range b.Jar.Cookies(u) {
		return c.Value
	}
	return ""
}

func TestSignIn_NewToken(t *testing.T) {
	b := open(t)
	_, body := b.get("/")
	require.Contains(t, body, "Sign in")

	var before string // token of the session with the state
	b.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/authorize" {
			before = b.token()
		}
		return nil
	}
	status, body := b.read(b.PostForm(b.base+"/login", nil))
	require.Equal(t, http.StatusOK, status, body)
	require.Equal(t, "You are ann.", body)
	require.NotEmpty(t, before)
	require.NotEqual(t, before, b.token(), "the sign-in keeps a token that was there before it")
}

func TestCallback_StateOfVisitorOnce(t *testing.T) {
	b := open(t)
	status, _ := b.get("/callback?code=good&state=guessed")
	require.Equal(t, http.StatusForbidden, status, "no sign-in was begun")
	require.Empty(t, b.token(), "a stray callback makes no session")

	var callback string
	b.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path != "/callback" {
			return nil
		}
		callback = r.URL.RequestURI()
		return http.ErrUseLastResponse
	}
	b.read(b.PostForm(b.base+"/login", nil))
	require.NotEmpty(t, callback)

	victim := open(t)
	status, _ = victim.get(callback)
	require.Equal(t, http.StatusForbidden, status, "another visitor's callback signs in")

	status, _ = b.get("/callback?code=good&state=guessed")
	require.Equal(t, http.StatusForbidden, status)
	status, _ = b.get(callback)
	require.Equal(t, http.StatusForbidden, status, "the state was taken out by the guess")
}

func TestCallback_ProviderRefuses(t *testing.T) {
	b := open(t)
	b.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/callback" {
			q := r.URL.Query()
			q.Set("code", "bad")
			r.URL.RawQuery = q.Encode()
		}
		return nil
	}
	status, _ := b.read(b.PostForm(b.base+"/login", nil))
	require.Equal(t, http.StatusBadGateway, status)
	_, body := b.get("/")
	require.Contains(t, body, "Sign in")
}
