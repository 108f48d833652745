// Command tutorial is the app at the end of the tutorial.
package main

import (
	"cmp"
	"context"
	"fmt"
	"html"
	"log"
	"net/http"
	"os"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

const visits session.Key[int] = "visits"

func main() {
	store, err := mongostore.Open(context.Background(), os.Getenv("MONGO_URI"))
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"))
	if err != nil {
		log.Fatal(err)
	}

	app := http.NewServeMux()
	app.HandleFunc("GET /{$}", home)
	app.HandleFunc("GET /login", loginPage)
	app.HandleFunc("POST /login", login)
	app.HandleFunc("GET /account", requireUser(account))
	app.HandleFunc("POST /logout", logout)
	handler := http.NewCrossOriginProtection().Handler(sessions.Wrap(app))

	addr := cmp.Or(os.Getenv("ADDR"), "localhost:8080")
	log.Print("open http://", addr)
	log.Fatal(http.ListenAndServe(addr, handler))
}

func home(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	n, err := visits.Update(r.Context(), s, func(n int) int { return n + 1 })
	if err != nil {
		http.Error(w, "Please try again.", session.HTTPStatus(err))
		return
	}
	fmt.Fprintf(w, "Visit %d\n", n)
}

func loginPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, `<form method="post"><label>Name <input name="user"></label>
		<label>Password <input name="password" type="password"></label> <button>Sign in</button></form>`)
}

func login(w http.ResponseWriter, r *http.Request) {
	user := r.PostFormValue("user")
	if user != "ann" || r.PostFormValue("password") != "correct horse" { // your own check
		http.Error(w, "Wrong name or password.", http.StatusForbidden)
		return
	}
	session.FromContext(r.Context()).SignIn(user)
	http.Redirect(w, r, "/account", http.StatusSeeOther)
}

func requireUser(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if session.FromContext(r.Context()).User() == "" {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		}
		next(w, r)
	}
}

func account(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `You are %s. Visits: %d.
		<form method="post" action="/logout"><button>Sign out</button></form>`,
		html.EscapeString(s.User()), visits.GetOr(s, 0))
}

func logout(w http.ResponseWriter, r *http.Request) {
	session.FromContext(r.Context()).SignOut()
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
