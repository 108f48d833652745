package redisstore_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/redisstore"
	"github.com/holdfast-go/session/redisstore/internal/redisserver"
)

const count session.Key[int] = "count"

// visit is the history of one cookie, as acknowledged to its only client.
type visit struct {
	cookie        string
	acked, sent   int // values of the counter
	ended, ending bool
}

// site is an app with clients over HTTP.
type site struct {
	*httptest.Server
	acks    atomic.Int64
	mu      sync.Mutex
	visits  []*visit
	stop    chan struct{}
	clients sync.WaitGroup
}

func startSite(t *testing.T, store session.Store) *site {
	quiet := slog.New(slog.DiscardHandler)
	m, err := session.New(store, "an example secret of 32 bytes or more", session.WithLogger(quiet), session.WithStoreTimeout(2*time.Second))
	require.NoError(t, err)
	app := http.NewServeMux()
	app.HandleFunc("/in", func(_ http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignIn(r.FormValue("user"))
	})
	app.HandleFunc("/out", func(_ http.ResponseWriter, r *http.Request) { session.FromContext(r.Context()).SignOut() })
	app.HandleFunc("/read", func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		fmt.Fprintf(w, "%t %d", s.User() != "", count.GetOr(s, 0))
	})
	app.HandleFunc("/count", func(w http.ResponseWriter, r *http.Request) {
		if _, err := count.Update(r.Context(), session.FromContext(r.Context()), func(n int) int { return n + 1 }); err != nil {
			w.WriteHeader(session.HTTPStatus(err))
		}
	})
	s := &site{Server: httptest.NewServer(m.Wrap(app)), stop: make(chan struct{})}
	t.Cleanup(s.Close)
	for range 16 {
		s.clients.Go(func() {
			for {
				select {
				case <-s.stop:
					return
				default:
					s.visit()
				}
			}
		})
	}
	return s
}

// ask sends a request. It reports whether the response is a success.
func (s *site) ask(path, cookie string) (body, set string, ok bool) {
	req, err := http.NewRequest("GET", s.URL+path, nil)
	if err != nil {
		return "", "", false
	}
	req.Header.Set("Cookie", cookie)
	res, err := s.Client().Do(req)
	if err != nil {
		return "", "", false
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	for _, c := range res.Cookies() {
		set = c.Name + "=" + c.Value
	}
	ok = err == nil && res.StatusCode == http.StatusOK
	if ok {
		s.acks.Add(1)
	}
	return string(text), set, ok
}

// visit signs in, counts and signs out one time in three. It ends at the first
// failure.
func (s *site) visit() {
	_, cookie, ok := s.ask(fmt.Sprint("/in?user=", rand.Int()), "") // indexes on all nodes
	if !ok {
		return
	}
	v := &visit{cookie: cookie}
	s.mu.Lock()
	s.visits = append(s.visits, v)
	s.mu.Unlock()
	for range 3 {
		v.sent++
		if _, _, ok := s.ask("/count", cookie); !ok {
			return
		}
		v.acked = v.sent
	}
	if rand.IntN(3) == 0 {
		v.ending = true
		_, _, v.ended = s.ask("/out", cookie)
	}
}

func (s *site) await(t *testing.T, n int64) {
	t.Helper()
	until := s.acks.Load() + n
	redisserver.Await(t, "the load", func(context.Context) bool { return s.acks.Load() >= until })
}

// The whole stack, over HTTP, during the failover of a primary.
func TestFailover_Visitors(t *testing.T) {
	redisserver.Need(t)
	cluster := redisserver.StartCluster(t)
	s := startSite(t, open(t, cluster.URL(), redisstore.WithReplicas(1)))
	for range times(3, 1) {
		s.await(t, 300)
		primary := cluster.Primaries()[0]
		primary.Kill()
		cluster.AwaitFailover()
		s.await(t, 100)
		primary.Restart()
		cluster.AwaitReplicas()
	}
	close(s.stop)
	s.clients.Wait()
	lost := losses{acknowledged: int(s.acks.Load())}
	for _, v := range s.visits {
		body, _, ok := s.ask("/read", v.cookie)
		require.True(t, ok, "the store fails after the failover")
		var found bool
		var n int
		_, err := fmt.Sscan(body, &found, &n)
		require.NoError(t, err)
		switch {
		case v.ended && found:
			lost.restored++
		case !v.ending && !found:
			lost.sessions++
		case found && n < v.acked:
			lost.changes++
		case found:
			assert.LessOrEqual(t, n, v.sent, "an Update was applied twice")
		}
	}
	t.Logf("%d visitors over HTTP, %d times kill -9 of a primary, %v", len(s.visits), times(3, 1), lost)
	require.Equal(t, losses{acknowledged: lost.acknowledged}, lost)
}
