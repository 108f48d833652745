// Package backend gives the commands access to the sessions of all users. The
// Manager of package session needs less than this from a store.
package backend

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-go/session"
)

// Backend is a store with the operations of the commands. A backend is safe for
// concurrent use.
type Backend interface {
	session.Store

	// Address describes the location of the sessions, without a password.
	Address() string

	// Now returns the earlier of the times of the server and of this machine.
	Now(ctx context.Context) (time.Time, error)

	// Each calls f for each record, in any order, until f returns an error. It
	// includes expired records and revocation markers.
	Each(ctx context.Context, f func(Entry) error) error

	// Estimate returns the approximate number of records.
	Estimate(ctx context.Context) (int64, error)

	// Count counts the records at a time.
	Count(ctx context.Context, now time.Time) (Counts, error)

	// Activity counts the records that changed between two times.
	Activity(ctx context.Context, since, now time.Time) (Activity, error)

	// Matches returns the number of records that a purge would delete.
	Matches(ctx context.Context, p Purge) (int64, error)

	// Purge deletes the records. It calls progress after each batch with the
	// number of records examined so far. A record that no longer matches at its
	// deletion is kept.
	Purge(ctx context.Context, p Purge, progress func(examined int64)) (Purged, error)

	// Watch calls f for each change until ctx ends or f returns an error. It
	// returns ErrNoWatch if the database does not report changes.
	Watch(ctx context.Context, f func(Change) error) error

	// Close closes the connections.
	Close(ctx context.Context) error
}

// ErrNoWatch is returned by Watch if the database does not report changes.
var ErrNoWatch = errors.New("the server has no change streams; they need a replica set or a sharded cluster. Use the command top instead")

// Entry is a record without its values.
type Entry struct {
	session.Info

	// Marker reports whether the record is a revocation marker.
	Marker bool

	// Size is the size of the stored record in bytes.
	Size int
}

// Counts are numbers of records.
type Counts struct {
	// Sessions is the number of sessions that have not expired.
	Sessions int64 `json:"sessions"`

	// SignedIn is the number of these sessions with a user.
	SignedIn int64 `json:"signedIn"`

	// Anonymous is the number of these sessions without a user.
	Anonymous int64 `json:"anonymous"`

	// Expired is the number of expired sessions that are still stored.
	Expired int64 `json:"expired"`

	// Markers is the number of revocation markers. It is nil if the store does not
	// list them.
	Markers *int64 `json:"markers,omitempty"`
}

// Activity counts the sessions by the times in their records.
type Activity struct {
	// Started is the number of sessions that began.
	Started int64 `json:"started"`

	// SignIns is the number of sessions whose last sign-in was in the period.
	SignIns int64 `json:"signIns"`

	// Expired is the number of sessions that expired.
	Expired int64 `json:"expired"`
}

// Purge selects the records to delete. Exactly one field is set.
type Purge struct {
	// Expired selects the sessions and markers that expired before this time.
	Expired time.Time

	// AnonymousUnseen selects the sessions without a user whose last recorded
	// activity was before this time.
	AnonymousUnseen time.Time
}

// Purged is the result of a Purge.
type Purged struct {
	// Deleted is the number of deleted records.
	Deleted int64 `json:"deleted"`

	// Kept is the number of records that no longer matched at their deletion,
	// or that another process deleted.
	Kept int64 `json:"kept"`
}

// Change is a change of a record, without values.
type Change struct {
	// Time is the time of the change.
	Time time.Time `json:"time"`

	// Kind is start, sign-in, renewal, save, activity, end, revocation or other.
	Kind string `json:"kind"`

	// ID is the session ID.
	ID session.ID `json:"id"`

	// User is the user, if it is known.
	User string `json:"user,omitempty"`

	// Keys are the names of the keys that were set or deleted.
	Keys []string `json:"keys,omitempty"`
}
