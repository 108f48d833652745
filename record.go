package session

import (
	"bytes"
	"cmp"
	"maps"
	"time"
)

// Info describes a session. It has neither values nor anything secret. Times
// have millisecond precision.
type Info struct {
	// ID identifies the session for its whole life. It is not a credential.
	ID ID

	// User is the user who is signed in. It is empty if the session is
	// anonymous.
	User string

	// CreatedAt is the time when the session began.
	CreatedAt time.Time

	// SignedInAt is the time of the last sign-in. It is zero if nobody has
	// signed in.
	SignedInAt time.Time

	// LastSeenAt is the time of the last recorded activity. Activity is recorded
	// once per touch interval, see [WithTouchInterval].
	LastSeenAt time.Time

	// ExpiresAt is the time when the session ends without further activity. It
	// is not after Deadline.
	ExpiresAt time.Time

	// Deadline is the time when the session ends in any case.
	Deadline time.Time

	// IdleTimeout is the session's own idle timeout, set by
	// [Session.SetTimeouts]. It is zero if the configured one applies.
	IdleTimeout time.Duration

	// ClientIP is the client's address, if [WithClientInfo] is set. Otherwise it
	// is empty.
	ClientIP string

	// UserAgent is the client's User-Agent header, if [WithClientInfo] is set.
	// Otherwise it is empty.
	UserAgent string
}

// Record is the stored form of a session. Only a [Store] and the [Manager] use
// it. A store keeps every field, and need not distinguish nil from empty except
// in Verifier and in [Value.Data].
//
// Not every record is a session. The Manager also stores revocation markers,
// which have neither a user nor a Verifier. Their IDs are UUIDv8, as are those of
// imported sessions (see [Session.Import]).
//
// Record, Change and Guard are plain data. Their methods do no I/O. They are not
// safe for concurrent use while one goroutine changes them.
type Record struct {
	// Info is the part of the record that a list of sessions shows.
	Info

	// Verifier is the SHA-256 of the token's secret. If it is nil, no token
	// opens the session.
	Verifier []byte

	// Salt is the salt from which the last renewal derived the token's secret.
	// It is nil if the token was never renewed.
	Salt []byte

	// RenewedAt is the time of the token's last renewal. It is zero if the token
	// was never renewed.
	RenewedAt time.Time

	// Values holds the session's values by key name. Names are valid UTF-8, not
	// empty and without NUL.
	Values map[string]Value
}

// Value is one encoded value of a session.
type Value struct {
	// Data is the encoded value, any bytes. It may be empty, but the Manager
	// never writes nil. A store returns nil for a value that it has found
	// damaged.
	Data []byte

	// Version identifies this write of the value. It is a random positive number
	// of up to 63 bits and is never used twice.
	Version int64
}

// Guard holds the conditions of a [Change]. A zero field is no condition.
type Guard struct {
	// Verifier requires the record to have this verifier. It is nil or 32 bytes.
	Verifier []byte

	// SeenBefore requires the record's LastSeenAt to be earlier than this time,
	// compared to the millisecond.
	SeenBefore time.Time

	// Versions requires each of its keys to have this version in the record.
	// Version 0 requires the key to be absent. An empty map is no condition.
	Versions map[string]int64
}

// IsZero reports whether g has no conditions.
func (g Guard) IsZero() bool {
	return g.Verifier == nil && g.SeenBefore.IsZero() && len(g.Versions) == 0
}

// Holds reports whether r meets all conditions of g. It is for stores on
// databases without conditional updates. Times are compared to the millisecond.
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

// Change is the argument of a store's Update. Except for If and Replace, a zero
// field leaves the record's field unchanged. Empty maps and slices are like nil.
type Change struct {
	// If holds the conditions under which the change is applied.
	If Guard

	// Set holds the values to write, by key name. No key is in both Set and
	// Unset. Other keys keep their values unless Replace is true.
	Set map[string]Value

	// Unset lists the keys to remove. It may list keys that are absent.
	Unset []string

	// Replace removes all keys that are not in Set. If Replace is true, Unset is
	// empty. Set may be empty too, and the record then has no values.
	Replace bool

	// User is the record's new user. No Change makes a session anonymous again.
	User string

	// Verifier is the record's new verifier. It may be set without Salt, and the
	// record then keeps its salt.
	Verifier []byte

	// Salt is the record's new salt.
	Salt []byte

	// RenewedAt is the new time of the last renewal.
	RenewedAt time.Time

	// SignedInAt is the new time of the last sign-in.
	SignedInAt time.Time

	// LastSeenAt is the new time of the last activity.
	LastSeenAt time.Time

	// ExpiresAt is the new time when the session ends without activity. It may
	// be earlier than the old one.
	ExpiresAt time.Time

	// Deadline is the new time when the session ends in any case.
	Deadline time.Time

	// IdleTimeout points to the session's own idle timeout. If it points to
	// zero, the session has no longer one of its own. If it is nil, the record's
	// is kept.
	IdleTimeout *time.Duration

	// ClientIP is the client's new address.
	ClientIP string

	// UserAgent is the client's new User-Agent header.
	UserAgent string
}

// refresh makes ch write the fields of info, except ID and CreatedAt.
func (ch *Change) refresh(info Info) {
	ch.User, ch.SignedInAt, ch.LastSeenAt = info.User, info.SignedInAt, info.LastSeenAt
	ch.ExpiresAt, ch.Deadline, ch.IdleTimeout = info.ExpiresAt, info.Deadline, &info.IdleTimeout
	ch.ClientIP, ch.UserAgent = info.ClientIP, info.UserAgent
}

// Apply applies ch to r, as a store's Update must do if the guard holds. It is for
// stores on databases without conditional updates. Apply does not check ch.If.
// Afterwards r and ch share slices, so a store in memory must copy r.
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

// clone returns a copy of r that Apply can change without changing r. The copies
// share the slices, which Apply only replaces.
func (r *Record) clone() *Record {
	c := *r
	c.Values = maps.Clone(r.Values)
	return &c
}

// put sets a value. A Value without a version stands for an absent key.
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

// valueOf returns the value of a key. The record may be nil.
func (r *Record) valueOf(name string) (v Value, ok bool) {
	if r != nil {
		v, ok = r.Values[name]
	}
	return v, ok
}

// id returns the record's ID, or the zero ID if r is nil.
func (r *Record) id() ID {
	if r == nil {
		return ID{}
	}
	return r.ID
}
