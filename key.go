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

// Key is the name of a value in sessions together with its type:
//
//	const cart session.Key[[]Item] = "cart"
//
// Keys of one name must have one type; a second one panics. Names are valid
// UTF-8, not empty and without NUL.
//
// T must be a type that the codec can encode and decode. The first use of a
// key panics if the codec can store no value of T. For JSON these are channels,
// functions, interfaces with methods such as error, and structs without
// exported fields or methods for JSON or text.
//
// Set and Update refuse a value that Get could not return: one that cannot be
// encoded or decoded, a string that is not valid UTF-8 if the codec changes it
// as JSON does, and a non-zero struct inside the value that would come back
// empty. Unexported fields of other structs are not stored. If T is any, or
// contains any, JSON returns a float64 for a number and a map[string]any for a
// struct.
type Key[T any] string

// Get returns a fresh copy of the value, as loaded at the start of the request
// and changed by it since. A value that cannot be decoded is absent, and
// logged.
func (k Key[T]) Get(s *Session) (T, bool) {
	var v, zero T
	if !s.get(string(k), reflect.TypeFor[T](), &v) {
		return zero, false
	}
	return v, true
}

// GetOr returns the value or, where there is none, def.
func (k Key[T]) GetOr(s *Session, def T) T {
	if v, ok := k.Get(s); ok {
		return v
	}
	return def
}

// Set stores v with the response. It encodes v now, so that later changes to
// what v points to change nothing. The last write of a key wins; other keys
// are left alone. Setting a value equal to the stored one is a write too.
func (k Key[T]) Set(s *Session, v T) {
	s.set(string(k), reflect.TypeFor[T](), &v)
}

// Delete removes the value with the response.
func (k Key[T]) Delete(s *Session) {
	s.unset(string(k), reflect.TypeFor[T]())
}

// Pop returns the value and deletes it: for messages that show once.
func (k Key[T]) Pop(s *Session) (T, bool) {
	v, ok := k.Get(s)
	if ok {
		k.Delete(s)
	}
	return v, ok
}

// Update stores f of the stored value (the zero T where there is none), now
// and atomically: of parallel updates on any number of replicas none is lost
// and none is applied twice. f may run more than once and has no side effects.
// A value that cannot be decoded is an error and stays as it is. After a Set,
// Delete or Clear of the request, or where nothing is stored yet, Update is
// like Set. So if the first requests of a visitor without a session overlap,
// each of them starts a session and only one of their Updates is kept.
//
// Errors: [ErrNotFound], the session has ended; [ErrConflict], others kept
// changing the value until the store timeout; [ErrSuperseded]; [ErrTooLarge];
// [ErrUncertain], the reply was lost; else what the store says. But for
// ErrUncertain, nothing was stored.
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
		// An earlier run of f was stored after all, when its reply was lost.
		result = zero
		err = s.m.decodeValue(ID{}, string(k), stored, &result)
	}
	if err != nil {
		return zero, err
	}
	return result, nil
}

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
	s.m.log.WarnContext(s.context(), "session: a value is taken for absent",
		"key", name, "type", typ.String(), "error", err, "session", id)
	return false
}

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

func (s *Session) unset(name string, typ reflect.Type) {
	s.m.checkKeyType(name, typ)
	s.change(name, typ, func(*pending) error { return s.put(name, Value{}) })
}

func keyText(name string, typ reflect.Type) string {
	if typ == nil {
		return name // a method's
	}
	return fmt.Sprintf("key %q (%v)", name, typ)
}

// checkName tells what is wrong with a key's or user's name.
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

// maxWatched bounds what typeWatch keeps where names are made at run time.
const maxWatched = 1000

// typeWatch remembers the type of each key: a key of two types is a fault of
// the program that otherwise shows as values that come and go.
type typeWatch struct {
	uses     sync.Map // name → keyUse
	count    atomic.Int32
	faithful sync.Map // reflect.Type → bool, see isFaithful
}

type keyUse struct {
	typ reflect.Type
	at  string
}

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
		panic(fmt.Sprintf("session: key %q is used with type %v (%s) and with type %v (%s); declare it once, or name one of them otherwise",
			name, first.(keyUse).typ, first.(keyUse).at, typ, callSite()))
	}
}

// cannotStore returns why the codec can store no value of a type, or "".
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
