package session

import (
	"context"
	"reflect"
)

// Key is the name of a value in sessions together with its type:
//
//	const cart session.Key[[]Item] = "cart"
//
// Keys of one name must have one type; a second one panics. Names are valid
// UTF-8, not empty and without NUL.
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
// are left alone.
func (k Key[T]) Set(s *Session, v T) {
	s.set(string(k), reflect.TypeFor[T](), v)
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
// like Set.
//
// Errors: [ErrNotFound], the session has ended; [ErrConflict], others kept
// changing the value until the store timeout; [ErrSuperseded]; [ErrTooLarge];
// [ErrUncertain], the reply was lost; else what the store says. But for
// ErrUncertain, nothing was stored.
func (k Key[T]) Update(ctx context.Context, s *Session, f func(T) T) (T, error) {
	var result, zero T
	var encoded Value
	stored, err := s.update(ctx, string(k), reflect.TypeFor[T](), func(old Value, present bool) (Value, error) {
		var v T
		if present {
			if err := s.m.decodeValue(old, &v); err != nil {
				return Value{}, err
			}
		}
		result = f(v)
		var err error
		encoded, err = s.m.encode(result)
		return encoded, err
	})
	if err == nil && stored.Version != encoded.Version {
		// An earlier run of f was stored after all, when its reply was lost.
		result = zero
		err = s.m.decodeValue(stored, &result)
	}
	if err != nil {
		return zero, err
	}
	return result, nil
}
