package session

import "context"

// Store keeps the [Record] of each session. A program opens a Store and passes it
// to [New], and the [Manager] calls its methods. Package storetest checks an
// implementation, and docs/how-to/write-a-store.md shows how to write one.
//
// # Concurrency
//
// A Store is safe for concurrent use. Insert, Update and Delete are atomic. Load
// returns a record as it was at one moment. A write whose method has returned
// nil is durable, and later calls on all replicas of the program see it. So a
// store reads from the primary of a replicated database.
//
// # Errors
//
// A store wraps these errors, and the Manager tests for them with [errors.Is]:
//
//   - [ErrNotFound] if the database has replied and there is no record.
//   - [ErrConflict] if the record exists (Insert) or a guard does not hold
//     (Update).
//   - [ErrTooLarge] if the database refuses the record because of its size.
//   - [ErrUncertain] if a write may have been applied although the method
//     returns an error. For example, the reply to the write or to its commit
//     was lost, or ctx ended while the store waited for the reply. A store
//     returns another error only if the write was certainly not applied.
//
// With any error except ErrUncertain, nothing was stored. The Manager treats a
// session as missing only after ErrNotFound, and any error not listed here as a
// failure of the store. After ErrUncertain the Manager reads the record to find
// out whether the write was applied.
//
// A method returns when ctx ends. If ctx has ended before the call, the method
// does nothing and returns an error other than ErrNotFound and ErrConflict. The
// Manager's ctx ends after the store timeout. It has no deadline and does not
// end with the request.
//
// # Ownership
//
// The caller owns every record and slice that a method returns. A store does not
// change its arguments and does not keep them, or any slice or map in them,
// after it has returned.
//
// # Time
//
// A store does not decide whether a session has expired. The Manager does, by
// its own clock. The store or its database may remove a record some time after
// the record's ExpiresAt. It should wait for 300 seconds by its own clock, which
// may be ahead of the Manager's. Until then all methods treat an expired record
// like any other. A record without ExpiresAt is kept.
//
// Times are kept to the millisecond. The time zone need not be kept.
//
// # Unknown fields
//
// Replicas of two versions of this package may use one database. If a stored
// record has fields from a newer version, Update leaves them unchanged.
type Store interface {
	// Load returns the record with the ID id, or [ErrNotFound] if there is no
	// such record. It may return an expired record.
	Load(ctx context.Context, id ID) (*Record, error)

	// Insert stores a new record. If a record with the same ID exists, Insert
	// leaves it unchanged and returns [ErrConflict].
	Insert(ctx context.Context, rec *Record) error

	// Update applies all of ch if every condition in ch.If holds, and otherwise
	// nothing. Conditions and effects are one atomic step. Update never creates
	// a record. For a missing record it returns [ErrNotFound] if ch.If is zero,
	// and [ErrNotFound] or [ErrConflict] otherwise. It returns [ErrConflict] if
	// a condition does not hold. A Change without effects is checked in the same
	// way.
	//
	// Update must not repeat a write that may have been applied, because another
	// request may have changed the record since. It returns [ErrUncertain]
	// instead.
	Update(ctx context.Context, id ID, ch *Change) error

	// Delete removes the record and all its values. It returns nil if there is
	// no record. It returns nil only if the record is known to be gone. The
	// store may repeat a Delete.
	Delete(ctx context.Context, id ID) error

	// List returns the Info of each session of user, in any order. It compares
	// user byte by byte and includes expired sessions. A record without a user
	// is in no list, so List of the empty user returns no sessions.
	List(ctx context.Context, user string) ([]Info, error)
}

// Confirmer is an optional interface of a [Store]. A store implements it if its
// Load may return a write that a failover would undo. After [ErrUncertain] the
// Manager then calls Confirm instead of Load.
type Confirmer interface {
	// Confirm is like Load, but the record's state, as returned, is as durable
	// as after an acknowledged write. The same holds for [ErrNotFound]. If the
	// store cannot be sure, for example because ctx has ended, Confirm returns
	// [ErrUncertain].
	Confirm(ctx context.Context, id ID) (*Record, error)
}
