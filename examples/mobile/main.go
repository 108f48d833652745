// Command mobile serves browsers and a mobile app with the same handlers. A browser keeps its token in a cookie. The
// app sends its token in a header. The handlers do not notice the difference.
package main

import (
	"context"
	"encoding/json"
	"html/template"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

const notes session.Key[[]string] = "notes"

var page = template.Must(template.New("").Parse(`<!doctype html><title>Notes</title>
{{with .User}}<h1>Notes of {{.}}</h1>
<form method="post" action="/notes"><input name="note"> <button>Add</button></form>
<form method="post" action="/logout"><button>Sign out</button></form>
<form method="post" action="/logout-others"><button>Sign out on other devices</button></form>
{{else}}<form method="post" action="/login"><input name="user"> <button>Sign in</button></form>{{end}}
<ul>{{range .Notes}}<li>{{.}}</li>{{end}}</ul>`))

func main() {
	store, err := mongostore.Open(context.Background(), os.Getenv("MONGO_URI"))
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := newSessions(store, os.Getenv("SESSION_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	log.Print("open http://localhost:8080")
	log.Fatal((&http.Server{Addr: "localhost:8080", Handler: handler(sessions), ReadHeaderTimeout: 10 * time.Second}).ListenAndServe())
}

func newSessions(store session.Store, secret string) (*session.Manager, error) {
	return session.New(store, secret, session.WithTokenHeader("Authorization", "Session-Token"))
}

func handler(sessions *session.Manager) http.Handler {
	app := http.NewServeMux()
	app.HandleFunc("GET /{$}", show)
	app.HandleFunc("POST /login", login)
	app.HandleFunc("POST /notes", add)
	app.HandleFunc("POST /logout", logout)
	app.HandleFunc("POST /logout-others", logoutOthers)
	return http.NewCrossOriginProtection().Handler(sessions.Wrap(app))
}

// show responds with JSON to the app and with a page to a browser.
func show(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	data := struct {
		User  string
		Notes []string
	}{s.User(), notes.GetOr(s, nil)}
	w.Header().Set("Vary", "Accept")
	if r.Header.Get("Accept") == "application/json" {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(data)
		return
	}
	_ = page.Execute(w, data)
}

func login(w http.ResponseWriter, r *http.Request) {
	session.FromContext(r.Context()).SignIn(r.PostFormValue("user")) // after your own check of the credentials
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func add(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	if s.User() == "" {
		http.Error(w, "Sign in first.", http.StatusForbidden)
		return
	}
	note := r.PostFormValue("note")
	_, err := notes.Update(r.Context(), s, func(list []string) []string { return append(list, note) })
	if err != nil {
		http.Error(w, "Please try again.", session.HTTPStatus(err))
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func logout(w http.ResponseWriter, r *http.Request) {
	session.FromContext(r.Context()).SignOut()
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// logoutOthers ends the user's other sessions, in browsers and in the app.
func logoutOthers(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	if s.User() == "" {
		http.Error(w, "Sign in first.", http.StatusForbidden)
		return
	}
	if _, err := s.RevokeOthers(r.Context()); err != nil {
		http.Error(w, "Please try again.", session.HTTPStatus(err))
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
