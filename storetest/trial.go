package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-go/session"
)

// tb is the part of [testing.TB] that a trial uses. Only package testing can
// implement testing.TB, and the suite's own tests need an implementation which
// records a failure instead of failing.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
	Context() context.Context
}

// trial tests one rule. Its methods end it if they fail, so only its own
// goroutine may call them.
type trial struct {
	tb
	rule  string
	store session.Store
	now   time.Time // in whole seconds, because one rule tests milliseconds
}

func newTrial(t tb, rule string, s session.Store) *trial {
	return &trial{t, rule, s, time.Now().UTC().Truncate(time.Second)}
}

// Fatalf adds the rule to the message.
func (t *trial) Fatalf(format string, args ...any) {
	t.Helper()
	t.tb.Fatalf("broken rule: %s: %s", t.rule, fmt.Sprintf(format, args...))
}

func (t *trial) insert(rec *session.Record) {
	t.Helper()
	if err := t.store.Insert(t.Context(), rec); err != nil {
		t.Fatalf("Insert: %v", err)
	}
}

// inserted stores a record without zero fields and returns it.
func (t *trial) inserted() *session.Record {
	t.Helper()
	rec := t.record()
	t.insert(rec)
	return rec
}

func (t *trial) load(id session.ID) *session.Record {
	t.Helper()
	rec, err := t.store.Load(t.Context(), id)
	if err != nil || rec == nil {
		t.Fatalf("Load of a stored record: %v, error %v", rec, err)
	}
	return rec
}

func (t *trial) update(id session.ID, ch *session.Change) {
	t.Helper()
	if err := t.store.Update(t.Context(), id, ch); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

func (t *trial) delete(id session.ID) {
	t.Helper()
	if err := t.store.Delete(t.Context(), id); err != nil {
		t.Fatalf("Delete: %v", err)
	}
}

func (t *trial) list(user string) []session.Info {
	t.Helper()
	infos, err := t.store.List(t.Context(), user)
	if err != nil {
		t.Fatalf("List(%q): %v", user, err)
	}
	return infos
}

// stored fails unless Load returns a record equal to want.
func (t *trial) stored(want *session.Record, after string) {
	t.Helper()
	if d := diff(t.load(want.ID), want); d != "" {
		t.Fatalf("after %s: %s", after, d)
	}
}

// gone fails if the record exists. It accepts a nil record without an error,
// which another rule forbids, so that such a store breaks only that rule.
func (t *trial) gone(id session.ID, after string) {
	t.Helper()
	rec, err := t.store.Load(t.Context(), id)
	if rec != nil {
		t.Fatalf("after %s the record exists", after)
	}
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		t.Fatalf("after %s: Load: %v, want ErrNotFound", after, err)
	}
}

// holds fails unless an Update with the guard is applied.
func (t *trial) holds(id session.ID, g session.Guard, what string) {
	t.Helper()
	v := t.value("guarded")
	ch := &session.Change{If: g, Set: map[string]session.Value{"guarded": v}}
	if err := t.store.Update(t.Context(), id, ch); err != nil {
		t.Fatalf("Update with a guard that holds (%s): %v", what, err)
	}
	if got := t.load(id).Values["guarded"]; got.Version != v.Version {
		t.Fatalf("Update with a guard that holds (%s) was not applied", what)
	}
}

// refused fails unless an Update with the guard returns ErrConflict.
func (t *trial) refused(id session.ID, g session.Guard, what string) {
	t.Helper()
	ch := &session.Change{If: g, Set: map[string]session.Value{"guarded": t.value("guarded")}}
	if err := t.store.Update(t.Context(), id, ch); !errors.Is(err, session.ErrConflict) {
		t.Fatalf("Update with a guard that does not hold (%s): error %v, want ErrConflict", what, err)
	}
}

// atOnce runs f(0) to f(n-1) in goroutines that begin together, and returns
// their results.
func atOnce(n int, f func(i int) error) []error {
	var wg sync.WaitGroup
	start := make(chan struct{})
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// succeeded fails unless all errors are nil.
func (t *trial) succeeded(errs []error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("%v", err)
	}
}

// winner returns the index of the only nil error. It fails if there is not
// exactly one, or if another error is not ErrConflict.
func (t *trial) winner(errs []error) int {
	t.Helper()
	winner, winners := 0, 0
	for i, err := range errs {
		switch {
		case err == nil:
			winner, winners = i, winners+1
		case !errors.Is(err, session.ErrConflict):
			t.Fatalf("a call that did not succeed returned error %v, want ErrConflict", err)
		}
	}
	if winners != 1 {
		t.Fatalf("%d of %d concurrent calls succeeded, want 1", winners, len(errs))
	}
	return winner
}
