// Command deploy is the minimal program with everything that a production deployment needs: probes, addresses of
// clients behind a proxy, and an orderly shutdown. The files beside it run two replicas of it.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

const visits session.Key[int] = "visits"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	proxies, err := prefixes(os.Getenv("TRUSTED_PROXIES"))
	if err != nil {
		return err
	}
	store, err := mongostore.Open(ctx, os.Getenv("MONGO_URI"))
	if err != nil {
		return err
	}
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"),
		session.WithAcceptedSecrets(os.Getenv("SESSION_SECRET_ALSO")), // for rotation
		session.WithTrustedProxies(proxies...),
		session.WithClientInfo())
	if err != nil {
		return err
	}
	server := &http.Server{
		Addr:              cmp.Or(os.Getenv("ADDR"), ":8080"),
		Handler:           handler(sessions, store.Ping),
		ReadHeaderTimeout: 10 * time.Second,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return errors.Join(err, store.Close(ctx))
	case <-ctx.Done():
	}
	// Requests in progress still need the store, so it is closed after them.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(ctx), store.Close(ctx))
}

// prefixes parses a list of networks, such as "10.0.0.0/8,fd00::/8".
func prefixes(list string) (found []netip.Prefix, err error) {
	for _, text := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("TRUSTED_PROXIES: %q is not a network such as 10.0.0.0/8", text)
		}
		found = append(found, p)
	}
	return found, nil
}

// handler returns the app. The probes are outside Wrap.
func handler(sessions *session.Manager, ping func(context.Context) error) http.Handler {
	app := http.NewServeMux()
	app.HandleFunc("GET /{$}", home)
	app.HandleFunc("POST /login", func(_ http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignIn("ann") // after your own check of the credentials
	})

	site := http.NewServeMux()
	// The process is alive even if the database is not. A restart would not help.
	site.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	// Use this one only if every page needs a session. An election of the database makes all replicas fail it.
	site.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if err := ping(ctx); err != nil {
			http.Error(w, "the store does not respond", http.StatusServiceUnavailable)
		}
	})
	site.Handle("/", http.NewCrossOriginProtection().Handler(sessions.Wrap(app)))
	return site
}

func home(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	n, err := visits.Update(r.Context(), s, func(n int) int { return n + 1 })
	if err != nil {
		http.Error(w, "Please try again.", session.HTTPStatus(err))
		return
	}
	w.Header().Set("X-Replica", cmp.Or(os.Getenv("HOSTNAME"), "unnamed"))
	fmt.Fprintf(w, "user %q from %s, visit %d\n", s.User(), s.Info().ClientIP, n)
}
