// Command oauth signs people in with an OAuth 2.0 provider, by the authorization code grant with PKCE. The anonymous
// session keeps the state and the verifier until the visitor returns. The callback takes them out once. Then SignIn
// signs the user in and gives the session a new token.
//
// The default cookie (SameSite=Lax) comes back with the provider's redirect; with SameSiteStrictMode it would not. It does
// not come back with a form that the provider's page posts (response_mode=form_post); see docs/how-to/sign-in.md.
package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

// waiting holds the values of a sign-in while the visitor is at the provider.
type waiting struct{ State, Verifier string }

const pending session.Key[waiting] = "oauth"

// provider holds the endpoints from the documentation of the provider and the values from its registration form.
type provider struct {
	authURL, tokenURL, userURL, clientID, clientSecret, redirectURL string
	client                                                          *http.Client
}

func main() {
	store, err := mongostore.Open(context.Background(), os.Getenv("MONGO_URI"))
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	p := &provider{
		os.Getenv("OAUTH_AUTH_URL"), os.Getenv("OAUTH_TOKEN_URL"), os.Getenv("OAUTH_USER_URL"),
		os.Getenv("OAUTH_CLIENT_ID"), os.Getenv("OAUTH_CLIENT_SECRET"), "http://localhost:8080/callback",
		&http.Client{Timeout: 10 * time.Second},
	}
	app := http.NewCrossOriginProtection().Handler(sessions.Wrap(p.handler()))
	log.Print("open http://localhost:8080")
	log.Fatal((&http.Server{Addr: "localhost:8080", Handler: app, ReadHeaderTimeout: 10 * time.Second}).ListenAndServe())
}

func (p *provider) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", home)
	mux.HandleFunc("POST /login", p.login)
	mux.HandleFunc("GET /callback", p.callback)
	return mux
}

func home(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if user := session.FromContext(r.Context()).User(); user != "" {
		fmt.Fprintf(w, "You are %s.", html.EscapeString(user))
		return
	}
	fmt.Fprint(w, `<form method="post" action="/login"><button>Sign in</button></form>`)
}

// login redirects the visitor to the provider. The Manager stores the state before it sends the redirect.
func (p *provider) login(w http.ResponseWriter, r *http.Request) {
	wait := waiting{State: rand.Text(), Verifier: rand.Text() + rand.Text()}
	pending.Set(session.FromContext(r.Context()), wait)
	challenge := sha256.Sum256([]byte(wait.Verifier))
	http.Redirect(w, r, p.authURL+"?"+url.Values{
		"response_type": {"code"}, "client_id": {p.clientID}, "redirect_uri": {p.redirectURL}, "state": {wait.State},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}.Encode(), http.StatusSeeOther)
}

func (p *provider) callback(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	wait, ok := pending.Pop(s) // once, even if the sign-in fails
	if !ok || subtle.ConstantTimeCompare([]byte(wait.State), []byte(r.FormValue("state"))) != 1 {
		http.Error(w, "This sign-in was not begun here. Please start again.", http.StatusForbidden)
		return
	}
	user, err := p.user(r.Context(), r.FormValue("code"), wait.Verifier)
	if err != nil {
		log.Print("oauth: ", err)
		http.Error(w, "The provider did not confirm the sign-in. Please start again.", http.StatusBadGateway)
		return
	}
	s.SignIn(user)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// user exchanges the code for an access token and reads its user.
func (p *provider) user(ctx context.Context, code, verifier string) (string, error) {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {p.redirectURL}, "code_verifier": {verifier},
		"client_id": {p.clientID}, "client_secret": {p.clientSecret},
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.tokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := p.call(r, &token); err != nil {
		return "", err
	}
	if r, err = http.NewRequestWithContext(ctx, http.MethodGet, p.userURL, nil); err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+token.AccessToken)
	var user struct{ Sub string }
	if err := p.call(r, &user); err != nil {
		return "", err
	}
	if user.Sub == "" {
		return "", fmt.Errorf("%s names no user", p.userURL)
	}
	return user.Sub, nil
}

func (p *provider) call(r *http.Request, answer any) error {
	resp, err := p.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", r.URL.Redacted(), resp.Status)
	}
	return json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<20)).Decode(answer)
}
