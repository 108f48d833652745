package redisstore_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session/redisstore"
	"github.com/holdfast-go/session/redisstore/internal/redisproxy"
	"github.com/holdfast-go/session/redisstore/internal/redisserver"
)

func TestOpen_MalformedURL(t *testing.T) {
	for url, want := range map[string]string{
		"":                                     "the URL is empty",
		" ":                                    "the URL is empty",
		"localhost:6379":                       "malformed",
		"redis://":                             "no host",
		"mongodb://u:hunter2@localhost":        "invalid URL scheme",
		"redis://u:hunter2@localhost:port":     "malformed",
		"redis://u:hunter2@local host":         "malformed",
		"redis://u:hunter2@localhost:1/x":      "invalid database number",
		"redis://u:hunter2@localhost:1?pool=9": "unexpected option",
		"redis://u:hunter2@a:1?addr=b:1&read_only=true":             "read from replicas",
		"redis://u:hunter2@a:1?master_name=m&route_by_latency=true": "read from replicas",
	} {
		_, err := redisstore.Open(t.Context(), url)
		require.ErrorContains(t, err, want, url)
		require.ErrorContains(t, err, "redisstore: ", url)
		require.NotContains(t, err.Error(), "hunter2", url)
	}
}

func TestOpen_OptionsAreChecked(t *testing.T) {
	_, err := redisstore.Open(t.Context(), "", redisstore.WithPrefix(""), redisstore.WithPrefix("{a}"), redisstore.WithLogger(nil),
		redisstore.WithReplicas(0), redisstore.WithMaxInFlight(0), nil)
	for _, want := range []string{"the URL is empty", `WithPrefix("")`, `WithPrefix("{a}")`, "WithLogger", "WithReplicas(0)", "WithMaxInFlight(0)", "option 6 is nil"} {
		require.ErrorContains(t, err, want)
	}
}

// users are users of a server with its default user switched off.
var users = [][]any{
	{"acl", "setuser", "app", "on", ">hunter2", "~session:*", "+@all"},
	{"acl", "setuser", "noscript", "on", ">hunter2", "~session:*", "+@all", "-@scripting"},
	{"acl", "setuser", "readonly", "on", ">hunter2", "~session:*", "+@read", "+@connection", "+eval", "+evalsha"},
	{"acl", "setuser", "otherkeys", "on", ">hunter2", "~cache:*", "+@all"},
	{
		"acl", "setuser", "minimal", "on", ">hunter2", "~session:*", "-@all", "+hello", "+evalsha", "+eval", "+hset", "+hget", "+hmget", "+hkeys", "+hgetall",
		"+hdel", "+exists", "+pexpireat", "+pexpiretime", "+persist", "+del", "+zadd", "+zrange", "+zrem", "+zremrangebyscore", "+scan", "+ping",
	},
}

func TestOpen_UnusableServer(t *testing.T) {
	redisserver.Need(t)
	secured := redisserver.Start(t)
	for _, user := range users {
		secured.Do(user...)
	}
	replica := redisserver.StartSentinel(t)
	full := redisserver.Start(t)
	full.Do("set", "ballast", strings.Repeat("x", 1<<20))
	full.Do("config", "set", "maxmemory", "1mb")
	lonely := redisserver.Start(t)
	empty := redisserver.Start(t, "--cluster-enabled", "yes")
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	as := func(user, password string) string { return "redis://" + user + ":" + password + "@" + secured.Addr }
	for name, c := range map[string]struct {
		url  string
		opts []redisstore.Option
		want string
	}{
		"wrong password":        {url: as("app", "wrong-hunter2"), want: "the user or the password in the URL is wrong"},
		"unknown user":          {url: as("nobody", "hunter2"), want: "the user or the password in the URL is wrong"},
		"no scripts":            {url: as("noscript", "hunter2"), want: "the user lacks a permission"},
		"no writes":             {url: as("readonly", "hunter2"), want: "the user lacks a permission"},
		"other keys":            {url: as("otherkeys", "hunter2"), want: "the user lacks a permission"},
		"replica":               {url: replica.Replica.URL() + "?dial_timeout=1s", want: "the server is a read-only replica"},
		"sentinel":              {url: replica.Sentinel.URL(), want: "the server is a Sentinel; add master_name"},
		"unknown master":        {url: replica.Sentinel.URL() + "?master_name=other&dial_timeout=1s", want: "redisstore: no usable server"},
		"no memory":             {url: full.URL(), want: "OOM"},
		"no replica":            {url: lonely.URL() + "?dial_timeout=5s", opts: []redisstore.Option{redisstore.WithReplicas(1)}, want: "WithReplicas"},
		"cluster without slots": {url: empty.URL() + "?dial_timeout=1s", want: "redisstore: no usable server"},
		"database of a cluster": {url: empty.URL() + "/1?dial_timeout=1s", want: "redisstore: no usable server"},
		"nobody listens":        {url: "redis://u:hunter2@" + nobody.Addr().String() + "?dial_timeout=1s", want: "connection refused"},
		"silent server":         {url: "redis://u:hunter2@" + silent.Addr().String() + "?dial_timeout=1s", want: "no reply in time"},
		"unknown host":          {url: "redis://u:hunter2@host.invalid?dial_timeout=1s", want: "host.invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			done := make(chan error, 1)
			go func() {
				_, err := redisstore.Open(context.Background(), c.url, c.opts...)
				done <- err
			}()
			select {
			case err := <-done:
				require.ErrorContains(t, err, c.want)
				require.NotContains(t, err.Error(), "hunter2")
			case <-time.After(20 * time.Second):
				t.Fatal("Open does not return")
			}
		})
	}
	contract(t, as("minimal", "hunter2")) // the permissions in document.md
}

// An old server cannot be had, so a proxy changes the version that it reports.
func TestOpen_OldServer(t *testing.T) {
	redisserver.Need(t)
	server := redisserver.Start(t)
	proxy := redisproxy.New(t, nil)
	proxy.Replace("redis_version:"+version(server), "redis_version:6"+version(server)[1:])
	_, err := redisstore.Open(t.Context(), "redis://"+proxy.Addr(server.Addr))
	require.ErrorContains(t, err, "the server has version 6"+version(server)[1:]+"; want Redis 7 or later, or Valkey")
}

func version(s *redisserver.Server) string {
	_, text, _ := strings.Cut(s.Do("info", "server").(string), "redis_version:")
	text, _, _ = strings.Cut(text, "\r")
	return text
}

func TestNew_UnusableClient(t *testing.T) {
	redisserver.Need(t)
	node := redisserver.Start(t, "--cluster-enabled", "yes")
	var none *redis.Client
	for want, client := range map[string]redis.UniversalClient{
		"the client is nil":    none,
		"not a *redis.Ring":    redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": node.Addr}}),
		"reads from replicas":  redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{node.Addr}, ReadOnly: true}),
		"use redis.NewCluster": node.Client(),
	} {
		_, err := redisstore.New(t.Context(), client, redisstore.WithLogger(slog.New(slog.DiscardHandler)))
		assert.ErrorContains(t, err, want)
		if client != none {
			client.Close()
		}
	}
	_, err := redisstore.New(t.Context(), nil)
	require.ErrorContains(t, err, "the client is nil")
}

func TestOpen_FindsTheCluster(t *testing.T) {
	redisserver.Need(t)
	cluster := redisserver.StartCluster(t)
	store := open(t, cluster.Nodes[0].URL())
	for range 20 { // on all nodes
		require.NoError(t, store.Insert(t.Context(), newRecord("ann")))
	}
	infos, err := store.List(t.Context(), "ann")
	require.NoError(t, err)
	require.Len(t, infos, 20)
	require.NoError(t, store.Ping(t.Context()))
}

func TestOpen_WarnsAboutEviction(t *testing.T) {
	redisserver.Need(t)
	server := redisserver.Start(t)
	for _, c := range []struct {
		memory, policy string
		warns          bool
	}{
		{"0", "allkeys-lru", false},
		{"100mb", "noeviction", false},
		{"100mb", "allkeys-lru", true},
		{"100mb", "volatile-ttl", true},
	} {
		server.Do("config", "set", "maxmemory", c.memory, "maxmemory-policy", c.policy)
		var log bytes.Buffer
		open(t, server.URL(), redisstore.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		assert.Equal(t, c.warns, strings.Contains(log.String(), "may evict sessions"), "%+v: %s", c, log.String())
	}
}

func TestPing(t *testing.T) {
	redisserver.Need(t)
	server := redisserver.Start(t)
	server.Do("acl", "setuser", "app", "on", ">hunter2", "~session:*", "+@all")
	store := open(t, "redis://app:hunter2@"+server.Addr)
	require.NoError(t, store.Ping(t.Context()))
	server.Kill()
	err := store.Ping(t.Context())
	require.ErrorContains(t, err, "does not reply to a ping")
	require.NotContains(t, err.Error(), "hunter2")
}

// The permissions that document.md gives for a cluster with WithReplicas suffice.
func TestPermissions_Cluster(t *testing.T) {
	redisserver.Need(t)
	cluster := redisserver.StartCluster(t)
	for _, node := range cluster.Nodes {
		node.Do(append(users[len(users)-1], "+cluster|slots", "+command", "+asking", "+wait")...)
	}
	url := strings.Replace(cluster.URL(), "redis://", "redis://minimal:hunter2@", 1)
	contract(t, url, redisstore.WithReplicas(1))
}
