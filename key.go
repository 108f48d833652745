package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// Key is the name of a value in sessions. T is the type of the value:
//
//	const cart session.Key[[]Item] = "cart"
//
// Declare each key once, as a constant of the package. A second type for the
// same name panics. A name must be valid UTF-8, not empty and without NUL. The
// methods belong to Key and not to [Session], because methods in Go have no
// type parameters.
//
// T must be a type that the codec can encode and decode. The first use of a
// key panics if the codec cannot store any value of T. For JSON these types
// are channels, functions, interfaces with methods such as error, and structs
// without exported fields or methods for JSON or text.
//
// Set and Update refuse a value if Get could not return it. They refuse a
// value that cannot be encoded or decoded. They refuse a string with invalid
// UTF-8 if the codec changes it, as JSON does. They refuse a non-zero struct
// inside the value if it would come back empty. Unexported fields of other
// structs are not stored. If T is any, or contains any, JSON returns a float64
// for a number and a map[string]any for a struct.
type Key[T any] string

// Get returns a copy of the value, as it was loaded at the start of the
// request and changed by the request since. The copy belongs to the caller.
// Get reports false if the key has no value. It also reports false if the
// value cannot be decoded, and logs this. Get counts as reading the session,
// like [Session.Info].
func (k Key[T]) Get(s *Session) (T, bool) {
	var v, zero T
	if !s.get(string(k), reflect.TypeFor[T](), &v) {
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

// Set sets the value. It encodes v immediately, so later changes of v have no
// effect. The value is pending until the response begins or Save is called. If
// concurrent requests set the same key, the last write wins. Other keys are
// not affected. Set writes the value even if it equals the stored one.
func (k Key[T]) Set(s *Session, v T) {
	s.set(string(k), reflect.TypeFor[T](), &v)
}

// Delete removes the value. The change is pending until the response begins or
// Save is called.
func (k Key[T]) Delete(s *Session) {
	s.unset(string(k), reflect.TypeFor[T]())
}

// Pop returns the value and deletes it, as for a message to show once. It is
// [Key.Get] and [Key.Delete], so two concurrent requests can both get the
// value.
func (k Key[T]) Pop(s *Session) (T, bool) {
	v, ok := k.Get(s)
	if ok {
		k.Delete(s)
	}
	return v, ok
}

// Update replaces the stored value v with f(v) and returns the new value. If
// the key has no value, f receives the zero T. The update is atomic across all
// replicas. Concurrent updates are neither lost nor applied twice.
//
// f may be called several times and must have no other effects. It may read
// the session, but must not call Update. To refuse an update, let f return v
// unchanged and set a variable outside f on each call. Update writes the value
// even if f returns it unchanged.
//
// Update accesses the store immediately and stores only this key. There are
// two exceptions, in which it adds to the pending changes, as Set does. The
// session is not stored yet, or this request has a pending change of the key
// or a pending Clear. So if the first requests of a visitor without a session
// overlap, each of them starts a session, and the client keeps only one of
// them. Update does not observe the end of ctx. The store timeout bounds it.
//
// Update returns
//   - [ErrNotFound] if the session has ended
//   - [ErrConflict] if other requests kept changing the value until the store
//     timeout
//   - [ErrSuperseded] if another request has renewed the token
//   - [ErrTooLarge] if the data would exceed [WithMaxSize]
//   - [ErrUncertain] if the outcome is unknown
//   - [ErrUnavailable] if the store failed
//   - another error if the stored value cannot be decoded, if the new one
//     cannot be encoded, or if the key's name is invalid
//
// After an error other than ErrUncertain, Update has stored nothing.
func (k Key[T]) Update(ctx context.Context, s *Session, f func(T) T) (T, error) {
	var result, zero T
	var encoded Value
	stored, err := s.update(ctx, string(k), reflect.TypeFor[T](), func(record ID, old Value, present bool) (Value, error) {
		var v T
		if present {
			if err := s.m.decodeValue(record, string(k), old, &v); err != nil {
				return Value{}, err
			}
		}
		result = f(v)
		var err error
		encoded, err = s.m.encode(&result)
		return encoded, err
	})
	if err == nil && stored.Version != encoded.Version {
		// The result of an earlier call of f is stored. Its reply was lost.
		result = zero
		err = s.m.decodeValue(ID{}, string(k), stored, &result)
	}
	if err != nil {
		return zero, err
	}
	return result, nil
}

// get decodes the value of a key into v. It reports false if there is no
// value.
func (s *Session) get(name string, typ reflect.Type, v any) bool {
	s.m.checkKeyType(name, typ)
	s.mu.Lock()
	s.accessed = true
	val, ok := s.value(name)
	id := s.target().id()
	s.mu.Unlock()
	if !ok {
		return false
	}
	err := s.m.decodeValue(id, name, val, v)
	if err == nil {
		return true
	}
	s.m.log.WarnContext(s.context(), "session: cannot decode stored value; treating the key as absent",
		"key", name, "type", typ.String(), "error", err, "session", id)
	return false
}

// set encodes the value that v points to and adds it to the pending changes.
func (s *Session) set(name string, typ reflect.Type, v any) {
	s.m.checkKeyType(name, typ)
	val, err := s.m.encode(v)
	s.change(name, typ, func(*pending) error {
		if err != nil {
			return err
		}
		return s.put(name, val)
	})
}

// unset adds the deletion of a key to the pending changes.
func (s *Session) unset(name string, typ reflect.Type) {
	s.m.checkKeyType(name, typ)
	s.change(name, typ, func(*pending) error { return s.put(name, Value{}) })
}

// checkName returns an error if the name of a key or user is invalid.
func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("a %s's name must not be empty", what)
	case strings.IndexByte(name, 0) >= 0:
		return fmt.Errorf("a %s's name must not contain NUL: %q", what, name)
	case !utf8.ValidString(name):
		return fmt.Errorf("a %s's name must be valid UTF-8: %q", what, name)
	}
	return nil
}

// maxWatched limits the memory of typeWatch if a program makes names at run
// time.
const maxWatched = 1000

// typeWatch remembers the type of each key. A key with two types is an error
// of the program, whose values would otherwise appear and disappear.
type typeWatch struct {
	uses     sync.Map // name → keyUse
	count    atomic.Int32
	faithful sync.Map // reflect.Type → bool, see isFaithful
}

// keyUse is the first use of a key.
type keyUse struct {
	typ reflect.Type
	at  string // file and line
}

// checkKeyType panics if the codec cannot store typ, or if the key was used
// with another type.
func (m *Manager) checkKeyType(name string, typ reflect.Type) {
	first, ok := m.types.uses.Load(name)
	if !ok && m.types.count.Load() < maxWatched {
		m.types.count.Add(1)
		if reason := m.cannotStore(typ); reason != "" {
			panic(fmt.Sprintf("session: key %q has type %v, %s (%s)", name, typ, reason, callSite()))
		}
		first, ok = m.types.uses.LoadOrStore(name, keyUse{typ, callSite()})
	}
	if ok && first.(keyUse).typ != typ {
		panic(fmt.Sprintf("session: key %q is used with type %v (%s) and with type %v (%s); declare the key once, or rename one of the two",
			name, first.(keyUse).typ, first.(keyUse).at, typ, callSite()))
	}
}

// cannotStore returns the reason why the codec can store no value of a type,
// or "" if it can.
func (m *Manager) cannotStore(typ reflect.Type) string {
	const cannotEncode = "which the codec cannot encode; store plain data"
	switch typ.Kind() {
	case reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return cannotEncode
	}
	if t := deref(typ); m.isJSON() {
		switch {
		case t.Kind() == reflect.Interface && t.NumMethod() > 0:
			return "an interface, which JSON cannot decode; use a concrete type"
		case t.Kind() == reflect.Struct && isHidden(t) && !hasMethod(t, jsonMethods):
			return "which has no exported fields for JSON to store; export them or give it MarshalJSON and UnmarshalJSON methods"
		}
	}
	// Any other error may concern only the zero value.
	var unsupported *json.UnsupportedTypeError
	if _, err := m.callEncode(reflect.New(typ).Interface()); errors.As(err, &unsupported) {
		return cannotEncode
	}
	return ""
}
