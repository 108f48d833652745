package express

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Session is the Express session of one request, as it was loaded. It is safe
// for concurrent use. The Session of a visitor without an Express session has no
// ID, no user and no properties.
type Session struct {
	x       *Sessions // nil without a session
	id      string
	stored  Stored
	members members
	cookie  cookieOptions
	user    string
}

// ID returns the ID of the Express session, or "" if there is no session. The ID
// is part of the visitor's cookie, so do not log it.
func (s *Session) ID() string { return s.id }

// User returns the user of the session, or "" if nobody is signed in. See
// [WithUser].
func (s *Session) User() string { return s.user }

// Expires returns the time when the session ends without activity in Express. It
// is zero if the session does not end.
func (s *Session) Expires() time.Time { return s.stored.Expires }

// JSON returns a property as JSON text, with numbers as Express has written
// them. It reports false if there is no such property. The first name is the one
// of a property of the session, and each further name is one of the object
// before, as in JSON("passport", "user").
func (s *Session) JSON(property string, path ...string) (json.RawMessage, bool) {
	raw, ok := s.members.get(property)
	for _, name := range path {
		if !ok {
			return nil, false
		}
		inner, err := parseObject(raw)
		if err != nil {
			return nil, false
		}
		raw, ok = inner.get(name)
	}
	return bytes.Clone(raw), ok
}

// Names returns the names of the properties, in the order of Express, without
// cookie.
func (s *Session) Names() (names []string) {
	for _, m := range s.members {
		if m.name != "cookie" {
			names = append(names, m.name)
		}
	}
	return names
}

// Key is the name of a property of Express sessions. T is the Go type of its
// value:
//
//	const cart express.Key[[]Item] = "cart"
//
// Values are encoded and decoded by encoding/json.
type Key[T any] string

// Get returns the property as it was loaded. It reports false if there is no
// such property, or if its value does not fit into T. It logs the latter.
func (k Key[T]) Get(s *Session) (T, bool) {
	var v, zero T
	raw, ok := s.members.get(string(k))
	if !ok {
		return zero, false
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		s.x.log.Warn("express: property does not fit its type; treating it as absent", "property", string(k), "type", fmt.Sprintf("%T", v))
		return zero, false
	}
	return v, true
}

// GetOr is like [Key.Get], but returns def if Get reports false.
func (k Key[T]) GetOr(s *Session, def T) T {
	if v, ok := k.Get(s); ok {
		return v
	}
	return def
}

// End ends the session for Go and for Express. It does nothing if there is no
// session. It first marks the session, then deletes it. If a request of Express that
// is in progress stores the session again, Express knows it again, but
// [Sessions.Load] and [Sessions.Move] do not. They delete it once more.
//
// End does not delete the cookie of the browser. It returns an error that wraps
// [session.ErrUnavailable] if the store failed. The session may still exist then,
// so call End again.
func (s *Session) End(ctx context.Context) error {
	if s.id == "" {
		return nil
	}
	return s.x.end(ctx, s.id)
}

// decode parses a stored session.
func (x *Sessions) decode(id string, stored Stored) (*Session, error) {
	s := &Session{x: x, id: id, stored: stored}
	var err error
	if s.members, err = parseObject(stored.JSON); err != nil {
		return nil, err
	}
	raw, ok := s.members.get("cookie")
	if !ok {
		return nil, fmt.Errorf("%w: it has no cookie", ErrDamaged)
	}
	if s.cookie, err = parseCookieOptions(raw); err != nil {
		return nil, err
	}
	s.members = s.members.withoutReserved()
	return s, nil
}
