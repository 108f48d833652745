package session

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"
)

// update is Key.Update: it compares and swaps the version of one value, and
// returns what it stored. A key that this request has pending is swapped there.
func (s *Session) update(ctx context.Context, name string, typ reflect.Type, f func(Value, bool) (Value, error)) (Value, error) {
	s.m.watch(name, typ)
	if err := checkName("key", name); err != nil {
		return Value{}, misuse(keyText(name, typ), err)
	}
	ctx, stop := s.m.bounded(ctx)
	defer stop.release()
	s.mu.Lock()
	lock := lockName{id: s.target().id(), key: name}
	if lock.id.IsZero() {
		lock.session = s
	}
	s.mu.Unlock()
	turn, ok := s.m.locks.acquire(ctx, lock)
	if !ok {
		return Value{}, s.m.explain(ctx, errors.New("other Updates of the key are still waiting for it"))
	}
	defer turn.release()
	sw := swap{name: name, turn: turn, f: func(v Value, ok bool) (Value, error) {
		next, err := f(v, ok)
		if err != nil {
			err = misuse(keyText(name, typ), err)
		}
		return next, err
	}}
	for try := 0; ; try++ {
		stored, err := s.compare(ctx, &sw)
		var undone *undoneError
		if !errors.As(err, &undone) {
			return stored, s.m.explain(ctx, err)
		}
		if !pause(ctx, try, 50*time.Millisecond) {
			return Value{}, s.m.explain(ctx, undone.why)
		}
	}
}

// swap is one Update in all its tries.
type swap struct {
	name string
	turn *keyTurn
	f    func(Value, bool) (Value, error)
	lost []Value // of the tries whose reply was lost
}

// undoneError is a try that was not applied, so that another may be made.
type undoneError struct{ why error }

func (e *undoneError) Error() string { return e.why.Error() }

// compare makes one try. It never holds the session's lock while f runs, which
// may use the session.
func (s *Session) compare(ctx context.Context, sw *swap) (Value, error) {
	s.mu.Lock()
	s.accessed = true
	if s.standing == superseded {
		s.mu.Unlock()
		return Value{}, ErrSuperseded
	}
	rec, folds, turn := s.target(), s.folds(sw.name), sw.turn
	if !folds && turn.last != nil && turn.user == rec.User {
		rec.put(sw.name, *turn.last) // what the one before in the queue wrote
	}
	old, present := s.value(sw.name)
	s.mu.Unlock()

	next, err := sw.f(old, present)
	if err != nil {
		return Value{}, err
	}
	if folds {
		return next, s.fold(sw.name, next)
	}
	if err := s.checkGrowth(rec, sw.name, old, next); err != nil {
		return Value{}, err
	}
	ch := &Change{If: Guard{Versions: map[string]int64{sw.name: old.Version}}, Set: map[string]Value{sw.name: next}}
	err = s.m.store.Update(ctx, rec.ID, ch)
	if errors.Is(err, ErrUncertain) {
		sw.lost = append(sw.lost, next)
	}
	if isLost(err) {
		return s.readBack(ctx, rec, old, sw, err)
	}
	if err == nil {
		s.seen(rec, sw, next)
	}
	return next, err
}

// readBack finds out what became of a try that did not say so. A version is
// never used twice, so to find one tells. Where a reply was lost and what is
// there is neither that nor what was before, nothing tells: it may have been
// applied and overwritten since, or, where the key was absent, deleted.
func (s *Session) readBack(ctx context.Context, rec *Record, old Value, sw *swap, why error) (Value, error) {
	found, err := s.m.store.Load(ctx, rec.ID)
	if err != nil {
		if len(sw.lost) > 0 && !errors.Is(err, ErrNotFound) {
			err = fmt.Errorf("%w: %w", ErrUncertain, err)
		}
		return Value{}, err
	}
	is := found.Values[sw.name]
	for _, v := range sw.lost {
		if is.Version == v.Version {
			s.seen(rec, sw, v)
			return v, nil
		}
	}
	switch {
	case len(sw.lost) > 0 && (old.Version == 0 || is.Version != old.Version):
		return Value{}, ErrUncertain
	case found.User != rec.User:
		return Value{}, ErrSuperseded
	case len(sw.lost) > 0:
		why = ErrUncertain // it seems not to be applied, but may be yet
	}
	s.seen(rec, sw, is)
	return Value{}, &undoneError{why}
}

// folds tells whether an Update is to change the pending state.
func (s *Session) folds(name string) bool {
	_, touched := s.pend.values[name]
	return touched || s.pend.cleared || s.target() == nil
}

func (s *Session) fold(name string, v Value) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return misuse("Update", errEnded)
	}
	if s.answered {
		s.pend.at = callSite()
	}
	return s.put(name, v)
}

// seen takes over a value that is known to be stored.
func (s *Session) seen(rec *Record, sw *swap, v Value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec.put(sw.name, v)
	sw.turn.last, sw.turn.user = &v, rec.User
}
