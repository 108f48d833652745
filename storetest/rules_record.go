package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-go/session"
)

func loadMissing(t *trial) {
	deleted := t.inserted().ID
	t.delete(deleted)
	for what, id := range map[string]session.ID{"never inserted": t.id(), "deleted": deleted} {
		if rec, err := t.store.Load(t.Context(), id); !errors.Is(err, session.ErrNotFound) {
			t.Fatalf("Load of a record %s: %v, error %v", what, rec, err)
		}
	}
}

func loadInserted(t *trial) {
	rec := t.inserted()
	t.stored(rec, "Insert")
}

func zeroFields(t *trial) {
	rec := &session.Record{Info: session.Info{ID: t.id()}}
	t.insert(rec)
	t.stored(rec, "Insert of a record with only an ID")
	if got := t.load(rec.ID); got.Verifier != nil {
		t.Fatalf("Load of a record without a verifier returned Verifier %v, want nil", got.Verifier)
	}
	rec = t.bare(map[string]session.Value{})
	t.insert(rec)
	t.stored(rec, "Insert with an empty map of values")
}

// times stores a different millisecond in each time, by Insert and by Update.
func times(t *trial) {
	zone := time.FixedZone("", -(3*60+30)*60)
	rec, ch := t.record(), &session.Change{}
	for i, at := range []*time.Time{
		&rec.CreatedAt, &rec.SignedInAt, &rec.LastSeenAt, &rec.ExpiresAt, &rec.Deadline, &rec.RenewedAt,
		&ch.SignedInAt, &ch.LastSeenAt, &ch.ExpiresAt, &ch.Deadline, &ch.RenewedAt,
	} {
		*at = t.now.Add(time.Duration(i+1) * (time.Hour + 91*time.Millisecond)).In(zone)
	}
	t.insert(rec)
	t.stored(rec, "Insert")
	t.update(rec.ID, ch)
	t.stored(changed(rec, ch), "Update")

	rec = t.record()
	rec.LastSeenAt = rec.LastSeenAt.Add(time.Millisecond - 1)
	t.insert(rec)
	if off := t.load(rec.ID).LastSeenAt.Sub(rec.LastSeenAt).Abs(); off >= time.Millisecond {
		t.Fatalf("Load returned a time that differs by %v, want less than 1ms", off)
	}
}

func insertTwice(t *trial) {
	rec := t.inserted()
	other := t.record()
	other.ID = rec.ID
	if err := t.store.Insert(t.Context(), other); !errors.Is(err, session.ErrConflict) {
		t.Fatalf("the second Insert: error %v, want ErrConflict", err)
	}
	t.stored(rec, "the second Insert")
}

func ownLoaded(t *trial) {
	rec := t.inserted()
	want := clone(rec)
	for range 2 { // a store may return the first record again
		scribble(t.load(rec.ID))
		t.stored(want, "a change of the record that Load had returned")
	}
}

func ownInserted(t *trial) {
	rec := t.inserted()
	want := clone(rec)
	scribble(rec)
	t.stored(want, "a change of the record after Insert")
}

func ownChange(t *trial) {
	rec, ch := t.inserted(), t.change()
	want := changed(rec, ch)
	t.update(rec.ID, ch)
	scribble(&session.Record{Verifier: ch.Verifier, Salt: ch.Salt, Values: ch.Set})
	*ch.IdleTimeout++
	t.stored(want, "a change of the Change after Update")

	ch = &session.Change{Set: map[string]session.Value{"only": t.value("whole")}, Replace: true}
	want = changed(want, ch)
	t.update(rec.ID, ch)
	scribble(&session.Record{Values: ch.Set})
	t.stored(want, "a change of the Change after Update with Replace")
}

// scribble changes everything that a store may share with its caller.
func scribble(rec *session.Record) {
	for _, b := range [][]byte{rec.Verifier, rec.Salt} {
		for i := range b {
			b[i]++
		}
	}
	for _, v := range rec.Values {
		for i := range v.Data {
			v.Data[i]++
		}
	}
	if rec.Values != nil {
		delete(rec.Values, "theme")
		rec.Values["scribbled"] = session.Value{Data: []byte("x"), Version: 1}
	}
	rec.User, rec.LastSeenAt = "scribbled", time.Time{}
}

func expired(t *trial) {
	old := t.record()
	old.ExpiresAt = t.now.Add(-time.Hour)
	t.insert(old)
	if rec, err := t.store.Load(t.Context(), old.ID); err == nil && rec != nil {
		t.stored(old, "Insert of an expired record")
	} else if !errors.Is(err, session.ErrNotFound) {
		t.Fatalf("Load of an expired record: %v, error %v", rec, err)
	}

	live := t.record()
	live.ExpiresAt = t.now.Add(time.Minute)
	t.insert(live)
	t.stored(live, "Insert of a record that expires in a minute")
	live.ExpiresAt = t.now.Add(time.Hour)
	t.update(live.ID, &session.Change{ExpiresAt: live.ExpiresAt})
	t.stored(live, "an Update that extends it")
}

func deleteOne(t *trial) {
	rec, other := t.inserted(), t.record()
	other.User = rec.User
	t.insert(other)
	t.delete(rec.ID)
	t.gone(rec.ID, "Delete")
	t.stored(other, "Delete of another record")
	t.insert(rec)
	t.stored(rec, "Delete and Insert again")
}

func deleteMissing(t *trial) {
	id := t.id()
	t.delete(id)
	rec := t.inserted()
	t.delete(rec.ID)
	t.delete(rec.ID)
}

// insertAfterDelete inserts a record with fewer fields and other keys than the
// deleted one. A store with a table of its own for values may have kept some.
func insertAfterDelete(t *trial) {
	rec := t.inserted()
	t.delete(rec.ID)
	for what, values := range map[string]map[string]session.Value{
		"a record without values":     nil,
		"a record with another value": {"other": t.value("1")},
	} {
		next := t.bare(values)
		next.ID = rec.ID
		t.insert(next)
		t.stored(next, "Delete, and Insert of "+what)
		t.listed(rec.User)
		t.delete(rec.ID)
	}
	t.gone(rec.ID, "the last Delete")
}

// confirmed cannot cause a failover. Without one, Confirm must return the same
// record as Load.
func confirmed(t *trial) {
	store, ok := t.store.(session.Confirmer)
	if !ok {
		return
	}
	missing := t.id()
	if rec, err := store.Confirm(t.Context(), missing); rec != nil || !errors.Is(err, session.ErrNotFound) {
		t.Fatalf("Confirm of a missing record: %v, error %v, want ErrNotFound", rec, err)
	}
	t.gone(missing, "Confirm of a missing record")
	empty := t.bare(nil)
	t.insert(empty)
	for what, rec := range map[string]*session.Record{"a full record": t.inserted(), "a record without values": empty} {
		got, err := store.Confirm(t.Context(), rec.ID)
		if err != nil || got == nil {
			t.Fatalf("Confirm of %s: %v, error %v", what, got, err)
		}
		if d := diff(got, rec); d != "" {
			t.Fatalf("Confirm of %s: %s", what, d)
		}
		t.stored(rec, "Confirm of "+what)
	}

	rec, ch := t.inserted(), t.change()
	t.confirmedAs(store, rec, "Insert")
	t.update(rec.ID, ch)
	t.confirmedAs(store, changed(rec, ch), "Update")
	t.delete(rec.ID)
	if got, err := store.Confirm(t.Context(), rec.ID); got != nil || !errors.Is(err, session.ErrNotFound) {
		t.Fatalf("Confirm of a deleted record: %v, error %v, want ErrNotFound", got, err)
	}
}

func (t *trial) confirmedAs(store session.Confirmer, want *session.Record, after string) {
	t.Helper()
	got, err := store.Confirm(t.Context(), want.ID)
	if err != nil || got == nil {
		t.Fatalf("Confirm after %s: %v, error %v", after, got, err)
	}
	if d := diff(got, want); d != "" {
		t.Fatalf("Confirm after %s: %s", after, d)
	}
}

func ownConfirmed(t *trial) {
	store, ok := t.store.(session.Confirmer)
	if !ok {
		return
	}
	rec := t.inserted()
	want := clone(rec)
	for range 2 { // a store may return the first record again
		got, err := store.Confirm(t.Context(), rec.ID)
		if err != nil || got == nil {
			t.Fatalf("Confirm: %v, error %v", got, err)
		}
		scribble(got)
		t.confirmedAs(store, want, "a change of the record that Confirm had returned")
		t.stored(want, "a change of the record that Confirm had returned")
	}
}

// confirmCancelled matters because the Manager concludes from ErrNotFound that
// the record does not exist.
func confirmCancelled(t *trial) {
	store, ok := t.store.(session.Confirmer)
	if !ok {
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for what, id := range map[string]session.ID{"a record": t.inserted().ID, "a missing record": t.id()} {
		if rec, err := store.Confirm(ctx, id); rec != nil || !errors.Is(err, session.ErrUncertain) || errors.Is(err, session.ErrNotFound) {
			t.Fatalf("Confirm of %s with a cancelled context: %v, error %v, want ErrUncertain", what, rec, err)
		}
	}
}
