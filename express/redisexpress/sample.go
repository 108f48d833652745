package redisexpress

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-go/session/express"
)

const (
	sampled = 5    // sessions to look at
	scanned = 20   // SCAN commands for each server
	perScan = 1000 // keys that a SCAN looks at
)

// Sample implements [express.Store]. It looks at some of the keys only, so it may
// find no session although there are some.
func (s *Store) Sample(ctx context.Context) ([]express.Stored, error) {
	keys, err := s.someKeys(ctx)
	if err != nil {
		return nil, err
	}
	var all []express.Stored
	var first error
	for _, key := range keys {
		stored, err := s.Load(ctx, strings.TrimPrefix(key, s.prefix))
		if err == nil && !bytes.HasPrefix(bytes.TrimSpace(stored.JSON), []byte("{")) {
			err = fmt.Errorf("%w: it is not JSON; the option serializer of connect-redis must have its default", express.ErrDamaged)
		}
		if err == nil {
			all = append(all, stored)
		} else if first == nil {
			first = fmt.Errorf("keys %s*: %w", s.prefix, err)
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	return nil, first
}

// someKeys returns the keys of some sessions.
func (s *Store) someKeys(ctx context.Context) (keys []string, err error) {
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		found := make(chan []string, 1)
		found <- nil
		err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
			some, err := s.scan(ctx, c)
			found <- append(<-found, some...)
			return err
		})
		return firstOf(<-found), err
	}
	keys, err = s.scan(ctx, s.client)
	return firstOf(keys), err
}

func firstOf(keys []string) []string { return keys[:min(len(keys), sampled)] }

// scan returns the keys of some sessions of one server.
func (s *Store) scan(ctx context.Context, c redis.Cmdable) (keys []string, err error) {
	pattern := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`).Replace(s.prefix) + "*"
	var cursor uint64
	for range scanned {
		var some []string
		if some, cursor, err = c.Scan(ctx, cursor, pattern, perScan).Result(); err != nil {
			return nil, err
		}
		keys = append(keys, some...)
		if cursor == 0 || len(keys) >= sampled {
			break
		}
	}
	return keys, nil
}
