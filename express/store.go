package express

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Store is where an Express app keeps its sessions. Its methods take the ID of
// the cookie and map it to the key of the session themselves. They must be safe
// for concurrent use, and return when their context ends.
//
// Errors that wrap neither [session.ErrNotFound] nor [ErrDamaged] mean that the
// store failed. They never count as an absent session.
type Store interface {
	// Load returns a session and its mark. It returns [session.ErrNotFound] if
	// Express would find no session, for example because it has expired, and an
	// error that wraps ErrDamaged if there is one that cannot be read.
	Load(ctx context.Context, id string) (Stored, error)

	// Mark records that a session has moved or ended, and returns the mark that
	// the session has afterwards. It replaces MarkMoved by MarkEnded, but never the
	// reverse. The session itself is unchanged and need not exist. A store keeps a
	// mark for at least MarkLife.
	Mark(ctx context.Context, id string, m Mark) (Mark, error)

	// Delete removes a session. It is no error if the session does not exist. The mark stays.
	Delete(ctx context.Context, id string) error

	// Sample returns some sessions for the check in [Open]. It leaves out sessions
	// that it cannot read. If there are sessions and it can read no session, it
	// returns an error that says how to configure the store.
	Sample(ctx context.Context) ([]Stored, error)
}

// Stored is a session as a [Store] returns it.
type Stored struct {
	// JSON is the session as JSON text, as JSON.stringify of the session in
	// Express returns it.
	JSON []byte

	// Expires is the time when the session ends without activity in Express. It
	// is zero if the session does not end.
	Expires time.Time

	// Mark is the mark of the session, or MarkNone.
	Mark Mark

	doc bson.Raw // the document of a MongoStore
}

// Mark is what Go has done with an Express session.
type Mark int

const (
	MarkNone  Mark = iota // nothing
	MarkMoved             // a session of the Manager continues it
	MarkEnded             // it has ended, even if Express stores it again
)

// MarkLife is the minimum time for which a store keeps a mark. Browsers keep no
// cookie for longer (RFC 6265bis, section 5.5).
const MarkLife = 400 * 24 * time.Hour

// ErrDamaged is returned by a [Store] if a session exists but cannot be read. It
// may be cut off, have no cookie, or be encrypted with another secret. The
// package logs it, treats the session as absent and does not change it.
var ErrDamaged = errors.New("express: session cannot be read")
