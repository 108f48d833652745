package redisexpress_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/express"
	"github.com/holdfast-go/session/express/redisexpress"
	"github.com/holdfast-go/session/memstore"
)

const (
	secret = "keyboard cat"
	id     = "0123456789abcdefghijABCDEFGHIJ_-"

	// The value of connect-redis for a maximum age of 60.5 seconds, and a user.
	value = `{"cookie":{"originalMaxAge":60500,"expires":"2030-01-01T00:00:00.000Z","httpOnly":true,"path":"/"},"passport":{"user":"ada"},"cart":["tea"]}`

	cart session.Key[[]string] = "cart"
)

// client starts a redis-server and returns a client.
func client(t *testing.T) *redis.Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "redis") // a short path, for a socket
	require.NoError(t, err)
	socket := filepath.Join(dir, "s")
	cmd := exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "")
	require.NoError(t, cmd.Start(), "the tests need redis-server in the PATH")
	c := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, DialerRetries: 1})
	t.Cleanup(func() {
		c.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		os.RemoveAll(dir)
	})
	require.Eventually(t, func() bool { return c.Ping(t.Context()).Err() == nil }, 10*time.Second, 10*time.Millisecond)
	return c
}

// cluster starts a cluster of one server and returns a client.
func cluster(t *testing.T) *redis.ClusterClient {
	t.Helper()
	free := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		return port
	}
	port := free()
	cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--cluster-enabled", "yes", "--cluster-port", free(), "--dir", t.TempDir(), "--save", "")
	require.NoError(t, cmd.Start(), "the tests need redis-server in the PATH")
	node := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port})
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:" + port}})
	t.Cleanup(func() {
		c.Close()
		node.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool { return node.ClusterAddSlotsRange(t.Context(), 0, 16383).Err() == nil }, 10*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool { return c.Set(t.Context(), "ready", "", 0).Err() == nil }, 20*time.Second, 50*time.Millisecond)
	return c
}

func TestRedis_Cluster(t *testing.T) {
	c := cluster(t)
	for i := range 10 {
		require.NoError(t, c.Set(t.Context(), fmt.Sprint("sess:", i), value, time.Minute).Err())
	}
	store := must(redisexpress.New(c))
	require.Len(t, must(store.Sample(t.Context())), 5)
	x, err := express.Open(t.Context(), store, secret)
	require.NoError(t, err)
	s := must(x.Load(request("7")))
	require.Equal(t, "ada", s.User())
	require.NoError(t, s.End(t.Context()))
	require.NoError(t, c.Set(t.Context(), "sess:7", value, time.Minute).Err())
	require.Empty(t, must(x.Load(request("7"))).ID())
}

// request returns a request with the cookie of a session of Express.
func request(id string) *http.Request {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(id))
	r := httptest.NewRequest("GET", "https://example.com/", nil)
	r.Header.Set("Cookie", "connect.sid="+url.PathEscape("s:"+id+"."+base64.RawStdEncoding.EncodeToString(mac.Sum(nil))))
	return r
}

// set is the method set of connect-redis.
func set(t *testing.T, c *redis.Client, key, value string) {
	t.Helper()
	require.NoError(t, c.Set(t.Context(), key, value, 61*time.Second).Err())
}

func open(t *testing.T, c *redis.Client, opts ...express.Option) *express.Sessions {
	t.Helper()
	store, err := redisexpress.New(c)
	require.NoError(t, err)
	x, err := express.Open(t.Context(), store, secret, opts...)
	require.NoError(t, err)
	return x
}

func TestRedis_Load(t *testing.T) {
	c := client(t)
	set(t, c, "sess:"+id, value)
	require.NoError(t, c.Set(t.Context(), "sess:forever", value, 0).Err())
	set(t, c, "sess:damaged", value[:20])
	require.NoError(t, c.HSet(t.Context(), "sess:hash", "a", "b").Err())
	x := open(t, c)
	s, err := x.Load(request(id))
	require.NoError(t, err)
	require.Equal(t, "ada", s.User())
	require.WithinDuration(t, time.Now().Add(61*time.Second), s.Expires(), 5*time.Second)
	s, err = x.Load(request("forever"))
	require.NoError(t, err)
	require.Equal(t, "ada", s.User())
	require.Zero(t, s.Expires())
	for _, id := range []string{"none", "damaged", "hash", "*", ""} {
		s, err := x.Load(request(id))
		require.NoError(t, err, id)
		require.Empty(t, s.ID())
	}
	require.ErrorContains(t, express.Key[int]("n").Set(t.Context(), must(x.Load(request(id))), 1), "cannot be written")
	require.Equal(t, value, c.Get(t.Context(), "sess:"+id).Val())

	require.NoError(t, c.Close())
	_, err = x.Load(request(id))
	require.ErrorIs(t, err, session.ErrUnavailable)
}

// A slow request of Express stores a session again that Go has ended.
func TestRedis_SlowRequestOfExpress(t *testing.T) {
	c := client(t)
	set(t, c, "sess:"+id, value)
	x := open(t, c)
	s := must(x.Load(request(id)))
	require.NoError(t, s.End(t.Context()))
	for range 2 {
		set(t, c, "sess:"+id, value)
		require.Empty(t, must(x.Load(request(id))).ID())
		require.Zero(t, c.Exists(t.Context(), "sess:"+id).Val())
	}
	require.WithinDuration(t, time.Now().Add(express.MarkLife), time.Now().Add(c.TTL(t.Context(), "express-mark:sess:"+id).Val()), time.Minute)
}

func TestRedis_EndedStays(t *testing.T) {
	store := must(redisexpress.New(client(t)))
	for _, step := range []struct{ set, want express.Mark }{
		{express.MarkMoved, express.MarkMoved}, {express.MarkEnded, express.MarkEnded}, {express.MarkMoved, express.MarkEnded},
	} {
		require.Equal(t, step.want, must(store.Mark(t.Context(), id, step.set)))
	}
}

func TestRedis_MoveConcurrentRequests(t *testing.T) {
	c := client(t)
	set(t, c, "sess:"+id, value)
	x := open(t, c, express.WithProperty("cart", cart), express.WithRemovalDelay(0))
	m := memstore.NewManager()
	h := m.Wrap(x.Move(m, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		if r.URL.Path == "/logout" {
			s.SignOut()
			return
		}
		fmt.Fprintf(w, "%s %v", s.User(), cart.GetOr(s, nil))
	})))
	const n = 8
	cookies := make(chan *http.Cookie, n)
	var done sync.WaitGroup
	for range n {
		done.Go(func() {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, request(id))
			if got := w.Body.String(); got != "ada [tea]" {
				t.Error(got)
			}
			for _, c := range w.Result().Cookies() {
				cookies <- c
			}
		})
	}
	done.Wait()
	require.Len(t, must(m.List(context.Background(), "ada")), 1)
	r := request(id)
	r.AddCookie(<-cookies)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, "ada [tea]", w.Body.String())
	require.Zero(t, c.Exists(t.Context(), "sess:"+id).Val(), "the browser has the new cookie")

	r.URL.Path = "/logout"
	h.ServeHTTP(httptest.NewRecorder(), r)
	set(t, c, "sess:"+id, value)
	w = httptest.NewRecorder()
	h.ServeHTTP(w, request(id))
	require.Equal(t, " []", w.Body.String())
}

func TestRedis_Open(t *testing.T) {
	c := client(t)
	for name, step := range map[string]struct {
		value string
		opts  []redisexpress.Option
		err   string
	}{
		"no session":         {"", nil, ""},
		"JSON":               {value, nil, ""},
		"another prefix":     {value, []redisexpress.Option{redisexpress.WithPrefix("other:")}, ""},
		"another serializer": {"\x82\xa6cookie", nil, "option serializer"},
		"no cookie":          {`{"user":"ada"}`, nil, "no cookie"},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, c.FlushAll(t.Context()).Err())
			for i := range 2000 {
				require.NoError(t, c.Set(t.Context(), fmt.Sprint("x", i), "y", 0).Err())
			}
			if step.value != "" {
				set(t, c, "sess:"+id, step.value)
			}
			_, err := express.Open(t.Context(), must(redisexpress.New(c, step.opts...)), secret)
			if step.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, step.err)
			require.NotContains(t, err.Error(), id)
		})
	}
	_, err := redisexpress.New(nil, nil, redisexpress.WithMarkPrefix(""))
	for _, part := range []string{"the client is nil", "option 1 is nil", `WithMarkPrefix("")`} {
		require.ErrorContains(t, err, part)
	}
}

// Special characters of patterns in the prefix are no patterns.
func TestRedis_SamplePrefix(t *testing.T) {
	c := client(t)
	set(t, c, "a[*]:"+id, value)
	set(t, c, "a*:"+id, "x")
	all, err := must(redisexpress.New(c, redisexpress.WithPrefix("a[*]:"))).Sample(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
