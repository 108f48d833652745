// Command count is the first step of the tutorial.
package main

import (
	"cmp"
	"context"
	"fmt"
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

	addr := cmp.Or(os.Getenv("ADDR"), "localhost:8080")
	log.Print("open http://", addr)
	log.Fatal(http.ListenAndServe(addr, sessions.Wrap(app)))
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
