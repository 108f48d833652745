package mongostore_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/mongostore"
)

const patience = 20 * time.Second

// watch is a call of Watch.
type watch struct {
	t       *testing.T
	changes chan session.ID
	ended   chan error
	readies chan struct{}
}

// watchStore watches a store until the end of the test, and waits until it is ready.
func watchStore(t *testing.T, store *mongostore.Store) *watch {
	t.Helper()
	server := testserver.Get(t)
	server.Need(t, "a replica set", server.RetryableWrites)
	ctx, cancel := context.WithCancel(background)
	w := &watch{t, make(chan session.ID, 100), make(chan error, 1), make(chan struct{}, 100)}
	var done sync.WaitGroup
	done.Go(func() {
		w.ended <- store.Watch(ctx, func() { w.readies <- struct{}{} }, func(id session.ID) { w.changes <- id })
	})
	t.Cleanup(func() {
		cancel()
		done.Wait()
	})
	select {
	case <-w.readies:
	case err := <-w.ended:
		t.Fatalf("Watch ended: %v", err)
	case <-time.After(patience):
		t.Fatal("Watch is not ready")
	}
	return w
}

func (w *watch) next() session.ID {
	w.t.Helper()
	select {
	case id := <-w.changes:
		return id
	case err := <-w.ended:
		w.t.Fatalf("Watch ended: %v", err)
	case <-time.After(patience):
		w.t.Fatal("no change was reported")
	}
	return session.ID{}
}

func (w *watch) end() error {
	w.t.Helper()
	select {
	case err := <-w.ended:
		return err
	case <-time.After(patience):
		w.t.Fatal("Watch does not end")
	}
	return nil
}

func insert(t *testing.T, store *mongostore.Store, id session.ID) {
	t.Helper()
	require.NoError(t, store.Insert(background, &session.Record{Info: session.Info{ID: id}, Verifier: make([]byte, 32)}))
}

// The server sends an event for a deletion and for a new verifier only, and of each
// document only its ID.
func TestWatch_Events(t *testing.T) {
	var mu sync.Mutex
	var replies []string
	monitor := &event.CommandMonitor{Succeeded: func(_ context.Context, e *event.CommandSucceededEvent) {
		if e.CommandName == "getMore" {
			mu.Lock()
			defer mu.Unlock()
			batch, err := e.Reply.LookupErr("cursor", "nextBatch")
			if values, ok := batch.ArrayOK(); err == nil && ok {
				docs, _ := values.Values()
				for _, doc := range docs {
					replies = append(replies, doc.String())
				}
			}
		}
	}}
	store := open(t, testserver.Collection(t, options.Client().SetMonitor(monitor)))
	one, two := session.ID{1}, session.ID{2}
	insert(t, store, one)
	w := watchStore(t, store)
	insert(t, store, two)
	idle := time.Hour
	require.NoError(t, store.Update(background, one, &session.Change{
		LastSeenAt: time.Now(), ExpiresAt: time.Now(), User: "ann", IdleTimeout: &idle,
		Set: map[string]session.Value{"verifier": {Data: []byte("secret value"), Version: 1}},
	}))
	verifier := []byte("a verifier of thirty-two bytes !")
	require.NoError(t, store.Update(background, two, &session.Change{Verifier: verifier, Salt: []byte("a salt")}))
	require.Equal(t, two, w.next(), "the save and the insert are not reported")
	require.NoError(t, store.Delete(background, one))
	require.Equal(t, one, w.next())
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, replies, 2)
	for _, reply := range replies {
		require.NotContains(t, reply, "verifier")
		require.NotContains(t, reply, "fullDocument")
	}
}

// After a lost connection the driver resumes the stream. No change is left out.
func TestWatch_Resumes(t *testing.T) {
	coll, direct, r := relayed(t)
	w := watchStore(t, open(t, coll))
	store := open(t, direct)
	one, two := session.ID{1}, session.ID{2}
	insert(t, store, one)
	insert(t, store, two)
	lost := make(chan struct{})
	var once sync.Once
	r.handle(func(c *call) bson.Raw {
		if c.name != "getMore" {
			return c.forward()
		}
		select {
		case <-lost:
			return c.forward()
		default:
		}
		once.Do(func() {
			require.NoError(t, store.Delete(background, one))
			close(lost)
		})
		return nil // cuts the connection without a reply
	})
	require.Equal(t, one, w.next())
	require.NoError(t, store.Delete(background, two))
	require.Equal(t, two, w.next())
	require.Empty(t, w.readies, "the caller need not read everything again")
}

// A server that is silent for too long is an error, and so is a lost server. The
// caller then reads at intervals.
func TestWatch_SilentServer(t *testing.T) {
	coll, _, r := relayed(t)
	store := open(t, coll)
	store.SetSilence(200 * time.Millisecond)
	block := make(chan struct{})
	t.Cleanup(func() { close(block) })
	r.handle(func(c *call) bson.Raw {
		if c.name == "getMore" {
			<-block
			return nil
		}
		return c.forward()
	})
	w := watchStore(t, store)
	err := w.end()
	require.ErrorContains(t, err, "mongostore: change stream")
	require.NotErrorIs(t, err, errors.ErrUnsupported)
}

func TestWatch_CollectionDropped(t *testing.T) {
	coll := testserver.Collection(t)
	store := open(t, coll)
	insert(t, store, session.ID{1})
	w := watchStore(t, store)
	require.NoError(t, coll.Drop(background))
	require.ErrorContains(t, w.end(), "dropped or renamed")
}

func TestWatch_Unsupported(t *testing.T) {
	server := testserver.Get(t)
	server.Need(t, "a standalone server", !server.RetryableWrites)
	store := open(t, testserver.Collection(t))
	err := store.Watch(background, func() { t.Error("ready") }, func(session.ID) {})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	t.Log(err)
}

// A user without the privilege, and servers that have no change streams, are told
// apart from a server that fails.
func TestWatch_RefusedByTheServer(t *testing.T) {
	coll, _, r := relayed(t)
	store := open(t, coll)
	for code, unsupported := range map[int32]bool{13: true, 40573: true, 40324: true, 238: true, 1: false, 50: false} {
		r.handle(func(c *call) bson.Raw {
			if c.name == "aggregate" {
				return failure(code, "not allowed")
			}
			return c.forward()
		})
		err := store.Watch(background, func() { t.Error("ready") }, func(session.ID) {})
		require.Equal(t, unsupported, errors.Is(err, errors.ErrUnsupported), "%d: %v", code, err)
		require.ErrorContains(t, err, "mongostore: change stream")
	}
}

// A mongos reports changes too late.
func TestWatch_ShardedCluster(t *testing.T) {
	coll, _, r := relayed(t)
	store := open(t, coll)
	r.handle(func(c *call) bson.Raw {
		require.NotEqual(t, "aggregate", c.name)
		if c.name == "hello" {
			return must(bson.Marshal(bson.D{{Key: "ok", Value: 1}, {Key: "msg", Value: "isdbgrid"}}))
		}
		return c.forward()
	})
	err := store.Watch(background, func() { t.Error("ready") }, func(session.ID) {})
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

func TestLoadBatch_OneCommand(t *testing.T) {
	coll, sent := recorded(t)
	store := open(t, coll, mongostore.WithExpiry(mongostore.ExpiryNone))
	fill(t, coll, 500)
	var ids []session.ID
	for i := range 500 {
		ids = append(ids, numbered(i))
	}
	sent()
	recs, err := store.LoadBatch(background, ids)
	require.NoError(t, err)
	require.Len(t, recs, 500)
	require.Len(t, sent(), 1)
	recs, err = store.LoadBatch(background, nil)
	require.NoError(t, err)
	require.Empty(t, recs)
}
