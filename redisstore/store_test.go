package redisstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/redisstore"
	"github.com/holdfast-go/session/redisstore/internal/redisserver"
	"github.com/holdfast-go/session/storetest"
)

// open opens a store that is closed with the test.
func open(t testing.TB, url string, opts ...redisstore.Option) *redisstore.Store {
	t.Helper()
	store, err := redisstore.Open(t.Context(), url, opts...)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, store.Close(ctx))
	})
	return store
}

func contract(t *testing.T, url string, opts ...redisstore.Option) {
	t.Helper()
	storetest.Run(t, func(t testing.TB) session.Store { return open(t, url, opts...) })
}

func TestStore_Miniredis(t *testing.T) { contract(t, redisserver.Mini(t)) }

func TestStore_Server(t *testing.T) {
	redisserver.Need(t)
	contract(t, redisserver.Start(t).URL())
}

func TestStore_Cluster(t *testing.T) {
	redisserver.Need(t)
	url := redisserver.StartCluster(t).URL()
	contract(t, url)
	t.Run("WithReplicas", func(t *testing.T) { contract(t, url, redisstore.WithReplicas(1)) })
}

func TestStore_Sentinel(t *testing.T) {
	redisserver.Need(t)
	url := redisserver.StartSentinel(t).URL()
	contract(t, url)
	t.Run("WithReplicas", func(t *testing.T) { contract(t, url, redisstore.WithReplicas(1)) })
}
