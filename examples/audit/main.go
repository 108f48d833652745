// Command audit writes an audit log of all sessions as JSON, and a mail when a user signs in with a new device.
package main

import (
	"context"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

func main() {
	ctx := context.Background()
	store, err := mongostore.Open(ctx, os.Getenv("MONGO_URI"))
	if err != nil {
		log.Fatal(err)
	}
	events := make(chan session.Event, 1000)
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"),
		session.WithClientInfo(), // the address and the browser of each session, which are personal data
		session.WithObserver(audit(slog.New(slog.NewJSONHandler(os.Stdout, nil)))),
		session.WithObserver(signIns(events)))
	if err != nil {
		log.Fatal(err)
	}
	go mailNewDevices(ctx, sessions, events, func(e session.Event) {
		log.Printf("To %s: you have signed in from %s with %s.", e.User, e.ClientIP, e.UserAgent)
	})
	app := http.NewCrossOriginProtection().Handler(sessions.Wrap(handler(sessions)))
	log.Fatal((&http.Server{Addr: "localhost:8080", Handler: app, ReadHeaderTimeout: 10 * time.Second}).ListenAndServe())
}

// handler returns the app.
func handler(sessions *session.Manager) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(_ http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignIn(r.PostFormValue("user")) // after your own check of the credentials
	})
	mux.HandleFunc("POST /logout", func(_ http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignOut()
	})
	mux.HandleFunc("POST /logout-everywhere", func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		if _, err := sessions.RevokeAll(r.Context(), s.User()); err != nil {
			http.Error(w, "Please try again.", session.HTTPStatus(err))
		}
	})
	return mux
}
