package redisstore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/redisstore"
	"github.com/holdfast-go/session/redisstore/internal/redisproxy"
	"github.com/holdfast-go/session/redisstore/internal/redisserver"
)

// lossy is a store behind a proxy that loses the replies to writes while armed.
type lossy struct {
	store  *redisstore.Store
	client redis.UniversalClient
	proxy  *redisproxy.Proxy
	armed  atomic.Bool
}

// lossyStores returns stores on clients that repeat commands by default.
func lossyStores(t *testing.T) map[string]*lossy {
	single := redisserver.Start(t)
	cluster := redisserver.StartCluster(t)
	stores := map[string]*lossy{}
	add := func(name string, connect func(*redisproxy.Proxy) redis.UniversalClient, opts ...redisstore.Option) {
		l := &lossy{}
		l.proxy = redisproxy.New(t, func(c redisproxy.Command) redisproxy.Verdict {
			if c.IsWrite() && l.armed.Load() {
				return redisproxy.DropReply
			}
			return redisproxy.Pass
		})
		l.client = connect(l.proxy)
		t.Cleanup(func() { l.client.Close() })
		var err error
		l.store, err = redisstore.New(t.Context(), l.client, opts...)
		require.NoError(t, err)
		stores[name] = l
	}
	server := func(p *redisproxy.Proxy) redis.UniversalClient {
		return redis.NewClient(&redis.Options{Addr: single.Addr, Dialer: p.Dial, MaxRetries: 3})
	}
	nodes := func(p *redisproxy.Proxy) redis.UniversalClient {
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: []string{cluster.Nodes[0].Addr}, Dialer: p.Dial, MaxRetries: 3, MaxRedirects: 3,
		})
	}
	add("server", server)
	add("cluster", nodes)
	add("cluster with replicas", nodes, redisstore.WithReplicas(1))
	return stores
}

// writes returns the number of commands with scripts on the record's key.
func (l *lossy) writes(key string) int {
	return len(l.proxy.Seen(func(c redisproxy.Command) bool { return c.IsWrite() && c.Key() == key }))
}

func key(id session.ID) string { return "session:s:" + id.String() }

func newID() session.ID {
	var id session.ID
	rand.Read(id[:])
	return id
}

func newRecord(user string) *session.Record {
	now := time.Now().UTC().Truncate(time.Millisecond)
	verifier := make([]byte, 32)
	rand.Read(verifier)
	return &session.Record{
		Info: session.Info{
			ID: newID(), User: user, CreatedAt: now, SignedInAt: now, LastSeenAt: now,
			ExpiresAt: now.Add(24 * time.Hour), Deadline: now.Add(48 * time.Hour),
		},
		Verifier: verifier,
		Values:   map[string]session.Value{"cart": {Data: []byte("[1]"), Version: 1}},
	}
}

func TestWrites_LostReplySentOnce(t *testing.T) {
	redisserver.Need(t)
	for name, l := range lossyStores(t) {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // the end of a wrong store's repetitions
			defer cancel()
			var rec *session.Record
			for range 50 { // all nodes know the scripts
				rec = newRecord("")
				require.NoError(t, l.store.Insert(ctx, rec))
				require.NoError(t, l.store.Update(ctx, rec.ID, &session.Change{LastSeenAt: time.Now()}))
			}
			l.proxy.Forget()
			l.armed.Store(true)
			change := &session.Change{
				If:  session.Guard{Versions: map[string]int64{"cart": 1}},
				Set: map[string]session.Value{"cart": {Data: []byte("[2]"), Version: 2}},
			}
			require.ErrorIs(t, l.store.Update(ctx, rec.ID, change), session.ErrUncertain)
			assert.Equal(t, 1, l.writes(key(rec.ID)), "the Update was sent again")

			other := newRecord("")
			require.ErrorIs(t, l.store.Insert(ctx, other), session.ErrUncertain)
			assert.Equal(t, 1, l.writes(key(other.ID)), "the Insert was sent again")
			l.armed.Store(false)

			for id, version := range map[session.ID]int64{rec.ID: 2, other.ID: 1} {
				got, err := l.store.Confirm(ctx, id)
				require.NoError(t, err)
				assert.Equal(t, version, got.Values["cart"].Version, "the write was not applied, so the test proves nothing")
			}
		})
	}
}

// The clients of the test above do repeat the commands of others.
func TestWrites_ClientRepeatsOthers(t *testing.T) {
	redisserver.Need(t)
	for name, l := range lossyStores(t) {
		t.Run(name, func(t *testing.T) {
			k := key(newID())
			l.armed.Store(true)
			require.Error(t, l.client.Eval(t.Context(), "return redis.call('INCR', KEYS[1])", []string{k}).Err())
			assert.Greater(t, l.writes(k), 1)
		})
	}
}

// A lost reply to the index's write leaves the record unwritten, so it is repeated.
func TestInsert_LostReplyOfIndex(t *testing.T) {
	redisserver.Need(t)
	var lost atomic.Int32
	server := redisserver.Start(t)
	proxy := redisproxy.New(t, func(c redisproxy.Command) redisproxy.Verdict {
		if c.IsWrite() && len(c.Key()) > 10 && c.Key()[:10] == "session:u:" && lost.Add(1) == 1 {
			return redisproxy.DropReply
		}
		return redisproxy.Pass
	})
	store := open(t, "redis://"+proxy.Addr(server.Addr))
	rec := newRecord("ann")
	require.NoError(t, store.Insert(t.Context(), rec))
	require.GreaterOrEqual(t, lost.Load(), int32(2))
	infos, err := store.List(t.Context(), "ann")
	require.NoError(t, err)
	require.Len(t, infos, 1)
	require.Equal(t, rec.Info, infos[0])
}

func TestDelete_LostReplyIsRepeated(t *testing.T) {
	redisserver.Need(t)
	server := redisserver.Start(t)
	var lost atomic.Int32
	proxy := redisproxy.New(t, func(c redisproxy.Command) redisproxy.Verdict {
		if c.IsWrite() && lost.Load() > 0 && lost.Add(-1) >= 0 {
			return redisproxy.DropReply
		}
		return redisproxy.Pass
	})
	store := open(t, "redis://"+proxy.Addr(server.Addr))
	rec := newRecord("")
	require.NoError(t, store.Insert(t.Context(), rec))
	lost.Store(2)
	require.NoError(t, store.Delete(t.Context(), rec.ID))
	_, err := store.Load(t.Context(), rec.ID)
	require.ErrorIs(t, err, session.ErrNotFound)
}

// A context of the Manager has no deadline, and the client observes only deadlines.
func TestCalls_EndWithTheContext(t *testing.T) {
	redisserver.Need(t)
	server := redisserver.Start(t)
	t.Run("Open", func(t *testing.T) {
		endWithTheContext(t, server, func(proxy *redisproxy.Proxy) *redisstore.Store {
			return open(t, "redis://"+proxy.Addr(server.Addr)+"?read_timeout=1h")
		})
	})
	t.Run("New", func(t *testing.T) {
		endWithTheContext(t, server, func(proxy *redisproxy.Proxy) *redisstore.Store {
			client := redis.NewClient(&redis.Options{Addr: server.Addr, Dialer: proxy.Dial, ReadTimeout: time.Hour})
			t.Cleanup(func() { client.Close() })
			store, err := redisstore.New(t.Context(), client)
			require.NoError(t, err)
			return store
		})
	})
}

func endWithTheContext(t *testing.T, server *redisserver.Server, connect func(*redisproxy.Proxy) *redisstore.Store) {
	var hold atomic.Bool
	proxy := redisproxy.New(t, func(c redisproxy.Command) redisproxy.Verdict {
		if hold.Load() && isStoreCommand(c) {
			return redisproxy.Hold
		}
		return redisproxy.Pass
	})
	store := connect(proxy)
	rec := newRecord("ann")
	require.NoError(t, store.Insert(t.Context(), rec))
	hold.Store(true)
	for name, call := range map[string]func(context.Context) error{
		"Load": func(ctx context.Context) error { _, err := store.Load(ctx, rec.ID); return err },
		"List": func(ctx context.Context) error { _, err := store.List(ctx, "ann"); return err },
		"LoadBatch": func(ctx context.Context) error {
			_, err := store.LoadBatch(ctx, []session.ID{rec.ID, newID()})
			return err
		},
		"Confirm": func(ctx context.Context) error { _, err := store.Confirm(ctx, rec.ID); return err },
		"Insert":  func(ctx context.Context) error { return store.Insert(ctx, newRecord("")) },
		"Update": func(ctx context.Context) error {
			return store.Update(ctx, rec.ID, &session.Change{LastSeenAt: time.Now()})
		},
		"Delete": func(ctx context.Context) error { return store.Delete(ctx, rec.ID) },
	} {
		proxy.Forget()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- call(ctx) }()
		redisserver.Await(t, "the command of "+name, func(context.Context) bool {
			return len(proxy.Seen(isStoreCommand)) > 0
		})
		cancel()
		var err error
		select {
		case err = <-done:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s does not return", name)
		}
		require.ErrorIs(t, err, context.Canceled, name)
		uncertain := name != "Load" && name != "List" && name != "LoadBatch"
		require.Equal(t, uncertain, errors.Is(err, session.ErrUncertain), "%s: %v", name, err)
	}
}

// isStoreCommand reports whether a command is not of the client's own.
func isStoreCommand(c redisproxy.Command) bool {
	return c.IsWrite() || c.Name() == "hgetall" || c.Name() == "zrange" || c.Name() == "hmget"
}
