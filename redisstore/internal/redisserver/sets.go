package redisserver

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Mini starts a server of miniredis and returns its URL.
func Mini(t testing.TB) string { return "redis://" + miniredis.RunT(t).Addr() }

// Cluster is three primaries, each with a replica.
type Cluster struct {
	// Nodes are the six servers. The first three began as primaries.
	Nodes []*Server
	t     testing.TB
}

// StartCluster starts six servers and makes them a cluster.
func StartCluster(t testing.TB, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	create := []string{"--cluster-yes", "--cluster-replicas", "1", "--cluster", "create"}
	for range 6 {
		s := Start(t, append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--repl-ping-replica-period", "1"}, args...)...)
		c.Nodes = append(c.Nodes, s)
		create = append(create, s.Addr)
	}
	cli := filepath.Join(filepath.Dir(Program()), "redis-cli")
	if out, err := exec.Command(cli, create...).CombinedOutput(); err != nil {
		t.Fatalf("redisserver: redis-cli: %v\n%s", err, out)
	}
	c.AwaitReplicas()
	return c
}

// URL returns the URL of the cluster.
func (c *Cluster) URL() string {
	return c.Nodes[0].URL() + "?addr=" + c.Nodes[1].Addr + "&addr=" + c.Nodes[2].Addr
}

// AwaitReplicas waits until all nodes that run agree on the slots and all replicas
// are connected.
func (c *Cluster) AwaitReplicas() {
	c.t.Helper()
	for _, s := range c.Nodes {
		if !s.Running() {
			continue
		}
		s.Await(func(ctx context.Context, client *redis.Client) bool {
			state := client.ClusterInfo(ctx).Val()
			role := client.Info(ctx, "replication").Val()
			online := strings.Contains(role, "role:master") && strings.Contains(role, "state=online")
			return strings.Contains(state, "cluster_state:ok") && (online || strings.Contains(role, "master_link_status:up"))
		})
	}
}

// Primaries returns the running nodes that are primaries at this moment.
func (c *Cluster) Primaries() (primaries []*Server) {
	for _, s := range c.Nodes {
		if s.Running() && s.IsPrimary() {
			primaries = append(primaries, s)
		}
	}
	return primaries
}

// ReplicaOf returns the replica of a primary.
func (c *Cluster) ReplicaOf(primary *Server) *Server {
	c.t.Helper()
	for _, s := range c.Nodes {
		if s.Running() && strings.Contains(s.Do("info", "replication").(string), "master_port:"+primary.Port()+"\r") {
			return s
		}
	}
	c.t.Fatalf("redisserver: %s has no replica", primary.Addr)
	return nil
}

// Owners returns the primary of a slot and another primary.
func (c *Cluster) Owners(slot int64) (owner, other *Server) {
	c.t.Helper()
	for _, r := range c.Nodes[0].Do("cluster", "slots").([]any) {
		of := r.([]any)
		for _, s := range c.Primaries() {
			if strconv.FormatInt(of[2].([]any)[1].(int64), 10) != s.Port() {
				continue
			}
			if of[0].(int64) <= slot && slot <= of[1].(int64) {
				owner = s
			} else {
				other = s
			}
		}
	}
	return owner, other
}

// ID returns the ID of a node in its cluster.
func (s *Server) ID() string { return s.Do("cluster", "myid").(string) }

// AwaitFailover waits until each slot has a primary that runs.
func (c *Cluster) AwaitFailover() {
	c.t.Helper()
	for _, s := range c.Nodes {
		if s.Running() {
			s.Await(func(ctx context.Context, client *redis.Client) bool {
				return strings.Contains(client.ClusterInfo(ctx).Val(), "cluster_state:ok") && len(c.Primaries()) == 3
			})
		}
	}
}

// Sentinel is a primary and a replica, watched by a Sentinel.
type Sentinel struct {
	// Primary began as the primary, and Replica as its replica.
	Primary, Replica *Server
	// Sentinel watches them as "main".
	Sentinel *Server
}

// StartSentinel starts a primary, its replica and a Sentinel.
func StartSentinel(t testing.TB, args ...string) *Sentinel {
	t.Helper()
	set := &Sentinel{Primary: Start(t, args...)}
	set.Replica = Start(t, append([]string{"--replicaof", "127.0.0.1", set.Primary.Port()}, args...)...)
	set.Replica.Await(func(ctx context.Context, c *redis.Client) bool {
		return strings.Contains(c.Info(ctx, "replication").Val(), "master_link_status:up")
	})
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := "bind 127.0.0.1\nsentinel monitor main 127.0.0.1 " + set.Primary.Port() + " 1\n" +
		"sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set.Sentinel = Start(t, conf, "--sentinel")
	set.Sentinel.Await(func(ctx context.Context, c *redis.Client) bool {
		replicas, _ := c.Do(ctx, "sentinel", "replicas", "main").Slice()
		return len(replicas) == 1
	})
	return set
}

// URL returns the URL of the set.
func (s *Sentinel) URL() string { return s.Sentinel.URL() + "?master_name=main" }
