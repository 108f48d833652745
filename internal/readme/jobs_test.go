package readme_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/memstore"
	"github.com/holdfast-go/session/mongostore"
)

// docs/how-to/background-jobs.md

func must(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	return u
}

const report session.Key[string] = "report"

func startReport(sessions *session.Manager, jobs chan<- func(context.Context) error, w http.ResponseWriter, r *http.Request) {
	id := session.FromContext(r.Context()).ID()
	jobs <- func(ctx context.Context) error { return finishReport(ctx, sessions, id) }
	w.WriteHeader(http.StatusAccepted)
}

func finishReport(ctx context.Context, sessions *session.Manager, id session.ID) error {
	s, err := sessions.LoadID(ctx, id)
	if errors.Is(err, session.ErrNotFound) {
		return nil // the visitor has signed out
	}
	if err != nil {
		return err
	}
	report.Set(s, "ready")
	return s.Save(ctx)
}

func TestJob(t *testing.T) {
	sessions := memstore.NewManager()
	cookies := do(sessions, nil, login).Cookies()
	jobs := make(chan func(context.Context) error, 1)
	do(sessions, cookies, func(w http.ResponseWriter, r *http.Request) { startReport(sessions, jobs, w, r) })
	require.NoError(t, (<-jobs)(t.Context()))
	do(sessions, cookies, func(_ http.ResponseWriter, r *http.Request) {
		require.Equal(t, "ready", report.GetOr(session.FromContext(r.Context()), ""))
	})
	require.NoError(t, finishReport(t.Context(), sessions, session.ID{1}))
}

// gateway forwards requests with the name of the signed-in user.
func gateway(sessions *session.Manager, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessions.LoadRequest(r)
		if err != nil {
			http.Error(w, "Please try again.", session.HTTPStatus(err))
			return
		}
		r.Header.Set("X-User", s.User())
		next.ServeHTTP(w, r)
	})
}

func each(ctx context.Context, store *mongostore.Store, sessions *session.Manager, f func(*session.Session) error) error {
	live := bson.D{
		{Key: "expires", Value: bson.D{{Key: "$gt", Value: time.Now()}}},
		{Key: "verifier", Value: bson.D{{Key: "$exists", Value: true}}}, // leaves out markers of revocations
	}
	cursor, err := store.Collection().Find(ctx, live, options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}}))
	if err != nil {
		return err
	}
	defer cursor.Close(ctx)
	for cursor.Next(ctx) {
		var doc struct {
			ID bson.Binary `bson:"_id"`
		}
		if err := cursor.Decode(&doc); err != nil {
			return err
		}
		s, err := sessions.LoadID(ctx, session.ID(doc.ID.Data))
		if errors.Is(err, session.ErrNotFound) {
			continue // it has ended since
		}
		if err != nil {
			return err
		}
		if err := f(s); err != nil {
			return err
		}
	}
	return cursor.Err()
}

func TestEach(t *testing.T) {
	store, err := mongostore.OpenCollection(t.Context(), testserver.Collection(t))
	require.NoError(t, err)
	defer store.Close(t.Context())
	sessions, err := session.New(store, secret)
	require.NoError(t, err)
	for _, user := range []string{"ann", "bob"} {
		_, err := signInForMessage(t.Context(), sessions, user)
		require.NoError(t, err)
	}
	_, err = sessions.RevokeAll(t.Context(), "bob")
	require.NoError(t, err)
	var users []string
	require.NoError(t, each(t.Context(), store, sessions, func(s *session.Session) error {
		users = append(users, s.User())
		return nil
	}))
	require.Equal(t, []string{"ann"}, users)
}
