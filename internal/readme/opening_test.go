package readme_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
	"github.com/holdfast-go/session/mongostore"
)

// README.md, opening screen.

const visits session.Key[int] = "visits"

func home(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	n, err := visits.Update(r.Context(), s, func(n int) int { return n + 1 }) // atomic across replicas
	if err != nil {
		http.Error(w, "Please try again.", session.HTTPStatus(err))
		return
	}
	fmt.Fprintf(w, "user %q, visit %d\n", s.User(), n)
}

func serve(ctx context.Context, mux *http.ServeMux) error {
	store, err := mongostore.Open(ctx, os.Getenv("MONGO_URI"))
	if err != nil {
		return err
	}
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"))
	if err != nil {
		return err
	}
	return http.ListenAndServe("localhost:8080", sessions.Wrap(mux))
}

func TestOpening(t *testing.T) {
	m := memstore.NewManager()
	h := m.Wrap(http.HandlerFunc(home))
	r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
	r = memstore.WithSession(t, m, r, func(s *session.Session) { s.SignIn("ann") })
	for _, want := range []string{"user \"ann\", visit 1\n", "user \"ann\", visit 2\n"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, want, w.Body.String())
	}
	t.Setenv("MONGO_URI", "")
	require.ErrorContains(t, serve(t.Context(), http.NewServeMux()), "is the environment variable MONGO_URI set?")
}
