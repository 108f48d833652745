// Package redisexpress reads the sessions that an Express app keeps in Redis with
// connect-redis, for package express:
//
//	store, err := redisexpress.New(client)
//	// handle err
//	old, err := express.Open(ctx, store, os.Getenv("EXPRESS_SECRET"))
//
// The sessions can be moved, read and ended, but not written, because a value in
// Redis is the whole session. The versions 8 to 10 of connect-redis store the same
// values. The option serializer of connect-redis must have its default.
package redisexpress

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/express"
)

// Store is an [express.Store] for the sessions of connect-redis. It is safe for
// concurrent use. It deletes single sessions and does not change them. The marks have keys of
// their own.
type Store struct {
	client redis.UniversalClient
	prefix string
	marks  string
}

var _ express.Store = (*Store)(nil)

// Option sets an option of [New].
type Option func(*Store) error

// WithPrefix sets the prefix of the keys, as the option prefix of connect-redis does.
// If the client of Express has a prefix of its own, such as keyPrefix of ioredis, it
// comes first. The default is sess:, as in connect-redis.
func WithPrefix(prefix string) Option {
	return func(s *Store) error {
		s.prefix = prefix
		return nil
	}
}

// WithMarkPrefix sets the prefix of the keys of the marks. The prefix of the sessions
// follows it. The default is express-mark:. Delete the keys with this prefix when
// Express is no longer used.
func WithMarkPrefix(prefix string) Option {
	return func(s *Store) error {
		if s.marks = prefix; prefix == "" {
			return errors.New("redisexpress: WithMarkPrefix(\"\"): leave the option out for the default")
		}
		return nil
	}
}

// New returns a store for the sessions that connect-redis keeps in the server of a
// client. It does no I/O. The caller closes the client.
func New(client redis.UniversalClient, opts ...Option) (*Store, error) {
	s := &Store{client: client, prefix: "sess:", marks: "express-mark:"}
	var errs []error
	if client == nil {
		errs = append(errs, errors.New("redisexpress: New: the client is nil"))
	}
	for i, opt := range opts {
		if opt == nil {
			errs = append(errs, fmt.Errorf("redisexpress: New: option %d is nil", i+1))
			continue
		}
		errs = append(errs, opt(s))
	}
	return s, errors.Join(errs...)
}

// Load implements [express.Store].
func (s *Store) Load(ctx context.Context, id string) (express.Stored, error) {
	key := s.prefix + id
	text, err := s.client.Get(ctx, key).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return express.Stored{}, session.ErrNotFound
	case isWrongType(err):
		return express.Stored{}, fmt.Errorf("%w: the value is not a string", express.ErrDamaged)
	case err != nil:
		return express.Stored{}, err
	}
	left, err := s.client.PTTL(ctx, key).Result()
	if err != nil {
		return express.Stored{}, err
	}
	stored := express.Stored{JSON: text}
	if left > 0 { // otherwise the key has no end, or it has just ended
		stored.Expires = time.Now().Add(left)
	}
	stored.Mark, err = s.markOf(ctx, id)
	return stored, err
}

func isWrongType(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "WRONGTYPE") }

// Values of a mark's key.
const (
	moved = "moved"
	ended = "ended"
)

// Mark implements [express.Store].
func (s *Store) Mark(ctx context.Context, id string, m express.Mark) (express.Mark, error) {
	key := s.marks + s.prefix + id
	if m == express.MarkEnded {
		if err := s.client.Set(ctx, key, ended, express.MarkLife).Err(); err != nil {
			return express.MarkNone, err
		}
	} else if err := s.client.SetNX(ctx, key, moved, express.MarkLife).Err(); err != nil {
		return express.MarkNone, err
	}
	return s.markOf(ctx, id)
}

// markOf returns the mark of a session.
func (s *Store) markOf(ctx context.Context, id string) (express.Mark, error) {
	switch value, err := s.client.Get(ctx, s.marks+s.prefix+id).Result(); {
	case errors.Is(err, redis.Nil):
		return express.MarkNone, nil
	case err != nil:
		return express.MarkNone, err
	case value == ended:
		return express.MarkEnded, nil
	default:
		return express.MarkMoved, nil
	}
}

// Delete implements [express.Store].
func (s *Store) Delete(ctx context.Context, id string) error {
	return s.client.Del(ctx, s.prefix+id).Err()
}
