package redisstore_test

import (
	"context"
	"net/http"
	"net/http/httptest"
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

// insertMany inserts n records with values.
func insertMany(t *testing.T, store *redisstore.Store, n int) (ids []session.ID) {
	t.Helper()
	for range n {
		rec := newRecord("")
		require.NoError(t, store.Insert(t.Context(), rec))
		ids = append(ids, rec.ID)
	}
	return ids
}

func isRead(c redisproxy.Command) bool { return c.Name() == "hmget" }

// The proxy counts the commands on the wire. It passes on all of them although it
// holds back every reply, so they need one round trip.
func TestLoadBatch_OneRoundTrip(t *testing.T) {
	redisserver.Need(t)
	server := redisserver.Start(t)
	var hold atomic.Bool
	proxy := redisproxy.New(t, func(redisproxy.Command) redisproxy.Verdict {
		if hold.Load() {
			return redisproxy.Hold
		}
		return redisproxy.Pass
	})
	store := open(t, "redis://"+proxy.Addr(server.Addr)+"?read_timeout=1h")
	ids := insertMany(t, store, 500)
	proxy.Forget()
	recs, err := store.LoadBatch(t.Context(), ids)
	require.NoError(t, err)
	require.Len(t, recs, 500)
	assert.Nil(t, recs[0].Values, "the values were read")
	assert.Len(t, proxy.Seen(isRead), 500)
	assert.Len(t, proxy.Seen(isStoreCommand), 500)

	recs, err = store.LoadBatch(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, recs)

	hold.Store(true)
	proxy.Forget()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := store.LoadBatch(ctx, ids)
		done <- err
	}()
	redisserver.Await(t, "all commands", func(context.Context) bool { return len(proxy.Seen(isRead)) == 500 })
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
}

// A batch is complete, or an error.
func TestLoadBatch_LostReplies(t *testing.T) {
	redisserver.Need(t)
	server := redisserver.Start(t)
	cluster := redisserver.StartCluster(t)
	for name, connect := range map[string]func(*redisproxy.Proxy) redis.UniversalClient{
		"server": func(p *redisproxy.Proxy) redis.UniversalClient {
			return redis.NewClient(&redis.Options{Addr: server.Addr, Dialer: p.Dial})
		},
		"cluster": func(p *redisproxy.Proxy) redis.UniversalClient {
			return redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{cluster.Nodes[0].Addr}, Dialer: p.Dial})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var lose atomic.Int32 // reads of the last record
			var last atomic.Value
			last.Store("")
			proxy := redisproxy.New(t, func(c redisproxy.Command) redisproxy.Verdict {
				if isRead(c) && c.Key() == last.Load() && lose.Add(-1) >= 0 {
					return redisproxy.Refuse
				}
				return redisproxy.Pass
			})
			client := connect(proxy)
			t.Cleanup(func() { client.Close() })
			store, err := redisstore.New(t.Context(), client)
			require.NoError(t, err)
			ids := insertMany(t, store, 50)
			last.Store(key(ids[49]))

			lose.Store(2)
			recs, err := store.LoadBatch(t.Context(), ids)
			require.NoError(t, err)
			require.Len(t, recs, 50)
			require.Negative(t, lose.Load(), "no read was lost, so the test proves nothing")

			lose.Store(1 << 30)
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			recs, err = store.LoadBatch(ctx, ids)
			require.Error(t, err)
			require.Empty(t, recs)
		})
	}
}

// A record exists even if all its fields are zero.
func TestLoadBatch_ZeroRecord(t *testing.T) {
	store := open(t, redisserver.Mini(t))
	rec := &session.Record{Info: session.Info{ID: newID()}}
	require.NoError(t, store.Insert(t.Context(), rec))
	recs, err := store.LoadBatch(t.Context(), []session.ID{newID(), rec.ID})
	require.NoError(t, err)
	require.Equal(t, []*session.Record{rec}, recs)
}

// silence is a hook that sends no pipeline and reports no error.
type silence struct{ redis.Hook }

func (silence) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(context.Context, []redis.Cmder) error { return nil }
}

func (silence) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (silence) DialHook(next redis.DialHook) redis.DialHook          { return next }

func TestLoadBatch_NoReply(t *testing.T) {
	options, err := redis.ParseURL(redisserver.Mini(t))
	require.NoError(t, err)
	client := redis.NewClient(options)
	t.Cleanup(func() { client.Close() })
	store, err := redisstore.New(t.Context(), client)
	require.NoError(t, err)
	ids := insertMany(t, store, 2)
	client.AddHook(silence{})
	recs, err := store.LoadBatch(t.Context(), ids)
	require.ErrorContains(t, err, "no reply")
	require.Empty(t, recs)
}

// Twenty sessions that wait are read in batches, and end with a RevokeAll of another
// replica.
func TestEnded_ReadsBatches(t *testing.T) {
	redisserver.Need(t)
	server := redisserver.Start(t)
	proxy := redisproxy.New(t, nil)
	const secret = "an example secret of 32 bytes or more"
	m, err := session.New(open(t, "redis://"+proxy.Addr(server.Addr)), secret, session.WithPollInterval(10*time.Millisecond))
	require.NoError(t, err)
	other, err := session.New(open(t, server.URL()), secret)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var ended []<-chan struct{}
	site := m.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		s.SignIn("ann")
		ended = append(ended, s.Ended(ctx))
	}))
	for range 20 {
		site.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "https://example.com/", nil))
	}
	proxy.Forget()
	redisserver.Await(t, "two reads", func(context.Context) bool { return len(proxy.Seen(isRead)) >= 40 })
	n, err := other.RevokeAll(t.Context(), "ann")
	require.NoError(t, err)
	require.Equal(t, 20, n)
	for _, ch := range ended {
		select {
		case <-ch:
		case <-time.After(20 * time.Second):
			t.Fatal("a session that has ended still waits")
		}
	}
	assert.Empty(t, proxy.Seen(func(c redisproxy.Command) bool { return c.Name() == "hgetall" }))
}
