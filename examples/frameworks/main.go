// Command frameworks is one small app for three popular routers:
//
//	go run -C examples/frameworks . chi     (or gin, or echo)
//
// No router needs an adapter, because Wrap accepts every http.Handler.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

const visits session.Key[int] = "visits"

var frameworks = map[string]func(*session.Manager) http.Handler{"chi": withChi, "gin": withGin, "echo": withEcho}

func main() {
	if len(os.Args) != 2 || frameworks[os.Args[1]] == nil {
		log.Fatal("want one argument: chi, gin or echo")
	}
	store, err := mongostore.Open(context.Background(), os.Getenv("MONGO_URI"))
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	app := http.NewCrossOriginProtection().Handler(frameworks[os.Args[1]](sessions))
	log.Print("open http://localhost:8080/count")
	log.Fatal((&http.Server{Addr: "localhost:8080", Handler: app, ReadHeaderTimeout: 10 * time.Second}).ListenAndServe())
}

// The rest of the file is the app, written for net/http.

func hello(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, greeting(r.Context())) }

func greeting(ctx context.Context) string {
	s := session.FromContext(ctx)
	return fmt.Sprintf("user %q, visits %d", s.User(), visits.GetOr(s, 0))
}

func count(w http.ResponseWriter, r *http.Request) {
	n, err := visits.Update(r.Context(), session.FromContext(r.Context()), func(n int) int { return n + 1 })
	if err != nil {
		http.Error(w, "not counted", session.HTTPStatus(err))
		return
	}
	fmt.Fprint(w, n)
}

func login(w http.ResponseWriter, r *http.Request) {
	session.FromContext(r.Context()).SignIn("ann") // after your own check of the credentials
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// crash panics after it has changed the session. Nothing of the change is
// stored.
func crash(_ http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	s.SignIn("mallory")
	visits.Set(s, 1000)
	panic("a fault in the handler")
}
