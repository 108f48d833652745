package session

import "context"

// Watcher is an optional interface of a [Store] whose database can report
// changes. [Session.Ended] uses it. While nobody waits, nothing is watched.
type Watcher interface {
	// Watch reports changes until ctx ends, or until the database no longer
	// reports them. It then returns an error.
	//
	// Watch calls ready once, when it begins to report. It then calls changed
	// with the ID of each record that is deleted, and of each whose Verifier is
	// set. It may report other changes too, and a change more than once. No
	// change after the call of ready is left out before Watch returns, so the
	// caller reads its records again when Watch calls ready.
	//
	// Watch calls ready in the goroutine of its caller, and changed in any one.
	// Both return immediately and do not call the store.
	//
	// If the database cannot report changes at all, Watch returns an error that
	// wraps [errors.ErrUnsupported], and the Manager does not try again.
	Watch(ctx context.Context, ready func(), changed func(ID)) error
}

// BatchLoader is an optional interface of a [Store]. [Session.Ended] uses it to
// read many records with one command.
type BatchLoader interface {
	// LoadBatch returns the records with these IDs that exist, in any order and
	// at most once each. It may leave out their Values. It may return expired
	// records. It returns an error if the database has not replied for all IDs.
	// ids has at most 500 IDs.
	LoadBatch(ctx context.Context, ids []ID) ([]*Record, error)
}
