package session

import (
	"context"
	"time"
)

// Store keeps records. It is atomic per record, safe for concurrent use and
// holds no clock: the [Manager] judges what has expired. Every error that is
// is neither [ErrNotFound] nor [ErrConflict] means that the store could not
// answer, and is never taken for an absent session. An error that may hide an applied
// write wraps [ErrUncertain]; the Manager then reads back what became of it.
//
// Implementations are proved by the suite in package storetest.
type Store interface {
	// Load returns the record, which the caller then owns, or an error that
	// wraps [ErrNotFound]. It may return a record that has expired.
	Load(ctx context.Context, id ID) (*Record, error)

	// Insert stores a new record, or answers [ErrConflict] if there is one
	// of that ID.
	Insert(ctx context.Context, rec *Record) error

	// Update applies all of ch or nothing, provided that every guard in
	// ch.If holds, atomically with the effects. It never creates a record:
	// without guards a missing one is [ErrNotFound]. With guards, one that
	// does not hold is [ErrConflict], and a missing record is either of the
	// two. An Update without guards may be repeated by the store, one with
	// guards must not be.
	Update(ctx context.Context, id ID, ch *Change) error

	// Delete removes the record; that there is none is no error.
	Delete(ctx context.Context, id ID) error

	// List returns what describes the sessions of a user, in any order,
	// those that have expired too. A record without a user is in no list.
	List(ctx context.Context, user string) ([]Info, error)
}

// Info describes a session without its data or anything secret. Times have
// the precision of a millisecond.
type Info struct {
	ID          ID
	User        string        // empty: anonymous
	Created     time.Time     // when the record was made
	LoggedIn    time.Time     // the last sign-in; zero: none
	LastSeen    time.Time     // activity, as exact as the touch interval
	Expires     time.Time     // when it ends without further activity
	Deadline    time.Time     // when it ends in any case
	IdleTimeout time.Duration // its own, by SetTimeouts; zero: as configured
	ClientIP    string        // see WithClientInfo
	UserAgent   string        // see WithClientInfo
}

// Record is what a store keeps of a session. A store keeps every field and
// leaves fields that it does not know, of a newer version, as they are.
type Record struct {
	Info
	Verifier []byte    // SHA-256 of the token's secret; nil: never admitted
	Salt     []byte    // what the last renewal derived the secret with
	Renewed  time.Time // when the token was last renewed; zero: never
	Values   map[string]Value
}

// Value is one encoded value of a session. Data is nil where what is stored
// cannot be read as a value. Version names this writing of it: a random
// positive number, never used twice.
type Value struct {
	Data    []byte
	Version int64
}

// Guard lists the conditions of a [Change]; zero fields ask nothing.
type Guard struct {
	Verifier   []byte           // the record's verifier is this one
	SeenBefore time.Time        // LastSeen is earlier
	Versions   map[string]int64 // the key has this version; 0: it is absent
}

// IsZero tells whether the guard asks nothing.
func (g Guard) IsZero() bool {
	return g.Verifier == nil && g.SeenBefore.IsZero() && len(g.Versions) == 0
}

// Change is what an Update does to a record if its guard holds. Zero fields
// leave the record's as they are.
type Change struct {
	If Guard

	Set     map[string]Value // values to write
	Unset   []string         // keys to remove
	Replace bool             // Set is the whole data, all other keys go

	User                string
	Verifier, Salt      []byte
	Renewed, LoggedIn   time.Time
	LastSeen            time.Time
	Expires, Deadline   time.Time
	IdleTimeout         *time.Duration // zero: as configured again
	ClientIP, UserAgent string
}
