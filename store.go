package session

import "context"

// Store keeps records. It is atomic per record, safe for concurrent use and
// holds no clock: the [Manager] judges what has expired. Every error that
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
	// two. With or without guards, the store must not repeat an Update that
	// may have been applied, because another request may have changed the
	// record since. It returns an error that wraps [ErrUncertain].
	Update(ctx context.Context, id ID, ch *Change) error

	// Delete removes the record. It is no error if there is none. A nil error
	// means that the record is known to be gone. The store may repeat a
	// Delete.
	Delete(ctx context.Context, id ID) error

	// List returns what describes the sessions of a user, in any order,
	// those that have expired too. A record without a user is in no list.
	List(ctx context.Context, user string) ([]Info, error)
}

// Confirmer is implemented by a store whose Load may return a write that a
// failover would undo. The Manager calls Confirm instead of Load to find out
// whether a write without a reply has been applied.
type Confirmer interface {
	// Confirm is Load for a record whose state, as returned, is as durable as
	// an acknowledged write. If it cannot be sure of that, it returns an error
	// that wraps [ErrUncertain].
	Confirm(ctx context.Context, id ID) (*Record, error)
}
