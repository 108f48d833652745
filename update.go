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

// update is Key.Update: it compares and swaps the version of one value, and
// returns what it stored. A key that this request has pending is swapped there.
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
		return Value{}, s.m.wrapStoreError(ctx, errors.New("other Updates of the key are still waiting for it"))
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
			return Value{}, s.m.wrapStoreError(ctx, undone.why)
		}
	}
}

// swap is one Update in all its tries.
type swap struct {
	name string
	turn *keyTurn
	f    func(record ID, old Value, present bool) (Value, error)
	sent []Value // by the tries so far, before they were encrypted
	lost bool    // the reply to one of them
}

// undoneError is a try that was not applied, so that another may be made.
type undoneError struct{ why error }

func (e *undoneError) Error() string { return e.why.Error() }

// compare makes one try. It never holds the session's locks while f runs, which
// may use the session.
func (s *Session) tryUpdate(ctx context.Context, sw *swap) (Value, error) {
	s.lock()
	s.accessed = true
	if s.needsSignIn() {
		s.unlock()
		return Value{}, ErrSuperseded
	}
	rec, pending, turn := s.target(), s.updatesPending(sw.name), sw.turn
	if !pending && turn.last != nil && bytes.Equal(turn.verifier, rec.Verifier) {
		rec.put(sw.name, *turn.last) // what the one before in the queue wrote
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

// readBackUpdate finds out what became of a try that did not say so. A version
// is never used twice, so to find one tells. Where a reply was lost and what is
// there is neither that nor what was before, nothing tells: it may have been
// applied and overwritten since, or, where the key was absent, deleted. The
// version counts even if the reply was a conflict: a driver that sends a write
// again, to a server that does not recognize the repetition, gets that reply.
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
		if sw.lost && !errors.Is(err, ErrNotFound) {
			err = uncertain(err)
		}
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
		why = ErrUncertain // it seems not to be applied, but may be yet
	}
	s.rememberStored(id, sw, old, is)
	return Value{}, &undoneError{why}
}

// pending tells whether an Update is to change the pending state.
func (s *Session) updatesPending(name string) bool {
	_, touched := s.pend.values[name]
	return touched || s.pend.cleared > 0 || s.target() == nil
}

// fold puts the result of an Update into the pending state, if that is still as
// the Update has found it. A Save by another goroutine may have stored it in
// between: the result would then overwrite, without a guard, what others have
// made of the stored value.
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

// remember takes over a value that is known to be stored, unless a Reload has
// read another one since the Update began: that one is newer.
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
