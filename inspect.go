package session

import (
	"bytes"
	"context"
	"iter"
	"time"
)

// Inspector is an optional interface of a [Store], for admin consoles, tools and
// metrics that look at the sessions of all users. The Manager does not use it. A
// program calls it on the store that it has passed to [New].
//
// Inspector includes expired sessions that the database has not removed yet (see
// [Filter]). It never returns or counts a record without a Verifier, such as a
// revocation marker, because no token opens it.
type Inspector interface {
	// Count returns the number of sessions that match f. It may read every
	// record of the database.
	Count(ctx context.Context, f Filter) (int64, error)

	// All returns an iterator over the sessions that match f, in ascending order
	// of their IDs. IDs are compared byte by byte.
	//
	// The iterator reads the sessions in pages and holds nothing in the database
	// between two pages, so the loop may take any time and may call the store.
	// It is not a snapshot. A session that exists and matches f during the whole
	// iteration appears once, and any other session at most once.
	//
	// If the store fails or ctx ends, the iterator yields a zero Info and an
	// error, and stops. A new iterator continues if [Filter.After] is the ID of
	// the last session.
	All(ctx context.Context, f Filter) iter.Seq2[Info, error]
}

// Filter selects sessions for an [Inspector]. A zero field is no condition, so the
// zero Filter selects all sessions. Times are compared to the millisecond.
type Filter struct {
	// User selects the sessions of this user, compared byte by byte.
	User string

	// Kind selects the sessions with a user or without one.
	Kind Kind

	// SeenBefore selects the sessions whose LastSeenAt is earlier than this
	// time.
	SeenBefore time.Time

	// LiveAt selects the sessions whose ExpiresAt is later than this time. Pass
	// the current time to leave out expired sessions. The configured timeouts
	// are not considered, although the Manager applies them to sessions from
	// before a deploy with shorter ones.
	LiveAt time.Time

	// After selects the sessions with a greater ID.
	After ID
}

// Kind selects sessions by their user in a [Filter].
type Kind int8

// The kinds of sessions.
const (
	KindAny       Kind = iota // all sessions
	KindUser                  // sessions of a user who is signed in
	KindAnonymous             // sessions without a user
)

// Matches reports whether r is a session that meets all conditions of f. It
// returns false for a record without a Verifier. It is for stores on databases
// without queries.
func (f Filter) Matches(r *Record) bool {
	switch {
	case r.Verifier == nil:
		return false
	case f.User != "" && r.User != f.User:
		return false
	case f.Kind != KindAny && (f.Kind == KindUser) != (r.User != ""):
		return false
	case !f.SeenBefore.IsZero() && (r.LastSeenAt.IsZero() || !milli(r.LastSeenAt).Before(milli(f.SeenBefore))):
		return false
	case !f.LiveAt.IsZero() && !milli(r.ExpiresAt).After(milli(f.LiveAt)):
		return false
	}
	return f.After.IsZero() || bytes.Compare(f.After[:], r.ID[:]) < 0
}
