// Command events keeps connections open while their session changes. A stream of server-sent events reloads the
// session. An upgraded connection saves to it. Both end when the visitor signs out in another request.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

const (
	visits session.Key[int]    = "visits"
	draft  session.Key[string] = "draft"
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
	app := http.NewCrossOriginProtection().Handler(sessions.Wrap(handler(time.Second)))
	log.Print("open http://localhost:8080/events")
	log.Fatal((&http.Server{Addr: "localhost:8080", Handler: app, ReadHeaderTimeout: 10 * time.Second}).ListenAndServe())
}

// handler returns the app. Each stream reloads its session once per interval.
func handler(interval time.Duration) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) { events(w, r, interval) })
	mux.HandleFunc("GET /draft", drafts)
	mux.HandleFunc("GET /saved", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, draft.GetOr(session.FromContext(r.Context()), ""))
	})
	mux.HandleFunc("POST /login", func(_ http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignIn("ann") // after your own check of the credentials
	})
	mux.HandleFunc("POST /logout", func(_ http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignOut()
	})
	mux.HandleFunc("POST /renew", func(_ http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).Renew()
	})
	mux.HandleFunc("POST /visits", func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		if _, err := visits.Update(r.Context(), s, func(n int) int { return n + 1 }); err != nil {
			http.Error(w, "not counted", session.HTTPStatus(err))
		}
	})
	return mux
}

// events sends the number of visits whenever it changes. Reload returns ErrNotFound if the session has ended. It
// returns ErrSuperseded if another request has renewed the token. The browser must then reconnect with its current
// cookie.
func events(w http.ResponseWriter, r *http.Request, interval time.Duration) {
	s := session.FromContext(r.Context())
	if s.User() == "" {
		http.Error(w, "Sign in first.", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for sent := -1; ; {
		if n := visits.GetOr(s, 0); n != sent {
			sent = n
			fmt.Fprintf(w, "data: %d\n\n", n)
			if err := http.NewResponseController(w).Flush(); err != nil {
				return
			}
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
		switch err := s.Reload(r.Context()); {
		case errors.Is(err, session.ErrNotFound):
			fmt.Fprint(w, "event: ended\ndata:\n\n")
			return
		case err != nil: // token renewed or store error; EventSource reconnects by itself
			return
		}
	}
}

// drafts upgrades the connection. It saves each line before it acknowledges it, as a WebSocket handler would do with
// messages. Save also records activity.
func drafts(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	if s.User() == "" || !strings.EqualFold(r.Header.Get("Upgrade"), "lines") {
		http.Error(w, "Sign in, then ask for an upgrade to lines.", http.StatusForbidden)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		log.Print("hijack: ", err)
		return
	}
	defer conn.Close()
	fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n")
	lines := bufio.NewScanner(rw)
	for rw.Flush() == nil && lines.Scan() {
		draft.Set(s, lines.Text())
		switch err := s.Save(r.Context()); {
		case errors.Is(err, session.ErrNotFound):
			s.Discard()
			fmt.Fprintln(rw, "ended")
			rw.Flush()
			return
		case err != nil:
			fmt.Fprintln(rw, "not saved, send it again")
		default:
			fmt.Fprintln(rw, "saved")
		}
	}
}
