package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/redisstore"
)

// startRedis starts a redis-server without persistence on a free port. It returns
// the address.
func startRedis(ctx context.Context) (addr string, stop func(), err error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", nil, fmt.Errorf("%w: redis-server is not installed", errMissing)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	addr = l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	l.Close()
	dir, err := os.MkdirTemp("", "bench-redis-*")
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", dir, "--loglevel", "warning")
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}
	for range 200 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return addr, stop, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	return "", nil, fmt.Errorf("redis-server does not listen at %s", addr)
}

// redisClient measures the additional CPU time of redisstore over go-redis, in the
// client. Both talk to one redis-server over a socket.
func redisClient(ctx context.Context, out io.Writer, c *config) error {
	addr, stop, err := startRedis(ctx)
	if err != nil {
		return err
	}
	defer stop()
	bare := redis.NewClient(&redis.Options{Addr: addr})
	defer bare.Close()
	store, err := redisstore.Open(ctx, "redis://"+addr)
	if err != nil {
		return err
	}
	defer store.Close(ctx)
	rec := newRecord(randomID(), "ada")
	if err := store.Insert(ctx, rec); err != nil {
		return err
	}
	n, each := c.timing(100*time.Millisecond, 20*time.Millisecond)
	key := "session:s:" + rec.ID.String()
	sha, err := bare.ScriptLoad(ctx, "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) return 1").Result()
	if err != nil {
		return err
	}
	value := rec.Values[smallName]
	change := &session.Change{Set: map[string]session.Value{smallName: value}}
	stored := append(make([]byte, 8), value.Data...)
	// The Manager's context can end, so the store waits for it too.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	loads := rounds(n, each, []variant{
		{"Load", func(int) {
			got, err := store.Load(ctx, rec.ID)
			must(err)
			if len(got.Values) != 2 {
				panic("not the record")
			}
		}},
		{"HGETALL", func(int) { must(bare.HGetAll(ctx, key).Err()) }},
	})
	updates := rounds(n, each, []variant{
		{"Update", func(int) { must(store.Update(ctx, rec.ID, change)) }},
		{"EVALSHA", func(int) { must(bare.EvalSha(ctx, sha, []string{key}, "d:"+smallName, stored).Err()) }},
	})
	cell := func(s []sample) string {
		return fmt.Sprintf("%s, %.0f allocations", micros(mid(s, cpuOf)), mid(s, allocsOf))
	}
	of := func(a, b []sample) string {
		return fmt.Sprintf("%.2f (%.2f)", ratio(a, b, cpuOf), best(a, cpuOf)/best(b, cpuOf))
	}
	t := newTable(out, "redisstore", "go-redis", "ratio (of the best rounds)", "goal")
	t.row("Load: "+cell(loads[0]), "HGETALL: "+cell(loads[1]), of(loads[0], loads[1]), "≤ 1.15")
	t.row("Update: "+cell(updates[0]), "EVALSHA: "+cell(updates[1]), of(updates[0], updates[1]), "≤ 1.15")
	return t.end()
}

// redisApps are the apps of the HTTP table on Redis.
var redisApps = map[string]func(context.Context, *redis.Client) (http.Handler, error){
	"redis-client": redisApp,
	"redis-session": func(ctx context.Context, client *redis.Client) (http.Handler, error) {
		store, err := redisstore.Open(ctx, "redis://"+client.Options().Addr)
		if err != nil {
			return nil, err
		}
		return sessionPages(store)
	},
	"redis-scs": func(_ context.Context, client *redis.Client) (http.Handler, error) {
		return scsPages(goredisstore.New(client)), nil
	},
}

var redisContenders = []contender{
	{"plain go-redis", "redis-client", "", nil},
	{"this library", "redis-session", "", nil},
	{"scs with goredisstore", "redis-scs", "", nil},
	{"express-session with connect-redis", "express", "", nil},
}

// redisApp is the lower bound: one command by key without a session. The cookie
// holds the ID itself.
func redisApp(ctx context.Context, client *redis.Client) (http.Handler, error) {
	store, err := redisstore.New(ctx, client)
	if err != nil {
		return nil, err
	}
	sha, err := client.ScriptLoad(ctx, "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) return 1").Result()
	if err != nil {
		return nil, err
	}
	keyOf := func(r *http.Request) (string, error) {
		id, err := cookieID(r)
		return "session:s:" + id.String(), err
	}
	return pages(func(path string, w http.ResponseWriter, r *http.Request) error {
		switch path {
		case "/login", "/cart":
			if err := newDriverSession(w, r, store); err != nil {
				return err
			}
		case "/read":
			key, err := keyOf(r)
			if err != nil {
				return err
			}
			fields, err := client.HGetAll(r.Context(), key).Result()
			if err != nil || fields["d:"+smallName] == "" {
				return errors.Join(err, errNoSession)
			}
		case "/write":
			key, err := keyOf(r)
			if err != nil {
				return err
			}
			if err := client.EvalSha(r.Context(), sha, []string{key}, "d:"+smallName, "\x00\x00\x00\x00\x00\x00\x00\x01"+newName()).Err(); err != nil {
				return err
			}
		}
		_, err := w.Write(answer)
		return err
	}), nil
}

// redisHTTP measures the contenders on one redis-server, in turn.
func redisHTTP(ctx context.Context, out io.Writer, c *config) error {
	addr, stop, err := startRedis(ctx)
	if err != nil {
		return err
	}
	defer stop()
	return compete(ctx, out, c, addr, redisContenders, []int{1, 16}, "read", "write")
}
