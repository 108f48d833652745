// Command crosssite is an API for a front end on another site: the page of https://shop.example sends requests to
// https://api.example. For the browser its cookie is a third-party cookie, so three settings must agree:
//
//	the browser may send the cookie (SameSite=None, Secure, Partitioned)
//	the page may read the response (CORS with credentials)
//	only the origin of the front end may change state (CrossOriginProtection)
//
// The front end calls fetch with credentials: "include".
//
// Hosts such as app.example.com and api.example.com belong to one site. They do not need the two cookie options.
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

// cookie returns the options of the session cookie for a front end on another site.
func cookie() []session.Option {
	return []session.Option{
		session.WithSameSite(http.SameSiteNoneMode), // goes along with requests from other sites
		session.WithPartitioned(),                   // one for each site that embeds this one
	}
}

func main() {
	store, err := mongostore.Open(context.Background(), os.Getenv("MONGO_URI"))
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"), cookie()...)
	if err != nil {
		log.Fatal(err)
	}
	app, err := handler(os.Getenv("FRONT_END"), sessions)
	if err != nil {
		log.Fatal("the environment variable FRONT_END, such as https://shop.example: ", err)
	}
	log.Print("listening on localhost:8080; a proxy before it must serve HTTPS")
	log.Fatal((&http.Server{Addr: "localhost:8080", Handler: app, ReadHeaderTimeout: 10 * time.Second}).ListenAndServe())
}

func handler(frontEnd string, sessions *session.Manager) (http.Handler, error) {
	api := http.NewServeMux()
	api.HandleFunc("GET /me", me)
	api.HandleFunc("POST /login", login)
	api.HandleFunc("POST /visits", visit)
	api.HandleFunc("POST /logout", logout)

	origins := http.NewCrossOriginProtection()
	if err := origins.AddTrustedOrigin(frontEnd); err != nil {
		return nil, err
	}
	return cors(frontEnd, origins.Handler(sessions.Wrap(api))), nil
}

// cors lets the pages of one origin read the responses to requests with the cookie. It is outside Wrap, so that pages
// can read the error responses of Wrap too. It must name the origin, because browsers refuse a star with credentials.
func cors(origin string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		if r.Header.Get("Origin") == origin {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Allow-Credentials", "true")
			h.Set("Access-Control-Allow-Headers", "Content-Type")
		}
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// me changes nothing. CrossOriginProtection lets a GET request pass whatever its origin is.
func me(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	fmt.Fprintf(w, "user %q, visits %d", s.User(), visits.GetOr(s, 0))
}

func login(w http.ResponseWriter, r *http.Request) {
	session.FromContext(r.Context()).SignIn("ann") // after your own check of the credentials
}

func visit(w http.ResponseWriter, r *http.Request) {
	n, err := visits.Update(r.Context(), session.FromContext(r.Context()), func(n int) int { return n + 1 })
	if err != nil {
		http.Error(w, "not counted", session.HTTPStatus(err))
		return
	}
	fmt.Fprint(w, n)
}

func logout(w http.ResponseWriter, r *http.Request) {
	session.FromContext(r.Context()).SignOut()
}
