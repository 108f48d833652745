package redisstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-go/session"
)

// The index of a user is a sorted set. A member is a session ID and a ticket, and
// its score is the deadline of the session. The store adds a member before it
// writes the record, so the index has at least the sessions of the user. The
// ticket makes each member unique, so the store can remove its own member although
// another request has just added one for the same session.
const (
	idSize     = len(session.ID{})
	ticketSize = 8 // time in milliseconds (6 bytes) ‖ random
	memberSize = idSize + ticketSize

	// indexMargin is the time after a deadline in which the index is kept. It is
	// longer than that of the record, because the two may be on different nodes.
	indexMargin = 2 * expiryMargin
	// entryMargin is the time after which a member without a record can be
	// removed. The record of a younger one may still be written.
	entryMargin = time.Hour
	// entryExpiry is the time after its deadline when any write to the index
	// removes a member.
	entryExpiry = 24 * time.Hour
)

// userKey returns the key of a user's index. The name is hashed, so it cannot be
// the name of another key.
func (s *Store) userKey(user string) string {
	sum := sha256.Sum256([]byte(user))
	return s.prefix + "u:" + hex.EncodeToString(sum[:16])
}

func (s *Store) key(id session.ID) string { return s.prefix + "s:" + id.String() }

func newTicket(now time.Time) string {
	var b [2 + ticketSize]byte
	binary.BigEndian.PutUint64(b[:], uint64(now.UnixMilli()))
	rand.Read(b[8:])
	return string(b[2:])
}

// ticketTime returns the time of the writer's clock at which it made a ticket.
func ticketTime(ticket string) time.Time {
	var b [8]byte
	copy(b[2:], ticket[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b[:])))
}

// enlist adds a session to the index of a user. It returns the ticket of the new
// member, or an empty one without a user. If deadline is zero, the index does not
// expire.
func (s *Store) enlist(ctx context.Context, user string, id session.ID, deadline time.Time) (ticket string, err error) {
	if user == "" {
		return "", nil
	}
	ticket = newTicket(time.Now())
	return ticket, s.addMember(ctx, user, string(id[:])+ticket, deadline)
}

func (s *Store) addMember(ctx context.Context, user, member string, deadline time.Time) error {
	score, until := "+inf", ""
	if !deadline.IsZero() {
		score = strconv.FormatInt(deadline.UnixMilli(), 10)
		until = strconv.FormatInt(deadline.Add(indexMargin).UnixMilli(), 10)
	}
	_, err := s.run(ctx, indexScript, s.userKey(user), []any{score, member, until, time.Now().Add(-entryExpiry).UnixMilli()})
	if errors.Is(err, session.ErrUncertain) {
		// The record is not written, so its outcome is certain.
		err = fmt.Errorf("redisstore: index of the user: %w", hidden{err})
	}
	return err
}

// hidden is an error of the index. It is not the outcome of the record's write.
type hidden struct{ error }

// Is hides ErrUncertain.
func (h hidden) Is(target error) bool {
	return target != session.ErrUncertain && errors.Is(h.error, target)
}

// As finds the error behind ErrUncertain, to classify it.
func (h hidden) As(target any) bool { return errors.As(h.error, target) }

// delist removes a member of an index. It is best effort: List ignores a member
// without a record.
func (s *Store) delist(ctx context.Context, user string, id session.ID, ticket string) {
	if user != "" && len(ticket) == ticketSize {
		s.remove(ctx, user, string(id[:])+ticket)
	}
}

func (s *Store) remove(ctx context.Context, user string, members ...any) {
	args := append([]any{"zrem", s.userKey(user)}, members...)
	_ = s.read(ctx, onceCmd{redis.NewCmd(ctx, args...)})
}

// extend moves the deadline of a session in its user's index, for an Update that
// moves the deadline without naming the user.
func (s *Store) extend(ctx context.Context, id session.ID, deadline time.Time) error {
	cmd := onceCmd{redis.NewCmd(ctx, "hmget", s.key(id), fieldUser, fieldTicket)}
	if err := s.read(ctx, cmd); err != nil {
		return err
	}
	owner, err := cmd.Slice()
	if err != nil {
		return err
	}
	user, ticket := ownerOf(owner)
	if user == "" || len(ticket) != ticketSize {
		return nil
	}
	return s.addMember(ctx, user, string(id[:])+ticket, deadline)
}

// ownerOf returns the two strings of a reply, empty ones for nil.
func ownerOf(reply []any) (user, ticket string) {
	if len(reply) >= 2 {
		user, _ = reply[0].(string)
		ticket, _ = reply[1].(string)
	}
	return user, ticket
}
