// Command websocket closes WebSockets when their session ends. It learns of a sign-out in another request, on any
// replica, without a read per connection.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/coder/websocket"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

const messages session.Key[int] = "messages"

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
	log.Print("open http://localhost:8080/")
	log.Fatal((&http.Server{Addr: "localhost:8080", Handler: app, ReadHeaderTimeout: 10 * time.Second}).ListenAndServe())
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /echo", echo)
	mux.HandleFunc("POST /login", func(_ http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignIn("ann") // after your own check of the credentials
	})
	mux.HandleFunc("POST /logout", func(_ http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignOut()
	})
	return mux
}

// echo sends each message back. Accept refuses requests of pages of other sites.
func echo(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	if s.User() == "" {
		http.Error(w, "Sign in first.", http.StatusForbidden)
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has responded
	}
	defer conn.CloseNow()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go closeWhenEnded(ctx, s, conn)
	for {
		kind, text, err := conn.Read(ctx)
		if err != nil {
			return
		}
		messages.Set(s, messages.GetOr(s, 0)+1)
		if err := s.Save(ctx); err != nil { // Save also records activity
			conn.Close(websocket.StatusInternalError, "not saved")
			return
		}
		if err := conn.Write(ctx, kind, text); err != nil {
			return
		}
	}
}

// closeWhenEnded closes a connection when its session has ended or its token was renewed. The browser's page then signs
// in or reconnects with its new cookie.
func closeWhenEnded(ctx context.Context, s *session.Session, conn *websocket.Conn) {
	select {
	case <-s.Ended(ctx):
		conn.Close(websocket.StatusPolicyViolation, "session ended")
	case <-ctx.Done():
	}
}
