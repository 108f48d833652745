// Command sse sends server-sent events until the session ends. It learns of a sign-out in another request, on any
// replica, without a read per stream.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

func main() {
	store, err := mongostore.Open(context.Background(), os.Getenv("MONGO_URI"))
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	app := http.NewCrossOriginProtection().Handler(sessions.Wrap(handler(sessions)))
	log.Print("open http://localhost:8080/")
	log.Fatal((&http.Server{Addr: "localhost:8080", Handler: app, ReadHeaderTimeout: 10 * time.Second}).ListenAndServe())
}

func handler(sessions *session.Manager) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", page)
	mux.HandleFunc("GET /events", events)
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignIn("ann") // after your own check of the credentials
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignOut()
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	mux.HandleFunc("POST /renew", func(w http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).Renew()
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	mux.HandleFunc("POST /logout-everywhere", func(w http.ResponseWriter, r *http.Request) {
		if _, err := sessions.RevokeAll(r.Context(), session.FromContext(r.Context()).User()); err != nil {
			http.Error(w, "not signed out", session.HTTPStatus(err))
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	return mux
}

// events sends the time of day until the session ends. After a renewal of the token the browser must reconnect with its
// new cookie, which an EventSource does by itself.
func events(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	if s.User() == "" {
		http.Error(w, "Sign in first.", http.StatusForbidden)
		return
	}
	ended := s.Ended(r.Context())
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		fmt.Fprintf(w, "data: %s\n\n", time.Now().Format(time.TimeOnly))
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-ended:
			if errors.Is(s.Reload(r.Context()), session.ErrNotFound) {
				fmt.Fprint(w, "event: ended\ndata:\n\n")
			}
			return
		case <-tick.C:
		}
	}
}

func page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if session.FromContext(r.Context()).User() == "" {
		fmt.Fprint(w, `<!doctype html><title>Events</title><form method="post" action="/login"><button>Sign in</button></form>`)
		return
	}
	fmt.Fprint(w, `<!doctype html><title>Events</title><p id="time"></p>
<form method="post" action="/logout"><button>Sign out</button></form>
<form method="post" action="/logout-everywhere"><button>Sign out on all devices</button></form>
<script>
const source = new EventSource("/events");
source.onmessage = (e) => { document.getElementById("time").textContent = e.data; };
source.addEventListener("ended", () => { source.close(); location.reload(); });
</script>`)
}
