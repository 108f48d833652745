package redisstore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

// errNotAcknowledged is returned if too few replicas have acknowledged a write.
var errNotAcknowledged = errors.New("redisstore: too few replicas acknowledged the write in time; see WithReplicas")

// maxRedirects is the number of MOVED and ASK replies that replicate follows.
const maxRedirects = 3

// replicate sends a write and WAIT on one connection, because WAIT waits for the
// writes of its own connection. In a cluster it finds the node itself, because
// the client would send WAIT to any node.
func (s *Store) replicate(ctx context.Context, key string, cmd onceCmd) error {
	node, err := s.primaryOf(ctx, key)
	if err != nil {
		return err
	}
	ask := false
	for try := 0; ; try++ {
		pipe := node.Pipeline()
		if ask {
			_ = pipe.Process(ctx, redis.NewCmd(ctx, "asking"))
		}
		_ = pipe.Process(ctx, cmd)
		ack := redis.NewIntCmd(ctx, "wait", s.replicas, waitTimeout.Milliseconds())
		_ = pipe.Process(ctx, ack)
		_, execErr := pipe.Exec(ctx)
		err := cmd.Err()
		if err == nil && execErr != nil && ack.Err() == nil {
			err = execErr
		}
		switch addr, moved, asked := redirect(err); {
		case err == nil && ack.Err() != nil:
			return fmt.Errorf("%w: %w", errNotAcknowledged, ack.Err())
		case err == nil && ack.Val() < int64(s.replicas):
			return fmt.Errorf("%w: %d of %d", errNotAcknowledged, ack.Val(), s.replicas)
		case !moved && !asked || try == maxRedirects:
			return err
		default:
			next, nodeErr := s.nodeAt(ctx, addr)
			if nodeErr != nil || next == nil {
				return err
			}
			node, ask = next, asked
		}
	}
}

// redirect returns the address in a MOVED or ASK reply.
func redirect(err error) (addr string, moved, asked bool) {
	if addr, moved = redis.IsMovedError(err); moved {
		return addr, true, false
	}
	addr, asked = redis.IsAskError(err)
	return addr, false, asked
}

// primaryOf returns a client of the node that has the key.
func (s *Store) primaryOf(ctx context.Context, key string) (*redis.Client, error) {
	switch client := s.client.(type) {
	case *redis.ClusterClient:
		return client.MasterForKey(ctx, key)
	case *redis.Client:
		return client, nil
	}
	return nil, errUnknownClient
}

// nodeAt returns a client of the node with the address, or nil if the cluster has
// none. The client may use another address for a node than the node itself. A node
// that has just become a primary is known after the client has read the slots again.
func (s *Store) nodeAt(ctx context.Context, addr string) (*redis.Client, error) {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return nil, nil
	}
	cluster.ReloadState(ctx)
	var mu sync.Mutex
	var found *redis.Client
	err := cluster.ForEachShard(ctx, func(_ context.Context, node *redis.Client) error {
		if node.Options().Addr == addr || node.NodeAddress() == addr {
			mu.Lock()
			defer mu.Unlock()
			found = node
		}
		return nil
	})
	return found, err
}
