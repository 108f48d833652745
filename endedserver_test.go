package session_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
)

const patience = 30 * time.Second

// closes fails unless the channel is closed.
func closes(t testing.TB, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("%s: the channel is not closed", what)
	}
}

// The endings on a server, which reports changes if it is a replica set.
func TestEnded_OnTheServer(t *testing.T) {
	m := newManager(t, newMongo(t), session.WithMaxPerUser(2), session.WithPollInterval(50*time.Millisecond))
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			_, err := m.RevokeAll(background, "ann")
			require.NoError(t, err)
			s, c := signedIn(t, m, "ann")
			other, _ := signedIn(t, m, "cat")
			ended, others := s.Ended(t.Context()), other.Ended(t.Context())
			end(t, m, c)
			closes(t, ended, name)
			require.False(t, isClosed(others))
		})
	}
	t.Run("own changes", func(t *testing.T) {
		s, _ := signedIn(t, m, "dan")
		ended := s.Ended(t.Context())
		s.Renew()
		save(t, s)
		s.SignIn("eve")
		save(t, s)
		other, c := signedIn(t, m, "fay")
		others := other.Ended(t.Context())
		endings["sign-out"](t, m, c)
		closes(t, others, "a session that ended later")
		require.False(t, isClosed(ended))
		require.NoError(t, m.Revoke(background, "eve", s.ID()))
		closes(t, ended, "the session of the own sign-in")
	})
}

// waitCommands records the commands of a client that Ended sends.
type waitCommands struct {
	mu      sync.Mutex
	streams int
	batches []int // the number of sessions in each read
}

func (c *waitCommands) started(ctx context.Context, e *event.CommandStartedEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// At the end the driver begins to resume the stream, but sends nothing.
	if e.CommandName == "aggregate" && ctx.Err() == nil {
		c.streams++
	}
	if in, ok := e.Command.Lookup("filter", "_id", "$in").ArrayOK(); ok {
		ids, _ := in.Values()
		c.batches = append(c.batches, len(ids))
	}
}

func (c *waitCommands) get() (streams int, batches []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams, slices.Clone(c.batches)
}

// A thousand open connections of as many sessions cost one change stream, or two
// reads of 500 sessions per interval. All connections end after a RevokeAll in
// another process. Nothing remains, and before the first connection nothing runs.
func TestEnded_ThousandConnections(t *testing.T) {
	server := testserver.Get(t)
	connections, reads := 1000, []int{500, 500, 500, 500}
	if !server.TTL { // FerretDB reads all documents to find one
		connections, reads = 50, []int{50, 50}
	}
	commands := &waitCommands{}
	coll := testserver.Collection(t, options.Client().SetMonitor(&event.CommandMonitor{Started: commands.started}))
	other, err := mongo.Connect(options.Client().ApplyURI(server.URI))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Disconnect(background)) })
	m := newManager(t, openMongo(t, coll), session.WithPollInterval(200*time.Millisecond))
	elsewhere := newManager(t, openMongo(t, other.Database(coll.Database().Name()).Collection(coll.Name())))
	a := newApp(t, m)
	stream := a.add(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		ended := s.Ended(r.Context())
		fmt.Fprintln(w, "begun")
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-ended:
			fmt.Fprintln(w, "ended")
		case <-r.Context().Done():
		}
	})
	cookies := make([]*http.Cookie, connections)
	var signIns sync.WaitGroup
	for part := range slices.Chunk(cookies, connections/8) {
		signIns.Go(func() {
			for i := range part {
				_, part[i] = signedIn(t, m, "ann")
			}
		})
	}
	signIns.Wait()
	require.Zero(t, m.Waiters()+waitGoroutines())
	streams, batches := commands.get()
	require.Zero(t, streams+len(batches), "nobody waits")

	transport := &http.Transport{}
	client := &http.Client{Transport: transport}
	var begun, done sync.WaitGroup
	begun.Add(connections)
	results := make(chan string, connections)
	opening := make(chan struct{}, 50)
	for _, c := range cookies {
		done.Go(func() {
			opening <- struct{}{}
			results <- lastLine(t.Context(), client, a.URL, stream, c, func() {
				<-opening
				begun.Done()
			})
		})
	}
	begun.Wait()
	require.Equal(t, connections, m.Waiters())
	require.LessOrEqual(t, waitGoroutines(), 2)
	if !server.RetryableWrites {
		require.Eventually(t, func() bool {
			_, batches := commands.get()
			return slices.Equal(batches[max(0, len(batches)-len(reads)):], reads)
		}, patience, 10*time.Millisecond, "all are read at each interval")
	}
	_, err = elsewhere.RevokeAll(background, "ann")
	require.NoError(t, err)
	revoked := time.Now()
	done.Wait()
	took := time.Since(revoked)
	for range connections {
		require.Equal(t, "ended", <-results)
	}
	streams, batches = commands.get()
	t.Logf("%d connections on %s: %d attempts to open a change stream, %d batched reads; the last connection ended %v after the revocation",
		connections, server.Engine, streams, len(batches), took)
	if server.RetryableWrites {
		require.Equal(t, 1, streams)
	}
	require.Zero(t, m.Waiters())
	transport.CloseIdleConnections()
	require.Eventually(t, func() bool { return waitGoroutines() == 0 }, patience, 10*time.Millisecond, "nothing remains")
}

// waitGoroutines returns the number of goroutines that wait for the end of sessions.
func waitGoroutines() int {
	stacks := make([]byte, 64<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	n := 0
	for g := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		if bytes.Contains(g, []byte("session.(*waits)")) {
			n++
		}
	}
	return n
}

// lastLine opens a stream, calls begun after its first line, and returns its last
// line or the error.
func lastLine(ctx context.Context, client *http.Client, url, stream string, c *http.Cookie, begun func()) string {
	begin := sync.OnceFunc(begun)
	defer begin()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return err.Error()
	}
	req.Header.Set("X-Do", stream)
	req.AddCookie(c)
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	last := resp.Status
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		last = lines.Text()
		begin()
	}
	return last
}
