// Command managers has two kinds of sessions in one app. Visitors stay signed in for 30 days. Administrators are signed
// in separately, with their own cookie, collection and timeouts.
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

// adminOptions limit administrators to this path, 15 minutes without a request and 8 hours in all.
var adminOptions = []session.Option{
	session.WithCookieName("admin"),
	session.WithCookiePath("/admin/"),
	session.WithSameSite(http.SameSiteStrictMode),
	session.WithIdleTimeout(15 * time.Minute),
	session.WithLifetime(8 * time.Hour),
	session.WithMaxPerUser(1),
}

func main() {
	ctx, uri, secret := context.Background(), os.Getenv("MONGO_URI"), os.Getenv("SESSION_SECRET")
	visitorStore, err1 := mongostore.Open(ctx, uri)
	adminStore, err2 := mongostore.Open(ctx, uri, mongostore.WithCollection("admin_sessions"))
	if err := errors.Join(err1, err2); err != nil {
		log.Fatal(err)
	}
	visitors, err1 := session.New(visitorStore, secret)
	admins, err2 := session.New(adminStore, secret, adminOptions...)
	if err := errors.Join(err1, err2); err != nil {
		log.Fatal(err)
	}
	log.Print("open http://localhost:8080")
	server := &http.Server{Addr: "localhost:8080", Handler: handler(visitors, admins), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// handler returns the app. Both managers wrap the pages of administrators, so these pages name the manager that they
// mean. An administrator can see the shop as a visitor at the same time.
func handler(visitors, admins *session.Manager) http.Handler {
	admin := http.NewServeMux()
	admin.HandleFunc("POST /admin/login", func(_ http.ResponseWriter, r *http.Request) {
		admins.FromContext(r.Context()).SignIn("root") // after your own check of the credentials
	})
	admin.HandleFunc("POST /admin/logout", func(_ http.ResponseWriter, r *http.Request) {
		admins.FromContext(r.Context()).SignOut()
	})
	admin.HandleFunc("GET /admin/", func(w http.ResponseWriter, r *http.Request) {
		user := admins.FromContext(r.Context()).User()
		if user == "" {
			http.Error(w, "Sign in as an administrator.", http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, "administrator %s, visitor %q\n", user, visitors.FromContext(r.Context()).User())
	})

	shop := http.NewServeMux()
	shop.Handle("/admin/", admins.Wrap(admin))
	shop.HandleFunc("POST /login", func(_ http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignIn("ann") // after your own check of the credentials
	})
	shop.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "visitor %q\n", session.FromContext(r.Context()).User())
	})
	return http.NewCrossOriginProtection().Handler(visitors.Wrap(shop))
}
