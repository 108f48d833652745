package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/redisstore"
	"github.com/holdfast-go/session/redisstore/internal/redisserver"
)

// journal is the history of one record, as acknowledged to its only writer.
type journal struct {
	id        session.ID
	acked     int64 // last acknowledged version; 0 before the Insert
	attempted int64 // last version that was sent
	ended     bool  // whether a Delete was acknowledged
	ending    bool  // whether a Delete was sent
}

// losses counts the broken promises of a run.
type losses struct{ acknowledged, sessions, changes, restored int }

func (l losses) String() string {
	return fmt.Sprintf("%d acknowledged writes: %d sessions lost, %d changes lost, %d ended sessions restored", l.acknowledged, l.sessions, l.changes, l.restored)
}

// load writes to a store until stop is closed, and returns what was acknowledged.
type load struct {
	store  session.Store
	acks   atomic.Int64
	stop   chan struct{}
	mu     sync.Mutex
	all    []*journal
	writer sync.WaitGroup
}

func startLoad(store session.Store, writers int) *load {
	l := &load{store: store, stop: make(chan struct{})}
	for range writers {
		l.writer.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
					l.life()
				}
			}
		})
	}
	return l
}

// life inserts a record, changes it and deletes one in three. It ends at the first
// error, because the outcome of that write is unknown.
func (l *load) life() {
	rec := newRecord("")
	j := &journal{id: rec.ID, attempted: 1}
	l.mu.Lock()
	l.all = append(l.all, j)
	l.mu.Unlock()
	call := func(op func(context.Context) error) bool {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if op(ctx) != nil {
			return false
		}
		l.acks.Add(1)
		return true
	}
	if !call(func(ctx context.Context) error { return l.store.Insert(ctx, rec) }) {
		return
	}
	j.acked = 1
	for range 5 {
		j.attempted++
		if !call(func(ctx context.Context) error {
			return l.store.Update(ctx, rec.ID, &session.Change{
				If:  session.Guard{Versions: map[string]int64{"cart": j.acked}},
				Set: map[string]session.Value{"cart": {Data: []byte("[2]"), Version: j.attempted}},
			})
		}) {
			return
		}
		j.acked = j.attempted
	}
	if rand.IntN(3) == 0 {
		j.ending = true
		j.ended = call(func(ctx context.Context) error { return l.store.Delete(ctx, rec.ID) })
	}
}

// await returns when n more writes have been acknowledged.
func (l *load) await(t *testing.T, n int64) {
	t.Helper()
	until := l.acks.Load() + n
	redisserver.Await(t, "the load", func(context.Context) bool { return l.acks.Load() >= until })
}

// end stops the load and compares the records with the journals.
func (l *load) end(t *testing.T) (lost losses) {
	t.Helper()
	close(l.stop)
	l.writer.Wait()
	lost.acknowledged = int(l.acks.Load())
	for _, j := range l.all {
		rec, err := l.store.Load(t.Context(), j.id)
		found := err == nil
		if !found {
			require.ErrorIs(t, err, session.ErrNotFound)
		}
		switch {
		case found && j.ended:
			lost.restored++
		case !found && j.acked > 0 && !j.ending:
			lost.sessions++
		case found && rec.Values["cart"].Version < j.acked:
			lost.changes++
		case found && rec.Values["cart"].Version > j.attempted:
			t.Errorf("the record has a version that was never written")
		}
	}
	return lost
}

// times returns the number of crashes, of which the full run has more.
func times(full, short int) int {
	if os.Getenv("STRESS") == "full" {
		return full
	}
	return short
}

func TestKill_ServerWithAppendOnlyFile(t *testing.T) {
	redisserver.Need(t)
	server := redisserver.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	l := startLoad(open(t, server.URL()), 16)
	for range times(20, 3) {
		l.await(t, 200)
		server.Kill()
		server.Restart()
	}
	l.await(t, 200)
	lost := l.end(t)
	t.Logf("%d times kill -9, %v", times(20, 3), lost)
	require.Equal(t, losses{acknowledged: lost.acknowledged}, lost)
}

// failover kills a primary of the cluster during load, and waits for its replica to
// take over. If lag is true, the replica misses the last writes.
func failover(t *testing.T, lag bool, opts ...redisstore.Option) losses {
	cluster := redisserver.StartCluster(t)
	l := startLoad(open(t, cluster.URL(), opts...), 16)
	l.await(t, 300)
	primary := cluster.Primaries()[0]
	if lag {
		replica := cluster.ReplicaOf(primary)
		replica.Pause()
		defer replica.Resume()
		primary.Do("client", "kill", "type", "replica") // otherwise the kernel keeps the writes for it
		if len(opts) == 0 {
			l.await(t, 100)
		}
		primary.Kill()
		replica.Resume()
	} else {
		primary.Kill()
	}
	cluster.AwaitFailover()
	l.await(t, 300)
	return l.end(t)
}

func TestFailover_Cluster(t *testing.T) {
	redisserver.Need(t)
	for _, lag := range lags() {
		lost := losses{}
		for range times(5, 1) {
			add(&lost, failover(t, lag))
		}
		t.Logf("without WithReplicas, replica behind: %v: %d times kill -9 of a primary, %v", lag, times(5, 1), lost)
		if lag {
			require.NotZero(t, lost.sessions+lost.changes+lost.restored, "the replica was not behind, so the test with WithReplicas proves nothing")
		}
	}
}

func TestFailover_ClusterWithReplicas(t *testing.T) {
	redisserver.Need(t)
	for _, lag := range lags() {
		lost := losses{}
		for range times(5, 1) {
			add(&lost, failover(t, lag, redisstore.WithReplicas(1)))
		}
		t.Logf("WithReplicas(1), replica behind: %v: %d times kill -9 of a primary, %v", lag, times(5, 1), lost)
		require.Equal(t, losses{acknowledged: lost.acknowledged}, lost)
	}
}

// lags returns the values of lag for failover. The short run has the worse one.
func lags() []bool {
	if os.Getenv("STRESS") == "full" {
		return []bool{false, true}
	}
	return []bool{true}
}

func add(sum *losses, l losses) {
	sum.acknowledged += l.acknowledged
	sum.sessions += l.sessions
	sum.changes += l.changes
	sum.restored += l.restored
}

func TestFailover_Sentinel(t *testing.T) {
	redisserver.Need(t)
	set := redisserver.StartSentinel(t)
	l := startLoad(open(t, set.URL(), redisstore.WithReplicas(1)), 8)
	l.await(t, 200)
	set.Primary.Kill()
	redisserver.Await(t, "the failover", func(context.Context) bool { return set.Replica.IsPrimary() })
	// The new primary has no replica, so no write is acknowledged.
	id := newRecord("")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := errors.New("none")
	for ctx.Err() == nil && !errors.Is(err, session.ErrUncertain) {
		err = l.store.Insert(ctx, id)
		id = newRecord("")
	}
	require.ErrorIs(t, err, session.ErrUncertain)
	lost := l.end(t)
	t.Logf("Sentinel, WithReplicas(1): %v", lost)
	require.Equal(t, losses{acknowledged: lost.acknowledged}, lost)
}
