package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-go/session/internal/backoff"
)

// oldest is the oldest major version of Redis with all commands of the store.
const oldest = 7

// setUp waits for a usable server until the target's timeout. The store must not be
// shared yet.
func (s *Store) setUp(ctx context.Context, t target) error {
	// The context has no deadline, so the error of the last attempt is returned
	// instead of the context's.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(t.timeout, cancel).Stop()
	var last error
	for try := 0; ctx.Err() == nil; try++ {
		err := s.check(ctx, t)
		if err == nil {
			s.setMaxFlight()
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if !passing(err) || !backoff.Wait(ctx, try, time.Second) {
			break
		}
	}
	return explain(last)
}

// check finds out whether the store can use the server. If it is a node of a
// cluster, check replaces the client.
func (s *Store) check(ctx context.Context, t target) error {
	info, err := s.info(ctx)
	if err != nil {
		return err
	}
	if info["redis_mode"] == "sentinel" {
		return errors.New("the server is a Sentinel; add master_name=… to the URL")
	}
	if info["cluster_enabled"] == "1" {
		if err := s.toCluster(t); err != nil {
			return err
		}
	}
	version := info["redis_version"]
	if major, err := strconv.Atoi(before(version, ".")); err == nil && major < oldest {
		return fmt.Errorf("the server has version %s; want Redis %d or later, or Valkey", version, oldest)
	}
	if policy := info["maxmemory_policy"]; policy != "" && policy != "noeviction" && info["maxmemory"] != "0" {
		s.log.WarnContext(ctx, "redisstore: the server may evict sessions and indexes of users; set maxmemory-policy noeviction", "policy", policy)
	}
	_, err = s.run(ctx, probeScript, s.prefix+"probe", nil)
	return err
}

func before(text, separator string) string {
	text, _, _ = strings.Cut(text, separator)
	return text
}

// info returns the server's description of itself. It is empty if the user may not
// ask for it, or if the server does not implement it.
func (s *Store) info(ctx context.Context) (map[string]string, error) {
	cmd := onceCmd{redis.NewCmd(ctx, "info")}
	if err := s.read(ctx, cmd); err != nil {
		if code, ok := code(err); ok && (code == "NOPERM" || code == "ERR") {
			return nil, nil
		}
		return nil, err
	}
	text, _ := cmd.Text()
	info := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info, nil
}

// toCluster replaces the client of a single server by one of its cluster.
func (s *Store) toCluster(t target) error {
	client, single := s.client.(*redis.Client)
	switch {
	case !single:
		return nil
	case !s.owned:
		return errors.New("the server is a node of a cluster; use redis.NewClusterClient")
	case t.cluster == nil:
		return errors.New("the server is a node of a cluster, and the URL has a part that a cluster does not support, such as the number of a database")
	}
	_ = client.Close()
	s.connect(target{cluster: t.cluster})
	return nil
}

// setMaxFlight sets the default of WithMaxInFlight.
func (s *Store) setMaxFlight() {
	if s.maxFlight > 0 {
		return
	}
	pool := 0
	switch client := s.client.(type) {
	case *redis.Client:
		pool = client.Options().PoolSize
	case *redis.ClusterClient:
		pool = client.Options().PoolSize
	}
	s.maxFlight = max(leastFlights, int64(pool)*flightsPerConn)
}

// explain adds the fix to an error of the server.
func explain(err error) error {
	code, _ := code(err)
	if strings.Contains(err.Error(), insideScript) && strings.Contains(err.Error(), "The user executing the script") {
		code = "NOPERM"
	}
	fix := ""
	switch code {
	case "READONLY":
		fix = "the server is a read-only replica; use the address of its primary, or Sentinel"
	case "NOPERM":
		fix = "the user lacks a permission; docs/reference/document.md lists the commands and keys"
	case "NOAUTH":
		fix = "the server requires a password; add user:password@ to the URL"
	case "WRONGPASS":
		fix = "the user or the password in the URL is wrong"
	case "NOSCRIPT":
		fix = "the server runs no scripts"
	}
	if fix != "" {
		return fmt.Errorf("%s: %w", fix, err)
	}
	return err
}
