package session

import (
	"bytes"
	"cmp"
	"maps"
	"time"
)

// Info describes a session. It contains neither its values nor anything secret.
// Times have a precision of one millisecond.
type Info struct {
	ID          ID            // session ID, which never changes
	User        string        // user who is signed in; empty if nobody is signed in
	CreatedAt   time.Time     // time of creation
	SignedInAt  time.Time     // time of the last sign-in; zero before the first one
	LastSeenAt  time.Time     // time of the last recorded activity; see WithTouchInterval
	ExpiresAt   time.Time     // end of the session without further activity
	Deadline    time.Time     // end of the session in any case
	IdleTimeout time.Duration // set by SetTimeouts; zero if the configured one applies
	ClientIP    string        // IP address of the client; empty without WithClientInfo
	UserAgent   string        // User-Agent of the client; empty without WithClientInfo
}

// Record is the stored form of a session. A store keeps every field. It does not
// change fields of a newer version, which it does not know.
type Record struct {
	Info
	Verifier  []byte           // SHA-256 of the token's secret; nil if no token fits
	Salt      []byte           // salt of the last renewal; nil before the first one
	RenewedAt time.Time        // time of the last renewal; zero before the first one
	Values    map[string]Value // values by the names of their keys
}

// Value is one encoded value of a session.
type Value struct {
	Data    []byte // encoded form; nil if the stored data is not a value
	Version int64  // random positive number of this write, never used twice
}

// Guard contains the conditions of a [Change]. A zero field is no condition.
type Guard struct {
	Verifier   []byte           // the record has this Verifier
	SeenBefore time.Time        // the record's LastSeenAt is earlier
	Versions   map[string]int64 // each key has this version; 0 if the key is absent
}

// IsZero reports whether g has no conditions.
func (g Guard) IsZero() bool {
	return g.Verifier == nil && g.SeenBefore.IsZero() && len(g.Versions) == 0
}

// Holds reports whether r meets all conditions of g. It compares times
// truncated to milliseconds.
func (g Guard) Holds(r *Record) bool {
	if g.Verifier != nil && !bytes.Equal(g.Verifier, r.Verifier) {
		return false
	}
	if !g.SeenBefore.IsZero() && !milli(r.LastSeenAt).Before(milli(g.SeenBefore)) {
		return false
	}
	for name, version := range g.Versions {
		v, ok := r.Values[name]
		if ok != (version != 0) || v.Version != version {
			return false
		}
	}
	return true
}

// Change describes an Update of a record. It applies only if its guard holds. A zero
// field leaves the record's field unchanged.
type Change struct {
	If Guard // conditions

	Set     map[string]Value // values to write; no key is also in Unset
	Unset   []string         // keys to remove; empty if Replace is true
	Replace bool             // whether to remove all keys that are not in Set

	User        string         // see Info.User
	Verifier    []byte         // see Record.Verifier
	Salt        []byte         // see Record.Salt
	RenewedAt   time.Time      // see Record.RenewedAt
	SignedInAt  time.Time      // see Info.SignedInAt
	LastSeenAt  time.Time      // see Info.LastSeenAt
	ExpiresAt   time.Time      // see Info.ExpiresAt
	Deadline    time.Time      // see Info.Deadline
	IdleTimeout *time.Duration // see Info.IdleTimeout; nil leaves it unchanged
	ClientIP    string         // see Info.ClientIP
	UserAgent   string         // see Info.UserAgent
}

// refresh makes ch write the description of a record.
func (ch *Change) refresh(info Info) {
	ch.User, ch.SignedInAt, ch.LastSeenAt = info.User, info.SignedInAt, info.LastSeenAt
	ch.ExpiresAt, ch.Deadline, ch.IdleTimeout = info.ExpiresAt, info.Deadline, &info.IdleTimeout
	ch.ClientIP, ch.UserAgent = info.ClientIP, info.UserAgent
}

// Apply changes r as a store's Update does if the guard holds. It does not
// check the guard. It keeps the slices and values of ch rather than copies of
// them.
func (r *Record) Apply(ch *Change) {
	if ch.Replace {
		r.Values = nil
	}
	for _, name := range ch.Unset {
		delete(r.Values, name)
	}
	for name, v := range ch.Set {
		r.put(name, v)
	}
	r.User = cmp.Or(ch.User, r.User)
	r.ClientIP = cmp.Or(ch.ClientIP, r.ClientIP)
	r.UserAgent = cmp.Or(ch.UserAgent, r.UserAgent)
	r.RenewedAt = cmp.Or(ch.RenewedAt, r.RenewedAt)
	r.SignedInAt = cmp.Or(ch.SignedInAt, r.SignedInAt)
	r.LastSeenAt = cmp.Or(ch.LastSeenAt, r.LastSeenAt)
	r.ExpiresAt = cmp.Or(ch.ExpiresAt, r.ExpiresAt)
	r.Deadline = cmp.Or(ch.Deadline, r.Deadline)
	if ch.Verifier != nil {
		r.Verifier = ch.Verifier
	}
	if ch.Salt != nil {
		r.Salt = ch.Salt
	}
	if ch.IdleTimeout != nil {
		r.IdleTimeout = *ch.IdleTimeout
	}
}

// clone returns a copy of r for Apply, with a map of its own.
func (r *Record) clone() *Record {
	c := *r
	c.Values = maps.Clone(r.Values)
	return &c
}

// put sets a value, or deletes it if its version is 0.
func (r *Record) put(name string, v Value) {
	if v.Version == 0 {
		delete(r.Values, name)
		return
	}
	if r.Values == nil {
		r.Values = make(map[string]Value)
	}
	r.Values[name] = v
}

// valueOf returns the value of a key. r may be nil.
func (r *Record) valueOf(name string) (v Value, ok bool) {
	if r != nil {
		v, ok = r.Values[name]
	}
	return v, ok
}

// id returns the ID, or the zero ID if r is nil.
func (r *Record) id() ID {
	if r == nil {
		return ID{}
	}
	return r.ID
}
