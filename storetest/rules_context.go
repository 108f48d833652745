package storetest

import (
	"context"
	"errors"

	"github.com/holdfast-go/session"
)

// cancelled requires an error other than ErrNotFound and ErrConflict. The store
// has not asked the database, so it does not know whether the session exists or
// has changed.
func cancelled(t *trial) {
	rec, fresh := t.inserted(), t.record()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, load := t.store.Load(ctx, rec.ID)
	_, missing := t.store.Load(ctx, fresh.ID)
	_, list := t.store.List(ctx, rec.User)
	guarded := t.change()
	guarded.If.Verifier = randomBytes(32)
	for op, err := range map[string]error{
		"Load":                       load,
		"Load of a missing record":   missing,
		"List":                       list,
		"Insert":                     t.store.Insert(ctx, fresh),
		"Insert of an existing ID":   t.store.Insert(ctx, rec),
		"Update":                     t.store.Update(ctx, rec.ID, t.change()),
		"Update of a missing record": t.store.Update(ctx, fresh.ID, t.change()),
		"Update that cannot hold":    t.store.Update(ctx, rec.ID, guarded),
		"Update with Replace":        t.store.Update(ctx, rec.ID, &session.Change{Replace: true}),
		"Delete":                     t.store.Delete(ctx, rec.ID),
	} {
		if err == nil || errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrConflict) {
			t.Fatalf("%s with a cancelled context: error %v, want an error other than ErrNotFound and ErrConflict", op, err)
		}
	}
	t.stored(rec, "calls with a cancelled context")
	t.gone(fresh.ID, "an Insert with a cancelled context")
}
