package redisstore_test

import (
	"context"
	"errors"
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

// Each server refuses a write that the store sends.
func TestWrites_Refused(t *testing.T) {
	redisserver.Need(t)
	server := redisserver.Start(t)
	server.Do("acl", "setuser", "app", "on", ">pw", "~session:*", "+@all")
	store := open(t, "redis://app:pw@"+server.Addr)
	rec := newRecord("")
	require.NoError(t, store.Insert(t.Context(), rec))
	for name, c := range map[string]struct{ refuse, allow []any }{
		"READONLY":   {[]any{"replicaof", "127.0.0.1", "1"}, []any{"replicaof", "no", "one"}},
		"MASTERDOWN": {[]any{"config", "set", "replica-serve-stale-data", "no"}, nil},
		"NOREPLICAS": {[]any{"config", "set", "min-replicas-to-write", "1"}, []any{"config", "set", "min-replicas-to-write", "0"}},
		"OOM":        {[]any{"config", "set", "maxmemory", "1"}, []any{"config", "set", "maxmemory", "0"}},
		"NOPERM":     {[]any{"acl", "setuser", "app", "-evalsha"}, []any{"acl", "setuser", "app", "+evalsha"}},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "MASTERDOWN" {
				server.Do("replicaof", "127.0.0.1", "1")
				defer server.Do("config", "set", "replica-serve-stale-data", "yes")
				defer server.Do("replicaof", "no", "one")
			}
			server.Do(c.refuse...)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			err := store.Update(ctx, rec.ID, &session.Change{Set: map[string]session.Value{name: {Data: []byte("1"), Version: 1}}})
			require.ErrorContains(t, err, name)
			assert.NotErrorIs(t, err, session.ErrUncertain)
			if c.allow != nil {
				server.Do(c.allow...)
			}
		})
	}
	got, err := store.Load(t.Context(), rec.ID)
	require.NoError(t, err)
	require.Equal(t, rec.Values, got.Values, "a refused write was applied")
}

// A command of a script may be refused after another one has changed the record.
func TestWrites_RefusedInsideAScript(t *testing.T) {
	redisserver.Need(t)
	server := redisserver.Start(t)
	server.Do("acl", "setuser", "app", "on", ">pw", "~session:*", "+@all")
	store := open(t, "redis://app:pw@"+server.Addr)
	rec := newRecord("")
	require.NoError(t, store.Insert(t.Context(), rec))
	server.Do("acl", "setuser", "app", "-pexpireat")
	ch := &session.Change{Set: map[string]session.Value{"cart": {Data: []byte("2"), Version: 2}}, ExpiresAt: time.Now().Add(time.Hour)}
	require.ErrorIs(t, store.Update(t.Context(), rec.ID, ch), session.ErrUncertain)
	got, err := store.Load(t.Context(), rec.ID)
	require.NoError(t, err)
	require.EqualValues(t, 2, got.Values["cart"].Version, "nothing was applied, so the test proves nothing")
}

func TestWrites_Unsent(t *testing.T) {
	redisserver.Need(t)
	server := redisserver.Start(t)
	hold := false
	proxy := redisproxy.New(t, func(c redisproxy.Command) redisproxy.Verdict {
		if hold && c.Name() == "hgetall" {
			return redisproxy.Hold
		}
		return redisproxy.Pass
	})
	client := redis.NewClient(&redis.Options{
		Addr: proxy.Addr(server.Addr), MaxActiveConns: 1, PoolSize: 1, PoolTimeout: 50 * time.Millisecond, MaxRetries: 3, DialerRetries: 1,
	})
	t.Cleanup(func() { client.Close() })
	store, err := redisstore.New(t.Context(), client)
	require.NoError(t, err)
	hold = true
	reading, stop := context.WithCancel(t.Context())
	defer stop()
	proxy.Forget()
	go func() { _, _ = store.Load(reading, newID()) }() // takes the only connection
	redisserver.Await(t, "Load", func(context.Context) bool { return len(proxy.Seen(isStoreCommand)) > 0 })

	err = store.Insert(t.Context(), newRecord(""))
	require.ErrorIs(t, err, redis.ErrPoolTimeout)
	require.NotErrorIs(t, err, session.ErrUncertain)

	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	err = store.Insert(ctx, newRecord("")) // waits for the connection
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, session.ErrUncertain)

	server.Kill()
	stop()
	other := redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: 3, DialerRetries: 1})
	t.Cleanup(func() { other.Close() })
	server.Restart()
	store, err = redisstore.New(t.Context(), other)
	require.NoError(t, err)
	server.Kill()
	for range 3 { // the first one may find the connection before its end
		ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		err = store.Insert(ctx, newRecord(""))
	}
	require.Error(t, err)
	require.NotErrorIs(t, err, session.ErrUncertain)
}

// MOVED and ASK are refusals: the client follows them.
func TestWrites_Redirected(t *testing.T) {
	redisserver.Need(t)
	cluster := redisserver.StartCluster(t)
	for name, opts := range map[string][]redisstore.Option{"alone": nil, "with replicas": {redisstore.WithReplicas(1)}} {
		t.Run("MOVED "+name, func(t *testing.T) {
			client := redis.NewClusterClient(&redis.ClusterOptions{
				ClusterSlots: func(context.Context) (slots []redis.ClusterSlot, err error) { // all wrong
					for i := range 3 {
						wrong := []redis.ClusterNode{{Addr: cluster.Nodes[(i+1)%3].Addr}}
						slots = append(slots, redis.ClusterSlot{Start: i * 5462, End: min(i*5462+5461, 16383), Nodes: wrong})
					}
					return slots, nil
				},
			})
			defer client.Close()
			store, err := redisstore.New(t.Context(), client, opts...)
			require.NoError(t, err)
			var ids []session.ID
			for range 20 {
				rec := newRecord("ann")
				require.NoError(t, store.Insert(t.Context(), rec))
				_, err := store.Confirm(t.Context(), rec.ID)
				require.NoError(t, err)
				ids = append(ids, rec.ID)
			}
			recs, err := store.LoadBatch(t.Context(), ids)
			require.NoError(t, err)
			require.Len(t, recs, 20)
		})
		t.Run("ASK "+name, func(t *testing.T) {
			store := open(t, cluster.URL(), opts...)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // the end of a wrong store's repetitions
			defer cancel()
			rec := newRecord("")
			slot := cluster.Nodes[0].Do("cluster", "keyslot", key(rec.ID))
			from, to := cluster.Owners(slot.(int64))
			from.Do("cluster", "setslot", slot, "migrating", to.ID())
			to.Do("cluster", "setslot", slot, "importing", from.ID())
			require.NoError(t, store.Insert(ctx, rec))
			require.NoError(t, store.Update(ctx, rec.ID, &session.Change{LastSeenAt: time.Now()}))
			_, err := store.Load(ctx, rec.ID)
			require.NoError(t, err)
			recs, err := store.LoadBatch(ctx, []session.ID{rec.ID})
			require.NoError(t, err)
			require.Len(t, recs, 1)
			require.NoError(t, store.Delete(ctx, rec.ID))
			for _, node := range []*redisserver.Server{from, to} {
				node.Do("cluster", "setslot", slot, "stable")
			}
		})
	}
}

func TestMaxInFlight(t *testing.T) {
	redisserver.Need(t)
	server := redisserver.Start(t)
	store, err := redisstore.New(t.Context(), server.Client(), redisstore.WithMaxInFlight(2))
	require.NoError(t, err)
	server.Pause()
	defer server.Resume()
	for range 2 { // their callers leave, but the commands wait for the server
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := store.Load(ctx, newID())
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	_, err = store.Load(t.Context(), newID())
	require.ErrorContains(t, err, "too many operations")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // the end of a wrong store's read
	defer cancel()
	_, err = store.LoadBatch(ctx, []session.ID{newID()})
	require.ErrorContains(t, err, "too many operations")
}

// A batch of any size is one operation.
func TestMaxInFlight_Batch(t *testing.T) {
	store := open(t, redisserver.Mini(t), redisstore.WithMaxInFlight(1))
	rec := newRecord("")
	require.NoError(t, store.Insert(t.Context(), rec))
	recs, err := store.LoadBatch(t.Context(), []session.ID{newID(), rec.ID, newID()})
	require.NoError(t, err)
	require.Len(t, recs, 1)
}

func TestClose(t *testing.T) {
	store, err := redisstore.Open(t.Context(), redisserver.Mini(t))
	require.NoError(t, err)
	require.NoError(t, store.Close(t.Context()))
	require.NoError(t, store.Close(t.Context()))
	_, err = store.Load(t.Context(), newID())
	require.ErrorContains(t, err, "the store is closed")
	require.False(t, errors.Is(err, session.ErrNotFound))
}
