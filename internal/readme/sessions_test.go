package readme_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/mongostore"
)

// docs/how-to/all-sessions.md

type gaugeOfATest struct{ users, anonymous int64 }

func (g *gaugeOfATest) set(users, anonymous int64) { g.users, g.anonymous = users, anonymous }

func measure(ctx context.Context, store session.Inspector, gauge *gaugeOfATest) error {
	users, err := store.Count(ctx, session.Filter{Kind: session.KindUser, LiveAt: time.Now()})
	if err != nil {
		return err
	}
	anonymous, err := store.Count(ctx, session.Filter{Kind: session.KindAnonymous, LiveAt: time.Now()})
	if err != nil {
		return err
	}
	gauge.set(users, anonymous)
	return nil
}

func endIdle(ctx context.Context, store *mongostore.Store, before time.Time) (ended int, err error) {
	idle := session.Filter{Kind: session.KindAnonymous, SeenBefore: before}
	for info, err := range store.All(ctx, idle) {
		if err != nil {
			return ended, err
		}
		if err := store.Delete(ctx, info.ID); err != nil {
			return ended, err
		}
		ended++
	}
	return ended, nil
}

func TestAllSessions(t *testing.T) {
	store, err := mongostore.OpenCollection(t.Context(), testserver.Collection(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close(context.Background())) })
	sessions, err := session.New(store, secret)
	require.NoError(t, err)
	color := session.Key[string]("color")
	for range 3 {
		do(sessions, nil, func(_ http.ResponseWriter, r *http.Request) { color.Set(session.FromContext(r.Context()), "red") })
	}
	for range 2 {
		do(sessions, nil, login)
	}
	_, err = sessions.RevokeAll(t.Context(), "ben")
	require.NoError(t, err, "leaves a marker")

	var gauge gaugeOfATest
	require.NoError(t, measure(t.Context(), store, &gauge))
	require.Equal(t, gaugeOfATest{2, 3}, gauge)
	ended, err := endIdle(t.Context(), store, time.Now().Add(-time.Hour))
	require.NoError(t, err)
	require.Zero(t, ended)
	ended, err = endIdle(t.Context(), store, time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, 3, ended)
	require.NoError(t, measure(t.Context(), store, &gauge))
	require.Equal(t, gaugeOfATest{2, 0}, gauge)
}

// docs/how-to/deploy.md

func readiness(site *http.ServeMux, store *mongostore.Store) {
	site.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := store.Ping(r.Context()); err != nil {
			http.Error(w, "no database", http.StatusServiceUnavailable)
		}
	})
}

func TestReadiness(t *testing.T) {
	store, err := mongostore.OpenCollection(t.Context(), testserver.Collection(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close(context.Background())) })
	site := http.NewServeMux()
	readiness(site, store)
	ask := func(ctx context.Context) int {
		w := httptest.NewRecorder()
		site.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/readyz", nil))
		return w.Code
	}
	require.Equal(t, http.StatusOK, ask(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, http.StatusServiceUnavailable, ask(ctx))
}
