// Command flash shows a message once, on the page after a form was saved.
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

const flash session.Key[[]string] = "flash"

var page = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><title>Notes</title>
{{range .}}<p role="status">{{.}}</p>{{end}}
<form method="post"><label>Note <input name="note" required></label> <button>Save</button></form>`))

func main() {
	store, err := mongostore.Open(context.Background(), os.Getenv("MONGO_URI"))
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	app := http.NewCrossOriginProtection().Handler(sessions.Wrap(handler()))
	log.Print("open http://localhost:8080")
	log.Fatal((&http.Server{Addr: "localhost:8080", Handler: app, ReadHeaderTimeout: 10 * time.Second}).ListenAndServe())
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", show)
	mux.HandleFunc("POST /{$}", save)
	return mux
}

// show shows the messages and removes them.
func show(w http.ResponseWriter, r *http.Request) {
	messages, _ := flash.Pop(session.FromContext(r.Context()))
	_ = page.Execute(w, messages)
}

// save adds a message with Update, so two forms that are saved at the same time show both messages.
func save(w http.ResponseWriter, r *http.Request) {
	message := "Saved: " + r.PostFormValue("note")
	s := session.FromContext(r.Context())
	if _, err := flash.Update(r.Context(), s, func(m []string) []string { return append(m, message) }); err != nil {
		http.Error(w, "Please try again.", session.HTTPStatus(err))
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
