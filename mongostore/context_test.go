package mongostore_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/mongostore"
)

// operations calls every method of a store with a context parameter.
func operations(t *testing.T, ctx context.Context, store *mongostore.Store) {
	t.Helper()
	id, gone := session.ID{1}, session.ID{2}
	require.NoError(t, store.Insert(ctx, &session.Record{Info: session.Info{ID: id, User: "ann"}, Verifier: []byte{1}}))
	require.NoError(t, store.Insert(ctx, &session.Record{Info: session.Info{ID: gone}}))
	require.NoError(t, store.Update(ctx, id, &session.Change{UserAgent: "unguarded"}))
	require.NoError(t, store.Update(ctx, id, &session.Change{ClientIP: "guarded", If: session.Guard{Verifier: []byte{1}}}))
	require.NoError(t, store.Update(ctx, id, &session.Change{If: session.Guard{Verifier: []byte{1}}}))
	rec, err := store.Load(ctx, id)
	require.NoError(t, err)
	require.Equal(t, "guarded", rec.ClientIP)
	rec, err = store.Confirm(ctx, id)
	require.NoError(t, err)
	require.Equal(t, "unguarded", rec.UserAgent)
	infos, err := store.List(ctx, "ann")
	require.NoError(t, err)
	require.Len(t, infos, 1)
	require.NoError(t, store.Delete(ctx, gone))
	require.NoError(t, store.Delete(ctx, gone))
	_, err = store.Sweep(ctx)
	require.NoError(t, err)
}

// A session saved inside the callback of a transaction is stored, even if the
// transaction is aborted.
func TestStore_InsideATransaction(t *testing.T) {
	coll := testserver.Collection(t)
	client := coll.Database().Client()
	_, err := coll.InsertOne(background, bson.D{{Key: "_id", Value: "app"}})
	require.NoError(t, err)
	tx, err := client.StartSession()
	require.NoError(t, err)
	defer tx.EndSession(background)
	aborted := errors.New("aborted by the test")
	var store *mongostore.Store
	var supported bool
	_, err = tx.WithTransaction(background, func(ctx context.Context) (any, error) {
		_, err := coll.Database().Collection("app").InsertOne(ctx, bson.D{{Key: "_id", Value: "order"}})
		if err != nil {
			return nil, err
		}
		supported = true
		store, err = mongostore.OpenCollection(ctx, coll)
		require.NoError(t, err)
		operations(t, ctx, store)
		return nil, aborted
	})
	server := testserver.Get(t)
	server.Need(t, "transactions", supported)
	require.ErrorIs(t, err, aborted)
	require.NoError(t, store.Close(background))
	n, err := coll.Database().Collection("app").CountDocuments(background, bson.D{})
	require.NoError(t, err)
	require.Zero(t, n, "the transaction was not aborted")
	rec, err := store.Load(background, session.ID{1})
	require.NoError(t, err)
	require.Equal(t, "guarded", rec.ClientIP)
	_, err = store.Load(background, session.ID{2})
	require.ErrorIs(t, err, session.ErrNotFound)
}

// This test needs no server. It checks that no command is part of a transaction
// or of a driver session of another client, which the driver would refuse.
func TestStore_IgnoresTheDriversSession(t *testing.T) {
	coll, sent := recorded(t)
	other, err := mongo.Connect(options.Client().ApplyURI(testserver.Get(t).URI))
	require.NoError(t, err)
	defer other.Disconnect(background)
	for name, client := range map[string]*mongo.Client{"the store's client": coll.Database().Client(), "another client": other} {
		t.Run(name, func(t *testing.T) {
			tx, err := client.StartSession()
			require.NoError(t, err)
			defer tx.EndSession(background)
			require.NoError(t, tx.StartTransaction())
			ctx := mongo.NewSessionContext(background, tx)
			store, err := mongostore.OpenCollection(ctx, coll)
			require.NoError(t, err)
			defer store.Close(background)
			sent()
			operations(t, ctx, store)
			require.NoError(t, store.Delete(ctx, session.ID{1}))
			for _, command := range sent() {
				require.Empty(t, command.Lookup("startTransaction"), command)
				require.Empty(t, command.Lookup("autocommit"), command)
				require.NotEqual(t, tx.ID(), command.Lookup("lsid").Value, command)
			}
		})
	}
}

type valueKey struct{}

// The values of the caller's context reach command monitors, which may trace
// them. Its deadline does not reach the driver, which would repeat failing
// commands until the deadline.
func TestStore_ContextOfCommands(t *testing.T) {
	var commands atomic.Int32
	monitor := &event.CommandMonitor{Started: func(ctx context.Context, e *event.CommandStartedEvent) {
		if e.CommandName == "endSessions" {
			return // sent by Disconnect
		}
		commands.Add(1)
		require.Equal(t, "trace", ctx.Value(valueKey{}), e.CommandName)
		_, bounded := ctx.Deadline()
		require.False(t, bounded, e.CommandName)
		_, err := e.Command.LookupErr("maxTimeMS")
		require.Error(t, err, e.CommandName)
	}}
	ctx, cancel := context.WithTimeout(context.WithValue(background, valueKey{}, "trace"), time.Hour)
	defer cancel()
	coll := testserver.Collection(t)
	client, err := mongo.Connect(options.Client().ApplyURI(testserver.Get(t).URI).SetMonitor(monitor))
	require.NoError(t, err)
	store, err := mongostore.OpenCollection(ctx, client.Database(coll.Database().Name()).Collection(coll.Name()))
	require.NoError(t, err)
	operations(t, ctx, store)
	require.GreaterOrEqual(t, commands.Load(), int32(12))
	require.NoError(t, store.Close(background))
	require.NoError(t, client.Disconnect(background))
}
