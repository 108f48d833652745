package redisstore

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-go/session"
)

var _ session.Inspector = (*Store)(nil)

// scanCount is the number of keys that Redis looks at for one SCAN.
const scanCount = 1000

// inspectFields are the fields of a page of All. The verifier tells a session from
// a revocation marker.
var inspectFields = append([]string{fieldVerifier}, infoFields...)

// Count implements [session.Inspector]. Of a user it reads the sessions through the
// index. Otherwise it reads every key of the database, with SCAN on each primary,
// and then each session.
func (s *Store) Count(ctx context.Context, f session.Filter) (n int64, err error) {
	for _, err := range s.All(ctx, f) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// All implements [session.Inspector]. It first collects the IDs of all sessions, 16
// bytes each, because SCAN returns them in no order. Then it reads pages of 200
// sessions. After a temporary error it tries again until ctx ends.
func (s *Store) All(ctx context.Context, f session.Filter) iter.Seq2[session.Info, error] {
	return func(yield func(session.Info, error) bool) {
		var ids []session.ID
		err := s.do(ctx, passing, func() (err error) {
			ids, err = s.ids(ctx, f)
			return err
		})
		for len(ids) > 0 && err == nil {
			page := ids[:min(len(ids), listBatch)]
			ids = ids[len(page):]
			var records []infoRecord
			err = s.do(ctx, passing, func() (err error) {
				records, err = s.readInfos(ctx, page, inspectFields)
				return err
			})
			for _, rec := range records {
				if err = ctx.Err(); err != nil {
					break
				}
				if f.Matches(&rec.Record) && !yield(rec.Info, nil) {
					return
				}
			}
		}
		if err != nil {
			yield(session.Info{}, err)
		}
	}
}

// ids returns the IDs of the records after f.After in ascending order.
func (s *Store) ids(ctx context.Context, f session.Filter) (ids []session.ID, err error) {
	if f.User != "" {
		members, err := s.members(ctx, f.User)
		if err != nil {
			return nil, err
		}
		ids = idsOf(members)
	} else if ids, err = s.scan(ctx); err != nil {
		return nil, err
	}
	slices.SortFunc(ids, func(a, b session.ID) int { return bytes.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	after, _ := slices.BinarySearchFunc(ids, f.After, func(a, b session.ID) int { return bytes.Compare(a[:], b[:]) })
	return ids[after:], nil
}

// scan returns the IDs of all records, on all primaries.
func (s *Store) scan(ctx context.Context) (ids []session.ID, err error) {
	var mu sync.Mutex
	node := func(ctx context.Context, client *redis.Client) error {
		keys := client.Scan(ctx, 0, s.prefix+"s:*", scanCount).Iterator()
		for keys.Next(ctx) {
			if id, err := session.ParseID(strings.TrimPrefix(keys.Val(), s.prefix+"s:")); err == nil {
				mu.Lock()
				ids = append(ids, id)
				mu.Unlock()
			}
		}
		return keys.Err()
	}
	var found []session.ID
	err = s.wait(ctx, func(ctx context.Context) (err error) {
		switch client := s.client.(type) {
		case *redis.ClusterClient:
			err = client.ForEachMaster(ctx, node)
		case *redis.Client:
			err = node(ctx, client)
		}
		mu.Lock()
		defer mu.Unlock()
		found = ids
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}
