package redisstore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/backoff"
	"github.com/holdfast-go/session/internal/secrets"
)

// Store is a [session.Store], a [session.Confirmer], a [session.Inspector] and a
// [session.BatchLoader] on Redis. It is safe for concurrent use. All its methods do
// I/O. Reads go to the primary.
//
// A method returns when its context ends, while it waits for a connection, for a
// reply or for another attempt. If a write has been sent by then, its outcome is
// uncertain. The client does not repeat a write of the store, whatever its
// MaxRetries and MaxRedirects.
type Store struct {
	config
	client redis.UniversalClient
	owned  bool   // whether Close closes the client
	url    string // empty after New

	interrupter *interrupter // nil if the client's connections cannot be interrupted
	flight      atomic.Int64
	left        atomic.Int64 // calls in flight whose caller no longer waits
	closed      atomic.Bool
}

var (
	_ session.Store     = (*Store)(nil)
	_ session.Confirmer = (*Store)(nil)
)

// Close refuses further operations. After [Open] it also closes the connections. It
// waits for running operations until ctx ends, and these then fail. A second call
// does nothing.
func (s *Store) Close(ctx context.Context) error {
	if s.closed.Swap(true) {
		return nil
	}
	for try := 0; s.flight.Load() > s.left.Load() && backoff.Wait(ctx, try, 20*time.Millisecond); try++ {
	}
	if !s.owned {
		return nil
	}
	return s.client.Close()
}

// pingTimeout is the time after which Ping gives up.
const pingTimeout = 2 * time.Second

// Ping reports whether the server replies, for a readiness probe. It returns an
// error after two seconds or when ctx ends. The error never contains the password.
// Ping does not count towards [WithMaxInFlight]. In a cluster it asks one node.
//
// Do not use Ping in a liveness probe, because a restart of the app does not repair
// the database.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := s.read(ctx, onceCmd{redis.NewCmd(ctx, "ping")}); err != nil {
		return fmt.Errorf("redisstore: the server does not reply to a ping: %s", secrets.Hide(err, s.url))
	}
	return nil
}

// Load implements [session.Store]. It sends one command, HGETALL. After a temporary
// error it tries again until ctx ends.
func (s *Store) Load(ctx context.Context, id session.ID) (rec *session.Record, err error) {
	key := s.key(id)
	err = s.do(ctx, passing, func() error {
		cmd := recordCmd{redis.NewMapStringStringCmd(ctx, "hgetall", key)}
		if err := s.read(ctx, cmd); err != nil {
			return err
		}
		fields := cmd.Val()
		if len(fields) == 0 {
			return session.ErrNotFound
		}
		rec = decodeRecord(id, fields)
		return nil
	})
	return rec, err
}

// Insert implements [session.Store]. It sends one command, and another one first if
// the record has a user. After a temporary error it tries again until ctx ends,
// unless the record may have been stored.
func (s *Store) Insert(ctx context.Context, rec *session.Record) error {
	return s.do(ctx, unapplied, func() error {
		ticket, err := s.enlist(ctx, rec.User, rec.ID, later(rec.Deadline, rec.ExpiresAt))
		if err != nil {
			return err
		}
		reply, err := s.run(ctx, insertScript, s.key(rec.ID), encodeInsert(rec, ticket))
		switch {
		case err != nil:
			return writeError(err)
		case reply != int64(1):
			s.delist(ctx, rec.User, rec.ID, ticket)
			return session.ErrConflict
		}
		return nil
	})
}

// later returns the later of a deadline and another time, or zero if the deadline
// is zero.
func later(deadline, other time.Time) time.Time {
	if !deadline.IsZero() && other.After(deadline) {
		return other
	}
	return deadline
}

// Update implements [session.Store]. It sends one command, and another one first if
// the change has a user. After a temporary error it tries again until ctx ends,
// unless the change may have been applied.
func (s *Store) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	return s.do(ctx, unapplied, func() error { return s.update(ctx, id, ch) })
}

func (s *Store) update(ctx context.Context, id session.ID, ch *session.Change) error {
	deadline := later(ch.Deadline, ch.ExpiresAt)
	if ch.User == "" && !deadline.IsZero() {
		if err := s.extend(ctx, id, deadline); err != nil {
			return err
		}
	}
	ticket, err := s.enlist(ctx, ch.User, id, deadline)
	if err != nil {
		return err
	}
	reply, err := s.run(ctx, updateScript, s.key(id), encodeChange(ch, ticket))
	if err != nil {
		return writeError(err)
	}
	switch reply := reply.(type) {
	case []any:
		user, before := ownerOf(reply)
		s.delist(ctx, user, id, before)
		return nil
	case int64:
		if reply == 1 {
			return nil
		}
		s.delist(ctx, ch.User, id, ticket)
		if reply == 0 {
			return session.ErrConflict
		}
		return session.ErrNotFound
	}
	return uncertain(errReply)
}

// errReply is returned if a script returns something else than it should.
var errReply = errors.New("redisstore: unknown reply of a script")

// Delete implements [session.Store]. It sends one command, and another one
// afterwards if the record had a user. After a temporary error it tries again
// until ctx ends.
func (s *Store) Delete(ctx context.Context, id session.ID) error {
	return s.do(ctx, passing, func() error {
		reply, err := s.run(ctx, deleteScript, s.key(id), []any{s.replicas > 0})
		if err != nil {
			return writeError(err)
		}
		owner, _ := reply.([]any)
		user, ticket := ownerOf(owner)
		s.delist(ctx, user, id, ticket)
		return nil
	})
}

// Confirm implements [session.Confirmer]. It is like [Store.Load], but it also
// writes without effects. So it reads from a node that accepts writes, and with
// [WithReplicas] the replicas have the returned state. Its error wraps
// [session.ErrNotFound] or [session.ErrUncertain].
func (s *Store) Confirm(ctx context.Context, id session.ID) (*session.Record, error) {
	var reply any
	err := s.do(ctx, passing, func() (err error) {
		reply, err = s.run(ctx, confirmScript, s.key(id), nil)
		return err
	})
	if err != nil {
		return nil, uncertain(err)
	}
	list, _ := reply.([]any)
	if len(list) == 0 {
		return nil, session.ErrNotFound
	}
	fields := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		field, _ := list[i].(string)
		fields[field], _ = list[i+1].(string)
	}
	return decodeRecord(id, fields), nil
}

// writeError converts an error of a write for the Manager.
func writeError(err error) error {
	if isTooLarge(err) {
		return errors.Join(session.ErrTooLarge, err)
	}
	return err
}
