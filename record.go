package session

import (
	"bytes"
	"cmp"
	"maps"
	"time"
)

// Info describes a session without its data or anything secret. Times have
// the precision of a millisecond.
type Info struct {
	ID          ID
	User        string        // empty: anonymous
	CreatedAt   time.Time     // when the record was made
	SignedInAt  time.Time     // the last sign-in; zero: none
	LastSeenAt  time.Time     // activity, as exact as the touch interval
	ExpiresAt   time.Time     // when it ends without further activity
	Deadline    time.Time     // when it ends in any case
	IdleTimeout time.Duration // its own, by SetTimeouts; zero: as configured
	ClientIP    string        // see WithClientInfo
	UserAgent   string        // see WithClientInfo
}

// Record is what a store keeps of a session. A store keeps every field and
// leaves fields that it does not know, of a newer version, as they are.
type Record struct {
	Info
	Verifier  []byte    // SHA-256 of the token's secret; nil: never admitted
	Salt      []byte    // what the last renewal derived the secret with
	RenewedAt time.Time // when the token was last renewed; zero: never
	Values    map[string]Value
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
	SeenBefore time.Time        // LastSeenAt is earlier
	Versions   map[string]int64 // the key has this version; 0: it is absent
}

// IsZero tells whether the guard asks nothing.
func (g Guard) IsZero() bool {
	return g.Verifier == nil && g.SeenBefore.IsZero() && len(g.Versions) == 0
}

// Holds reports whether r meets all conditions of g. Times are compared to the
// millisecond.
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

// Change is what an Update does to a record if its guard holds. Zero fields
// leave the record's as they are.
type Change struct {
	If Guard

	// No key is in both Set and Unset. If Replace is true, Unset is empty.
	Set     map[string]Value // values to write
	Unset   []string         // keys to remove
	Replace bool             // Set is the whole data; all other keys are removed

	User                  string
	Verifier, Salt        []byte
	RenewedAt, SignedInAt time.Time
	LastSeenAt            time.Time
	ExpiresAt, Deadline   time.Time
	IdleTimeout           *time.Duration // zero: as configured again
	ClientIP, UserAgent   string
}

// refresh makes the change write a record's description.
func (ch *Change) refresh(info Info) {
	ch.User, ch.SignedInAt, ch.LastSeenAt = info.User, info.SignedInAt, info.LastSeenAt
	ch.ExpiresAt, ch.Deadline, ch.IdleTimeout = info.ExpiresAt, info.Deadline, &info.IdleTimeout
	ch.ClientIP, ch.UserAgent = info.ClientIP, info.UserAgent
}

// Apply changes r as a store's Update does if the guard holds. It does not check
// the guard. It keeps the slices and values of ch rather than copies of them.
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

// clone copies r as far as Apply changes it in place.
func (r *Record) clone() *Record {
	c := *r
	c.Values = maps.Clone(r.Values)
	return &c
}

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

// valueOf and id serve where there may be no record.
func (r *Record) valueOf(name string) (v Value, ok bool) {
	if r != nil {
		v, ok = r.Values[name]
	}
	return v, ok
}

func (r *Record) id() ID {
	if r == nil {
		return ID{}
	}
	return r.ID
}
