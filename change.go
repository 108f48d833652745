package session

import (
	"errors"
	"fmt"
	"reflect"
)

// Causes of invalid calls.
var (
	errJob   = errors.New("a session from LoadID has no token; do it in a request of the user")
	errEnded = errors.New("the request's handler has returned; use Manager.LoadID and Save")
)

// notJob returns an error if s comes from LoadID.
func (s *Session) notJob() error {
	if s.standing == job {
		return errJob
	}
	return nil
}

// lock takes both locks, as a writer of a field must.
func (s *Session) lock() {
	s.turn.Lock()
	s.mu.Lock()
}

// unlock releases both locks.
func (s *Session) unlock() {
	s.mu.Unlock()
	s.turn.Unlock()
}

// change runs f on the pending changes. The caller holds no lock. name and
// typ describe the call in its error (see keyText).
func (s *Session) change(name string, typ reflect.Type, f func(p *pending) error) {
	if err := s.changeOpen(name, typ, f); err != nil {
		s.m.reportLost(s.context(), err)
	}
}

// changeOpen is change without a report. It returns an error if the handler
// has returned.
func (s *Session) changeOpen(name string, typ reflect.Type, f func(p *pending) error) error {
	s.lock()
	defer s.unlock()
	if s.ended {
		err := misuse(keyText(name, typ), errEnded)
		s.pend.invalid = errors.Join(s.pend.invalid, err)
		return err
	}
	s.accessed = true
	if err := f(&s.pend); err != nil {
		s.pend.invalid = errors.Join(s.pend.invalid, misuse(keyText(name, typ), err))
	}
	if s.begun {
		s.changedLate()
	}
	return nil
}

// keyText describes a key, or the method of this name if typ is nil.
func keyText(name string, typ reflect.Type) string {
	if typ == nil {
		return name
	}
	return fmt.Sprintf("key %q (%v)", name, typ)
}
