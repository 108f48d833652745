// Command remember has a sign-in form with a checkbox "remember me". Without it the session ends when the browser
// exits, or after an hour without a request. With it the session lasts for 90 days.
package main

import (
	"context"
	"html/template"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

// options are the timeouts of a session whose user does not want to be remembered.
var options = []session.Option{
	session.WithBrowserSession(),
	session.WithIdleTimeout(time.Hour),
	session.WithLifetime(12 * time.Hour),
}

var page = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><title>Remember me</title>
{{with .User}}<p>You are {{.}}, until {{$.ExpiresAt.Format "2 January 15:04"}} without a visit.</p>
<form method="post" action="/logout"><button>Sign out</button></form>
{{else}}<form method="post" action="/login"><label>Name <input name="user"></label>
<label>Password <input name="password" type="password"></label>
<label><input name="remember" type="checkbox"> Remember me on this device</label> <button>Sign in</button></form>{{end}}`))

func main() {
	store, err := mongostore.Open(context.Background(), os.Getenv("MONGO_URI"))
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"), options...)
	if err != nil {
		log.Fatal(err)
	}
	app := http.NewCrossOriginProtection().Handler(sessions.Wrap(handler()))
	log.Print("open http://localhost:8080")
	log.Fatal((&http.Server{Addr: "localhost:8080", Handler: app, ReadHeaderTimeout: 10 * time.Second}).ListenAndServe())
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		_ = page.Execute(w, session.FromContext(r.Context()).Info())
	})
	mux.HandleFunc("POST /login", signIn)
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignOut()
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	return mux
}

func signIn(w http.ResponseWriter, r *http.Request) {
	user := r.PostFormValue("user")
	if user != "ann" || r.PostFormValue("password") != "correct horse" { // your own check
		http.Error(w, "Wrong name or password.", http.StatusForbidden)
		return
	}
	s := session.FromContext(r.Context())
	s.SignIn(user)
	if r.PostFormValue("remember") != "" {
		s.SetTimeouts(30*24*time.Hour, 90*24*time.Hour) // after SignIn, which resets them
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
