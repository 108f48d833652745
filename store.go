package session

import "context"

// Store stores records. It must be atomic per record and safe for concurrent
// use. It needs no clock, because the [Manager] decides which sessions have
// expired.
//
// An error means that the store failed, unless it wraps [ErrNotFound] or
// [ErrConflict]. The Manager never treats it as a missing session. If a write
// may have been applied although it returned an error, this error must wrap
// [ErrUncertain]. The Manager then reads the record to determine the outcome.
//
// The ctx of each method ends with the store timeout, but has no deadline. It
// carries the values of the request's context. Package storetest tests an
// implementation.
type Store interface {
	// Load returns the record with an ID, which may have expired. The caller
	// may change the record. If there is no record, the error wraps
	// [ErrNotFound].
	Load(ctx context.Context, id ID) (*Record, error)

	// Insert stores a new record. It returns [ErrConflict] if there is a
	// record with the same ID.
	Insert(ctx context.Context, rec *Record) error

	// Update applies all of ch or nothing. It checks the conditions in ch.If
	// and applies the change in one atomic step. It never creates a record.
	//
	// If ch.If is zero and the record is missing, Update returns
	// [ErrNotFound]. If a condition does not hold, it returns [ErrConflict].
	// If ch.If is not zero and the record is missing, it returns one of the
	// two.
	//
	// The store must not repeat an Update whose first attempt may have been
	// applied, because another request may have changed the record since. It
	// returns an error that wraps [ErrUncertain] instead.
	Update(ctx context.Context, id ID, ch *Change) error

	// Delete removes the record. It returns nil if the record is known to be
	// gone, also if there was no such record. The store may repeat a Delete.
	Delete(ctx context.Context, id ID) error

	// List describes the sessions of a user in any order, including expired
	// ones. It never includes a record without a user.
	List(ctx context.Context, user string) ([]Info, error)
}

// Confirmer is implemented by a store whose Load may return a write that a
// failover would undo. The Manager calls Confirm instead of Load to determine
// the outcome of a write without a reply.
type Confirmer interface {
	// Confirm is like Load, but the state it returns is as durable as an
	// acknowledged write. It returns an error that wraps [ErrUncertain] if it
	// cannot ensure this.
	Confirm(ctx context.Context, id ID) (*Record, error)
}
