// Command minimal is a web app whose visitors stay signed in across restarts.
package main

import (
	"cmp"
	"context"
	"html/template"
	"log"
	"net/http"
	"os"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

const visits session.Key[int] = "visits"

var page = template.Must(template.New("").Parse(`<!doctype html><title>Hello</title><h1>Visit {{.Visits}}</h1>
{{with .User}}<form method="post" action="/logout">You are {{.}}. <button>Sign out</button></form>
{{else}}<form method="post" action="/login"><label>Name <input name="user"></label>
<label>Password <input name="password" type="password"></label> <button>Sign in</button></form>{{end}}`))

func main() {
	store, err := mongostore.Open(context.Background(), os.Getenv("MONGO_URI"))
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"),
		session.WithAcceptedSecrets(os.Getenv("SESSION_SECRET_ALSO"))) // for rotation
	if err != nil {
		log.Fatal(err)
	}
	app := http.NewServeMux()
	app.HandleFunc("GET /{$}", home)
	app.HandleFunc("POST /login", login)
	app.HandleFunc("POST /logout", logout)

	site := http.NewServeMux() // requests outside Wrap do not wait for the store
	site.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	site.Handle("/", http.NewCrossOriginProtection().Handler(sessions.Wrap(app)))
	addr := cmp.Or(os.Getenv("ADDR"), "localhost:8080")
	log.Print("open http://", addr)
	log.Fatal(http.ListenAndServe(addr, site))
}

func home(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	n, err := visits.Update(r.Context(), s, func(n int) int { return n + 1 })
	if err != nil {
		http.Error(w, "Please try again.", session.HTTPStatus(err))
		return
	}
	_ = page.Execute(w, map[string]any{"Visits": n, "User": s.User()})
}

func login(w http.ResponseWriter, r *http.Request) {
	user := r.PostFormValue("user")
	if user != "ann" || r.PostFormValue("password") != "correct horse" { // your own check
		http.Error(w, "Wrong name or password.", http.StatusForbidden)
		return
	}
	session.FromContext(r.Context()).SignIn(user)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func logout(w http.ResponseWriter, r *http.Request) {
	session.FromContext(r.Context()).SignOut()
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
