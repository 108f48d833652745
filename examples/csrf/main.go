// Command csrf puts a token of the session into its forms. Most apps do not need one. http.CrossOriginProtection
// refuses forms of other sites in every browser since 2020. A token is useful if a page on a subdomain is not trusted,
// or if a regulation requires one.
package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"html/template"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

const csrfToken session.Key[string] = "csrf"

var page = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><title>Transfer</title>
<form method="post"><input name="csrf" type="hidden" value="{{.}}">
<label>Amount <input name="amount" inputmode="numeric"></label> <button>Transfer</button></form>`))

func main() {
	store, err := mongostore.Open(context.Background(), os.Getenv("MONGO_URI"))
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	app := http.NewCrossOriginProtection().Handler(sessions.Wrap(protect(handler())))
	log.Print("open http://localhost:8080")
	log.Fatal((&http.Server{Addr: "localhost:8080", Handler: app, ReadHeaderTimeout: 10 * time.Second}).ListenAndServe())
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		_ = page.Execute(w, tokenOf(session.FromContext(r.Context())))
	})
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("Transferred."))
	})
	return mux
}

// tokenOf returns the token of the session, and makes one if there is none.
func tokenOf(s *session.Session) string {
	if token, ok := csrfToken.Get(s); ok {
		return token
	}
	token := rand.Text()
	csrfToken.Set(s, token)
	return token
}

// protect refuses forms without the token of the visitor's session.
func protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet, http.MethodHead, http.MethodOptions:
		default:
			want, ok := csrfToken.Get(session.FromContext(r.Context()))
			if !ok || subtle.ConstantTimeCompare([]byte(r.PostFormValue("csrf")), []byte(want)) != 1 {
				http.Error(w, "This form has expired. Please go back, reload the page and try again.", http.StatusForbidden)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
