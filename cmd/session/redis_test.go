package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/cmd/session/internal/backend"
	"github.com/holdfast-go/session/cmd/session/internal/doctor"
	"github.com/holdfast-go/session/redisstore"
)

// redisSite is an app with a server of its own.
type redisSite struct {
	url      string
	store    *redisstore.Store
	client   *redis.Client
	sessions *session.Manager
}

// openRedis starts a server with a password.
func openRedis(t *testing.T) *redisSite {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := fmt.Sprint(ln.Addr().(*net.TCPAddr).Port)
	ln.Close()
	cmd := exec.Command(path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes",
		"--dir", t.TempDir(), "--requirepass", "passw0rd")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	s := &redisSite{url: "redis://:passw0rd@127.0.0.1:" + port}
	s.store, err = redisstore.Open(t.Context(), s.url, redisstore.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.store.Close(context.Background()) })
	o, err := redis.ParseURL(s.url)
	require.NoError(t, err)
	s.client = redis.NewClient(o)
	t.Cleanup(func() { _ = s.client.Close() })
	s.sessions, err = session.New(s.store, secret)
	require.NoError(t, err)
	return s
}

// run runs a command line, whose output never has the password.
func (s *redisSite) run(t *testing.T, args ...string) result {
	t.Helper()
	r := execute(t, []string{"REDIS_URL=" + s.url, "SESSION_SECRET=" + strongSecret}, args...)
	require.NotContains(t, r.out+r.err, "passw0rd")
	return r
}

func (s *redisSite) signIn(t *testing.T, user string) session.ID {
	t.Helper()
	sess, err := s.sessions.Load(t.Context(), nil)
	require.NoError(t, err)
	color.Set(sess, "very secret red")
	if user != "" {
		sess.SignIn(user)
	}
	require.NoError(t, sess.Save(t.Context()))
	return sess.ID()
}

// insert stores an anonymous session with a time of the last activity.
func (s *redisSite) insert(t *testing.T, seen time.Time) session.ID {
	t.Helper()
	id := session.ID{0: 1, 6: 0x70, 8: 0x80, 15: byte(recordNumber())}
	require.NoError(t, s.store.Insert(t.Context(), &session.Record{
		Info:     session.Info{ID: id, CreatedAt: seen, LastSeenAt: seen, ExpiresAt: time.Now().Add(day), Deadline: time.Now().Add(day)},
		Verifier: bytes.Repeat([]byte{7}, 32),
	}))
	return id
}

func TestRedis_ListShowRevoke(t *testing.T) {
	s := openRedis(t)
	first, second, visitor := s.signIn(t, "ann"), s.signIn(t, "ann"), s.signIn(t, "")
	r := s.run(t, "list", "ann")
	require.Contains(t, r.out, first.String())
	require.Contains(t, r.out, "2 live sessions of ann")
	r = s.run(t, "show", first.String())
	require.Regexp(t, `(?m)^1 key\n  color  17 B  json\n`, r.out)
	require.NotContains(t, r.out, "secret red")
	require.Equal(t, 1, s.run(t, "show", session.ID{1}.String()).code)
	require.Zero(t, s.run(t, "revoke", first.String()).code)
	require.Zero(t, s.run(t, "revoke", visitor.String()).code)
	for _, id := range []session.ID{first, visitor} {
		_, err := s.store.Load(t.Context(), id)
		require.ErrorIs(t, err, session.ErrNotFound)
	}
	under, err := s.sessions.Load(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, result{"revoked 1 live session of ann\n", "", 0}, s.run(t, "revoke-all", "ann"))
	_, err = s.store.Load(t.Context(), second)
	require.ErrorIs(t, err, session.ErrNotFound)
	under.SignIn("ann")
	require.ErrorIs(t, under.Save(t.Context()), session.ErrRevoked)
}

func TestRedis_CountStatsTop(t *testing.T) {
	s := openRedis(t)
	s.signIn(t, "ann")
	s.signIn(t, "bob")
	s.insert(t, time.Now().Add(-3*day))
	require.Equal(t, result{"live sessions          3\n  signed in            2\n  anonymous            1\nexpired, still stored  0\n", "", 0}, s.run(t, "count"))
	var got stats
	require.NoError(t, json.Unmarshal([]byte(s.run(t, "stats", "--json").out), &got))
	require.Equal(t, int64(2), got.Users)
	require.Equal(t, int64(3), got.Sessions)
	require.Equal(t, int64(3*32)+2*int64(len("ann")+len("color")+len(`"very secret red"`)), got.Bytes)
	var line round
	require.NoError(t, json.Unmarshal([]byte(s.run(t, "top", "-n", "1", "--json").out), &line))
	require.Equal(t, backend.Activity{Started: 2, SignIns: 2}, line.PerMinute)
	require.Equal(t, result{"0 live sessions of ann\n", "", 0}, s.run(t, "list", "ann", "--prefix", "other:"))
}

func TestRedis_Purge(t *testing.T) {
	s := openRedis(t)
	old, fresh, user := s.insert(t, time.Now().Add(-9*day)), s.insert(t, time.Now()), s.signIn(t, "ann")
	require.Equal(t, result{"would delete 1 record; add --yes to delete\n", "", 0}, s.run(t, "purge", "--anonymous-unseen", "7d"))
	require.Equal(t, result{"deleted 1 record\n", "", 0}, s.run(t, "purge", "--anonymous-unseen", "7d", "--yes"))
	_, err := s.store.Load(t.Context(), old)
	require.ErrorIs(t, err, session.ErrNotFound)
	for _, id := range []session.ID{fresh, user} {
		_, err := s.store.Load(t.Context(), id)
		require.NoError(t, err)
	}
	require.Equal(t, result{"deleted 0 records\n", "", 0}, s.run(t, "purge", "--expired", "--yes"))
}

// A request uses a session after the purge has found it.
func TestRedis_PurgeKeepsASessionUsedInTheMeantime(t *testing.T) {
	s := openRedis(t)
	ids := []session.ID{s.insert(t, time.Now().Add(-9*day)), s.insert(t, time.Now().Add(-9*day))}
	r, err := backend.OpenRedis(t.Context(), s.url)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close(t.Context())) }()
	used := session.ID{}
	done, err := r.Purge(t.Context(), backend.Purge{AnonymousUnseen: time.Now().Add(-day)}, func(n int64) {
		if n > 1 {
			return
		}
		for _, id := range ids { // the second one, whichever it is
			if _, err := s.store.Load(t.Context(), id); err == nil {
				used = id
				require.NoError(t, s.store.Update(t.Context(), id, &session.Change{LastSeenAt: time.Now()}))
			}
		}
	})
	require.NoError(t, err)
	require.Equal(t, backend.Purged{Deleted: 1, Kept: 1}, done)
	_, err = s.store.Load(t.Context(), used)
	require.NoError(t, err)
}

func TestRedis_NoIndexesAndNoChanges(t *testing.T) {
	s := openRedis(t)
	require.Equal(t, result{"", "session: MONGO_URI is not set; only MongoDB needs indexes\n", 2}, s.run(t, "indexes", "check"))
	r := s.run(t, "watch")
	require.Equal(t, 2, r.code)
	require.Contains(t, r.err, "Redis does not report changes of sessions")
}

func TestRedis_Doctor(t *testing.T) {
	s := openRedis(t)
	check := func() (int, map[string]doctor.Status) {
		r := s.run(t, "doctor", "--json", "--rounds", "3")
		var got report
		require.NoError(t, json.Unmarshal([]byte(r.out), &got), "%s%s", r.out, r.err)
		by := map[string]doctor.Status{}
		for _, f := range got.Findings {
			by[f.Check] = f.Status
		}
		return r.code, by
	}
	code, by := check()
	require.Equal(t, 1, code)
	require.Equal(t, map[string]doctor.Status{
		"connection": doctor.OK, "version": doctor.OK, "topology": doctor.Warning, "persistence": doctor.OK, "eviction": doctor.OK,
		"clock": doctor.OK, "round trip": doctor.OK, "secret": doctor.OK,
	}, by)
	keys, err := s.client.DBSize(t.Context()).Result()
	require.NoError(t, err)
	require.Zero(t, keys, "no probe remains")

	require.NoError(t, s.client.ConfigSet(t.Context(), "maxmemory", "100mb").Err())
	require.NoError(t, s.client.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err())
	require.NoError(t, s.client.ConfigSet(t.Context(), "appendonly", "no").Err())
	code, by = check()
	require.Equal(t, 2, code)
	require.Equal(t, doctor.Failure, by["eviction"])
	require.Equal(t, doctor.Warning, by["persistence"])

	require.NoError(t, s.client.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())
	require.NoError(t, s.client.ConfigSet(t.Context(), "maxmemory", "1mb").Err())
	code, by = check()
	require.Equal(t, 2, code, "the memory is full")
	require.Equal(t, map[string]doctor.Status{"connection": doctor.Failure, "secret": doctor.OK}, by)
}
