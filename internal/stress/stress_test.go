package stress_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/stress"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/mongostore"
)

// database starts a collection on the shared server. Its target is the URI and the
// name of the database.
func database(t *testing.T, lossy bool) (db stress.Database) {
	t.Helper()
	uri := testserver.Get(t).URI
	coll := testserver.Collection(t)
	store, err := mongostore.OpenCollection(t.Context(), coll)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close(context.Background()) })
	db.Store = store
	if lossy {
		var d *dropper
		uri, d = dropping(t, uri)
		db.Figures = d.figures
	}
	db.Target = uri + " " + coll.Database().Name()
	return db
}

func open(ctx context.Context, target string, quiet *slog.Logger) (session.Store, error) {
	uri, name, _ := strings.Cut(target, " ")
	return mongostore.Open(ctx, uri, mongostore.WithDatabase(name), mongostore.WithLogger(quiet))
}

func TestSignOut_TwoProcesses(t *testing.T) { stress.SignOut(t, database) }

func TestSet_TwoProcesses(t *testing.T) { stress.Set(t, database) }

func TestUpdate_TwoProcesses(t *testing.T) { stress.Update(t, database) }

func TestSignIn_TwoProcesses(t *testing.T) { stress.SignIn(t, database) }
