package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-go/session"
)

// tb is what a trial needs of [testing.TB], which only package testing can
// implement: the suite's own tests record what fails instead of failing.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
	Context() context.Context
}

// trial proves one rule. Its methods fail it, and only in the goroutine that
// runs it.
type trial struct {
	tb
	rule  string
	store session.Store
	now   time.Time // whole seconds: one rule alone is about milliseconds
}

func newTrial(t tb, rule string, s session.Store) *trial {
	return &trial{t, rule, s, time.Now().UTC().Truncate(time.Second)}
}

// Fatalf names the rule with every failure.
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

// inserted returns a full record that has just been stored.
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

// stored fails unless the store holds exactly want.
func (t *trial) stored(want *session.Record, after string) {
	t.Helper()
	if d := diff(t.load(want.ID), want); d != "" {
		t.Fatalf("after %s: %s", after, d)
	}
}

// gone fails if there is a record. How a store says that there is none is the
// matter of one rule, so that a store which says it wrongly breaks that one.
func (t *trial) gone(id session.ID, after string) {
	t.Helper()
	rec, err := t.store.Load(t.Context(), id)
	if rec != nil {
		t.Fatalf("after %s there is a record", after)
	}
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		t.Fatalf("after %s: Load: %v, want ErrNotFound", after, err)
	}
}

// holds fails unless an update with the guard is applied.
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

// refused fails unless an update with the guard is ErrConflict.
func (t *trial) refused(id session.ID, g session.Guard, what string) {
	t.Helper()
	ch := &session.Change{If: g, Set: map[string]session.Value{"guarded": t.value("guarded")}}
	if err := t.store.Update(t.Context(), id, ch); !errors.Is(err, session.ErrConflict) {
		t.Fatalf("Update with a guard that does not hold (%s): error %v, want ErrConflict", what, err)
	}
}

// atOnce runs f(0) to f(n-1) in goroutines released together, and returns
// what they returned.
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

// winner returns the index of the one nil error, and fails unless all others
// are ErrConflict.
func (t *trial) winner(errs []error) int {
	t.Helper()
	winner, winners := 0, 0
	for i, err := range errs {
		switch {
		case err == nil:
			winner, winners = i, winners+1
		case !errors.Is(err, session.ErrConflict):
			t.Fatalf("one that lost: error %v, want ErrConflict", err)
		}
	}
	if winners != 1 {
		t.Fatalf("%d of %d won, want 1", winners, len(errs))
	}
	return winner
}
