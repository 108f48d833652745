package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-go/session/internal/backoff"
)

// outcome is the result of a write without a reply.
type outcome int

const (
	unknown outcome = iota
	applied
	notApplied
)

// sendChange stores a change of values. If the reply is lost, it completes the
// change.
func (m *Manager) sendChange(ctx context.Context, rec *Record, ch *Change) error {
	err := m.store.Update(ctx, rec.ID, ch)
	if !errors.Is(err, ErrUncertain) {
		return err
	}
	return m.completeChange(ctx, rec, ch)
}

// completeChange ensures that a change without a reply is applied once. It
// sends the change again only if the record shows that the first attempt was
// not applied. Another request may store an Update after the first attempt.
// The repetition must not undo it, so its guard has the versions just read.
func (m *Manager) completeChange(ctx context.Context, before *Record, ch *Change) error {
	refused := false
	for try := 0; ; try++ {
		found, err := m.confirm(ctx, before.ID)
		if err != nil {
			return err
		}
		switch o := ch.outcome(before, found); {
		case o == applied:
			return nil
		case o == unknown && !refused:
			return ErrUncertain
		case ch.If.Verifier != nil && !bytes.Equal(ch.If.Verifier, found.Verifier):
			return ErrConflict
		}
		again := *ch
		again.If.Versions = ch.versions(found)
		err = m.store.Update(ctx, found.ID, &again)
		if err == nil || !needsReadBack(err) && !errors.Is(err, ErrNotFound) {
			return err
		}
		if !backoff.Wait(ctx, try, 100*time.Millisecond) {
			return uncertain(err)
		}
		before, refused = found, !errors.Is(err, ErrUncertain)
	}
}

// outcome compares the record before ch was sent with the record now. Versions
// are unique. If a key has its version of ch, the change was applied. If a key
// still has its version from before, the change was not applied. An absent key
// which was absent before proves nothing, because another request may have
// deleted it in between.
func (ch *Change) outcome(before, found *Record) outcome {
	o := unknown
	for name, v := range ch.Set {
		was, is := before.Values[name].Version, found.Values[name].Version
		if is == v.Version {
			return applied
		}
		if was != 0 && is == was {
			o = notApplied
		}
	}
	left := 0 // number of keys that ch removes and found has
	for name, v := range found.Values {
		if !ch.removes(name) {
			continue
		}
		left++
		if v.Version == before.Values[name].Version {
			o = notApplied
		}
	}
	if left == 0 && len(ch.Set) == 0 {
		return applied // or another request did the same
	}
	return o
}

// removes reports whether ch removes a key.
func (ch *Change) removes(name string) bool {
	if ch.Replace {
		_, set := ch.Set[name]
		return !set
	}
	return slices.Contains(ch.Unset, name)
}

// versions returns the versions of all keys that ch writes or removes, for a
// guard.
func (ch *Change) versions(found *Record) map[string]int64 {
	on := make(map[string]int64)
	for name := range ch.Set {
		on[name] = found.Values[name].Version
	}
	for _, name := range ch.Unset {
		on[name] = found.Values[name].Version
	}
	if ch.Replace {
		for name, v := range found.Values {
			on[name] = v.Version
		}
	}
	return on
}

// deleteRecord deletes a record. If the reply is lost, it reads the record back.
func (m *Manager) deleteRecord(ctx context.Context, id ID) error {
	err := m.store.Delete(ctx, id)
	if !errors.Is(err, ErrUncertain) {
		return err
	}
	if _, lerr := m.confirm(ctx, id); errors.Is(lerr, ErrNotFound) {
		return nil
	}
	return err
}

// confirm reads a record after a write with an unknown outcome. If the record
// cannot be read, the outcome stays unknown: an error other than ErrNotFound
// wraps ErrUncertain.
func (m *Manager) confirm(ctx context.Context, id ID) (*Record, error) {
	load := m.store.Load
	if c, ok := m.store.(Confirmer); ok {
		load = c.Confirm
	}
	rec, err := load(ctx, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, uncertain(err)
	}
	return rec, err
}

// readBack reads the record after a write that may have been applied. It
// confirms the record if a reply was lost, or if the record shows the write
// although the store has denied it. A failover cannot undo a confirmed state.
func (m *Manager) readBack(ctx context.Context, id ID, lost bool, shows func(*Record) bool) (*Record, error) {
	if !lost {
		found, err := m.store.Load(ctx, id)
		if err != nil || !shows(found) {
			return found, err
		}
	}
	return m.confirm(ctx, id)
}

// uncertain returns an ErrUncertain with the text of err. It does not wrap
// err, because a conflict on the way is not the outcome.
func uncertain(err error) error {
	if err == nil || errors.Is(err, ErrUncertain) {
		return err
	}
	return fmt.Errorf("%w: %v", ErrUncertain, err)
}
