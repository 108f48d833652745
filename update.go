package session

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/holdfast-go/session/internal/backoff"
)

// update implements Key.Update. It compares and swaps the version of one value
// and returns the stored value. If this request has a pending change of the
// key, it changes the pending value instead.
func (s *Session) update(ctx context.Context, name string, typ reflect.Type, f func(record ID, old Value, present bool) (Value, error)) (Value, error) {
	s.m.checkKeyType(name, typ)
	if err := checkName("key", name); err != nil {
		return Value{}, misuse(keyText(name, typ), err)
	}
	ctx, stop := s.m.storeContext(ctx)
	defer stop.release()
	s.mu.Lock()
	lock := lockName{id: s.target().id(), key: name}
	s.mu.Unlock()
	if lock.id.IsZero() {
		lock.session = s
	}
	turn, ok := s.m.locks.acquire(ctx, lock)
	if !ok {
		return Value{}, s.m.wrapStoreError(ctx, errors.New("waiting for other Updates of the key"))
	}
	defer turn.release()
	sw := swap{name: name, turn: turn, f: func(record ID, old Value, present bool) (Value, error) {
		next, err := f(record, old, present)
		if err != nil {
			err = misuse(keyText(name, typ), err)
		}
		return next, err
	}}
	for try := 0; ; try++ {
		stored, err := s.tryUpdate(ctx, &sw)
		var undone *undoneError
		if !errors.As(err, &undone) {
			return stored, s.m.wrapStoreError(ctx, err)
		}
		if !backoff.Wait(ctx, try, 50*time.Millisecond) {
			why := undone.why
			if try == 0 && !errors.Is(why, ErrUncertain) {
				why = errNoTime // one conflict does not mean that others keep changing the value
			}
			return Value{}, s.m.wrapStoreError(ctx, why)
		}
	}
}

var errNoTime = errors.New("no time left for a second attempt")

// swap is one Update with all its attempts.
type swap struct {
	name string
	turn *keyTurn
	f    func(record ID, old Value, present bool) (Value, error)
	sent []Value // values of the attempts so far, before encryption
	lost bool    // the reply to one of them was lost
}

// undoneError is an attempt that was not applied and can be repeated.
type undoneError struct{ why error }

func (e *undoneError) Error() string { return e.why.Error() }

// tryUpdate makes one attempt. It holds no lock of the session while f runs,
// because f may use the session.
//
// turn.last is the value that the previous Update in the queue has stored. It
// replaces the loaded value, so each Update of a queue needs only one command.
// It counts only for the same verifier, because a request must not see values
// that were stored after another token replaced its own.
func (s *Session) tryUpdate(ctx context.Context, sw *swap) (Value, error) {
	s.lock()
	s.accessed = true
	if s.needsSignIn() {
		s.unlock()
		return Value{}, ErrSuperseded
	}
	rec, pending, turn := s.target(), s.updatesPending(sw.name), sw.turn
	if !pending && turn.last != nil && bytes.Equal(turn.verifier, rec.Verifier) {
		rec.put(sw.name, *turn.last)
	}
	old, present := s.value(sw.name)
	var verifier []byte
	if rec != nil {
		verifier = rec.Verifier
	}
	s.unlock()

	next, err := sw.f(rec.id(), old, present)
	if err != nil {
		return Value{}, err
	}
	if pending {
		return next, s.updatePending(sw.name, old, next)
	}
	stored := s.m.protect(rec.ID, sw.name, next)
	if err := s.checkGrowth(rec, sw.name, old, stored); err != nil {
		return Value{}, err
	}
	ch := &Change{If: Guard{Versions: map[string]int64{sw.name: old.Version}}, Set: map[string]Value{sw.name: stored}}
	err = s.m.store.Update(ctx, rec.ID, ch)
	if needsReadBack(err) {
		sw.sent = append(sw.sent, next)
		sw.lost = sw.lost || errors.Is(err, ErrUncertain)
		return s.readBackUpdate(ctx, rec.ID, verifier, old, sw, err)
	}
	if err == nil {
		s.rememberStored(rec.ID, sw, old, stored)
	}
	return next, err
}

// readBackUpdate determines whether an attempt was applied. Versions are never
// reused, so if the record has one of ours, that attempt was applied. If a
// reply was lost and the record has neither one of ours nor the previous
// version, the outcome is unknown. Our write may have been applied and then
// overwritten or, if the key was absent, deleted.
//
// The version is checked after a conflict too. If a driver sends a write twice
// and the server does not recognize the repetition, the reply to the applied
// write is a conflict.
func (s *Session) readBackUpdate(ctx context.Context, id ID, verifier []byte, old Value, sw *swap, why error) (Value, error) {
	var is Value
	var try int
	sent := func(found *Record) bool {
		is = found.Values[sw.name]
		try = slices.IndexFunc(sw.sent, func(v Value) bool { return v.Version == is.Version })
		return try >= 0
	}
	found, err := s.m.readBack(ctx, id, sw.lost, sent)
	if err != nil {
		return Value{}, err
	}
	if sent(found) {
		s.rememberStored(id, sw, old, is)
		return sw.sent[try], nil
	}
	s.lock()
	owned := s.owns(found, verifier)
	s.unlock()
	switch {
	case sw.lost && (old.Version == 0 || is.Version != old.Version):
		return Value{}, ErrUncertain
	case !owned:
		return Value{}, ErrSuperseded
	case sw.lost:
		why = ErrUncertain // not applied so far, but it may be later
	}
	s.rememberStored(id, sw, old, is)
	return Value{}, &undoneError{why}
}

// updatesPending reports whether an Update changes the pending value instead
// of the stored one.
func (s *Session) updatesPending(name string) bool {
	_, touched := s.pend.values[name]
	return touched || s.pend.cleared > 0 || s.target() == nil
}

// updatePending adds the result of an Update to the pending changes if these
// are still as the Update found them. A Save in another goroutine may have
// stored them in between. The result would then overwrite later changes of
// other requests without a guard.
func (s *Session) updatePending(name string, old, next Value) error {
	s.lock()
	defer s.unlock()
	if s.ended {
		return misuse("Update", errEnded)
	}
	if is, _ := s.value(name); !s.updatesPending(name) || is.Version != old.Version {
		return &undoneError{ErrConflict}
	}
	if s.begun {
		s.changedLate()
	}
	return s.put(name, next)
}

// rememberStored takes over a stored value into the record and the queue. It
// does not if a Reload has read another value since the Update began, because
// that value is newer.
func (s *Session) rememberStored(id ID, sw *swap, old, is Value) {
	s.lock()
	defer s.unlock()
	sw.turn.last, sw.turn.verifier = nil, nil
	rec := s.target()
	if rec.id() != id {
		return
	}
	if v, _ := rec.valueOf(sw.name); v.Version == old.Version {
		rec.put(sw.name, is)
		sw.turn.last, sw.turn.verifier = &is, rec.Verifier
	}
}
