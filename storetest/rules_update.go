package storetest

import (
	"errors"
	"time"

	"github.com/holdfast-go/session"
)

func updateMissing(t *trial) {
	deleted := t.inserted()
	t.delete(deleted.ID)
	for what, id := range map[string]session.ID{"missing": t.id(), "deleted": deleted.ID} {
		for _, ch := range []*session.Change{
			t.change(),
			{LastSeenAt: t.now},
			{Set: map[string]session.Value{"cart": t.value("[]")}},
			{Set: map[string]session.Value{"cart": t.value("[]")}, Replace: true},
			{Unset: []string{"cart"}},
		} {
			if err := t.store.Update(t.Context(), id, ch); !errors.Is(err, session.ErrNotFound) {
				t.Fatalf("Update of a %s record: error %v, want ErrNotFound", what, err)
			}
			t.gone(id, "an Update of a "+what+" record")
		}
		for _, g := range []session.Guard{
			{Verifier: deleted.Verifier},
			{SeenBefore: t.now},
			{Versions: map[string]int64{"cart": 1}},
			{Versions: map[string]int64{"cart": 0}},
		} {
			ch := t.change()
			ch.If = g
			if err := t.store.Update(t.Context(), id, ch); !errors.Is(err, session.ErrNotFound) && !errors.Is(err, session.ErrConflict) {
				t.Fatalf("Update of a %s record with a guard: error %v, want ErrNotFound or ErrConflict", what, err)
			}
			t.gone(id, "a guarded Update of a "+what+" record")
		}
	}
}

func updateAll(t *trial) {
	rec, ch := t.inserted(), t.change()
	ch.Unset = []string{"theme"}
	t.update(rec.ID, ch)
	want := changed(rec, ch)
	t.stored(want, "Update of a full record")

	ch = t.change()
	ch.If = session.Guard{Verifier: want.Verifier}
	t.update(rec.ID, ch)
	t.stored(changed(want, ch), "Update under a guard")

	empty := t.bare(nil)
	t.insert(empty)
	ch.If = session.Guard{}
	t.update(empty.ID, ch)
	t.stored(changed(empty, ch), "Update of an empty record")
}

func updateEach(t *trial) {
	rec, full := t.inserted(), t.change()
	for what, ch := range map[string]*session.Change{
		"Set":         {Set: full.Set},
		"Unset":       {Unset: []string{"theme"}},
		"User":        {User: full.User},
		"Verifier":    {Verifier: full.Verifier},
		"Salt":        {Salt: full.Salt},
		"RenewedAt":   {RenewedAt: full.RenewedAt},
		"SignedInAt":  {SignedInAt: full.SignedInAt},
		"LastSeenAt":  {LastSeenAt: full.LastSeenAt},
		"ExpiresAt":   {ExpiresAt: full.ExpiresAt},
		"Deadline":    {Deadline: full.Deadline},
		"IdleTimeout": {IdleTimeout: full.IdleTimeout},
		"ClientIP":    {ClientIP: full.ClientIP},
		"UserAgent":   {UserAgent: full.UserAgent},
	} {
		t.update(rec.ID, ch)
		rec = changed(rec, ch)
		t.stored(rec, "Update of only "+what)
	}
}

func updateNothing(t *trial) {
	rec := t.inserted()
	t.update(rec.ID, &session.Change{})
	t.stored(rec, "Update with a zero Change")
	t.update(rec.ID, &session.Change{If: session.Guard{Verifier: rec.Verifier}})
	t.stored(rec, "Update with only a guard that holds")
}

// expectNothing covers stores that skip the database if they have nothing to
// write.
func expectNothing(t *trial) {
	rec := t.inserted()
	if err := t.store.Update(t.Context(), t.id(), &session.Change{}); !errors.Is(err, session.ErrNotFound) {
		t.Fatalf("Update of a missing record with a zero Change: error %v, want ErrNotFound", err)
	}
	for what, g := range map[string]session.Guard{
		"another verifier": {Verifier: randomBytes(32)},
		"seen later":       {SeenBefore: rec.LastSeenAt},
		"another version":  versions("cart", rec.Values["cart"].Version+1),
		"an existing key":  versions("cart", 0),
	} {
		ch := &session.Change{If: g}
		if err := t.store.Update(t.Context(), rec.ID, ch); !errors.Is(err, session.ErrConflict) {
			t.Fatalf("Update with only a guard that does not hold (%s): error %v, want ErrConflict", what, err)
		}
		if err := t.store.Update(t.Context(), t.id(), ch); !errors.Is(err, session.ErrNotFound) && !errors.Is(err, session.ErrConflict) {
			t.Fatalf("Update of a missing record with only a guard (%s): error %v, want ErrNotFound or ErrConflict", what, err)
		}
	}
	t.stored(rec, "Updates with only a guard that does not hold")
}

// updateEmpty covers stores that build a statement from a list of keys.
func updateEmpty(t *trial) {
	rec := t.inserted()
	empty := func() *session.Change {
		return &session.Change{
			If:    session.Guard{Versions: map[string]int64{}},
			Set:   map[string]session.Value{},
			Unset: []string{},
		}
	}
	t.update(rec.ID, empty())
	t.stored(rec, "Update with empty maps and an empty slice")
	for what, fill := range map[string]func(*session.Change){
		"an empty Unset":         func(ch *session.Change) { ch.Set["new"] = t.value("1") },
		"an empty Set":           func(ch *session.Change) { ch.Unset = []string{"theme"} },
		"Replace and all others": func(ch *session.Change) { ch.Replace = true },
	} {
		rec = t.inserted()
		ch := empty()
		fill(ch)
		t.update(rec.ID, ch)
		t.stored(changed(rec, ch), "Update with "+what)
	}
	if err := t.store.Update(t.Context(), t.id(), empty()); !errors.Is(err, session.ErrNotFound) {
		t.Fatalf("Update of a missing record with an empty guard: error %v, want ErrNotFound", err)
	}
}

// updateSame covers databases which report the number of changed records, not of
// matching ones. They report 0 here.
func updateSame(t *trial) {
	rec, ch := t.inserted(), t.change()
	t.update(rec.ID, ch)
	t.update(rec.ID, ch)
	ch.If = session.Guard{Verifier: ch.Verifier, Versions: map[string]int64{"cart": ch.Set["cart"].Version}}
	t.update(rec.ID, ch)
	t.stored(changed(rec, ch), "the same Update three times")
}

func removeIdleTimeout(t *trial) {
	rec := t.inserted()
	for _, idle := range []time.Duration{0, 90*time.Minute + time.Millisecond, 0} {
		t.update(rec.ID, &session.Change{IdleTimeout: &idle})
		rec.IdleTimeout = idle
		t.stored(rec, "Update with IdleTimeout "+idle.String())
	}
}

func setKeys(t *trial) {
	rec := t.inserted()
	for _, ch := range []*session.Change{
		{Set: map[string]session.Value{"cart": t.value("[9]")}},
		{Set: map[string]session.Value{"one": t.value("1"), "two": t.value("2")}},
		{Set: map[string]session.Value{"cart": t.value("[8]"), "three": t.value("3")}, Unset: []string{"one"}},
	} {
		t.update(rec.ID, ch)
		rec = changed(rec, ch)
		t.stored(rec, "Update with Set")
	}
}

func unsetKeys(t *trial) {
	rec := t.inserted()
	for _, ch := range []*session.Change{
		{Unset: []string{"absent"}},
		{Unset: []string{"cart", "absent"}},
		{Unset: []string{"theme"}},
		{Unset: []string{"theme"}},
		{Set: map[string]session.Value{"theme": t.value("again")}},
	} {
		t.update(rec.ID, ch)
		rec = changed(rec, ch)
		t.stored(rec, "Update with Unset")
	}
}

func replaceData(t *trial) {
	rec := t.inserted()
	for _, ch := range []*session.Change{
		{Replace: true, Set: map[string]session.Value{"cart": t.value("[9]"), "new": t.value("1")}},
		{Replace: true, Set: map[string]session.Value{"other": t.value("2")}, LastSeenAt: t.now},
		{Replace: true},
		{Replace: true},
		{Replace: true, Set: map[string]session.Value{"last": t.value("3")}},
		{Set: map[string]session.Value{"beside": t.value("4")}},
	} {
		t.update(rec.ID, ch)
		rec = changed(rec, ch)
		t.stored(rec, "Update with Replace")
	}
}
