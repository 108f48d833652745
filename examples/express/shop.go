package main

import (
	"context"
	"encoding/json"
	"net/http"
	"runtime"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/express"
)

const (
	oldCart express.Key[[]string] = "cart" // in the sessions of Express
	cart    session.Key[[]string] = "cart" // in the sessions of Go
)

// openExpress returns the sessions of the Express app in a collection.
func openExpress(ctx context.Context, coll *mongo.Collection, secret string, opts ...express.Option) (*express.Sessions, error) {
	store, err := express.NewMongoStore(coll)
	if err != nil {
		return nil, err
	}
	return express.Open(ctx, store, secret, append(opts, express.WithProperty(oldCart, cart))...)
}

// state is the page of a shop: the visitor as one of the apps knows him.
type state struct {
	Language string   `json:"language"`
	User     string   `json:"user"`
	Cart     []string `json:"cart"`
}

func respond(w http.ResponseWriter, user string, cart []string) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(state{runtime.Version(), user, append([]string{}, cart...)})
}

// beside is the Go app while Express signs visitors in. It reads and changes their Express sessions.
func beside(old *express.Sessions) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, h func(w http.ResponseWriter, r *http.Request, s *express.Session) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s, err := old.Load(r)
			if err == nil {
				err = h(w, r, s)
			}
			if err != nil {
				session.DefaultErrorHandler(w, r, err)
			}
		})
	}
	handle("GET /go/state", func(w http.ResponseWriter, _ *http.Request, s *express.Session) error {
		respond(w, s.User(), oldCart.GetOr(s, nil))
		return nil
	})
	handle("POST /go/cart", func(w http.ResponseWriter, r *http.Request, s *express.Session) error {
		_, err := oldCart.Update(r.Context(), s, func(items []string) []string { return append(items, r.FormValue("item")) })
		return err
	})
	handle("POST /go/set", func(w http.ResponseWriter, r *http.Request, s *express.Session) error {
		return express.Key[bool](r.FormValue("key")).Set(r.Context(), s, true)
	})
	handle("POST /go/logout", func(w http.ResponseWriter, r *http.Request, s *express.Session) error {
		return s.End(r.Context())
	})
	return mux
}

// instead is the Go app after Express. It moves the visitors of Express.
func instead(old *express.Sessions, sessions *session.Manager) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /go/state", func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		respond(w, s.User(), cart.GetOr(s, nil))
	})
	mux.HandleFunc("POST /go/login", func(w http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignIn(r.FormValue("user"))
	})
	mux.HandleFunc("POST /go/cart", func(w http.ResponseWriter, r *http.Request) {
		_, err := cart.Update(r.Context(), session.FromContext(r.Context()), func(items []string) []string {
			return append(items, r.FormValue("item"))
		})
		if err != nil {
			session.DefaultErrorHandler(w, r, err)
		}
	})
	mux.HandleFunc("POST /go/logout", func(w http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignOut()
	})
	return sessions.Wrap(old.Move(sessions, mux))
}
