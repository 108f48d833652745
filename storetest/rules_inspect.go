package storetest

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-go/session"
)

// inspector returns the store's optional interface.
func (t *trial) inspector() (session.Inspector, bool) {
	store, ok := t.store.(session.Inspector)
	return store, ok
}

// few is the number of sessions in most rules of an Inspector.
const few = 5

// lastIDs returns ascending IDs after those of all sessions that a Manager has
// created, and the ID before them. So a rule need not read the whole store.
func (t *trial) lastIDs(n int) (before session.ID, ids []session.ID) {
	first := t.id()
	copy(first[:6], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	first[9] &= 0x7f // leaves room for n more
	ids = make([]session.ID, n)
	for i := range ids {
		ids[i] = first
		binary.BigEndian.PutUint32(ids[i][9:], binary.BigEndian.Uint32(first[9:])+uint32(i)+1)
		t.deleteAfterwards(ids[i])
	}
	return first, ids
}

// all returns the sessions of All.
func (t *trial) all(f session.Filter) (infos []session.Info) {
	t.Helper()
	store, _ := t.inspector()
	for info, err := range store.All(t.Context(), f) {
		if err != nil {
			t.Fatalf("All: %v", err)
		}
		infos = append(infos, info)
	}
	return infos
}

// selected fails unless All returns exactly the sessions want in this order, and
// Count their number. Other programs may use the store too. So it ignores
// sessions that are not in recs, and compares Count with All.
func (t *trial) selected(f session.Filter, recs []*session.Record, want ...*session.Record) {
	t.Helper()
	infos := t.all(f)
	for try := 0; ; try++ {
		store, _ := t.inspector()
		n, err := store.Count(t.Context(), f)
		if err != nil {
			t.Fatalf("Count: %v", err)
		}
		if n == int64(len(infos)) {
			break
		}
		if infos = t.all(f); try == few {
			t.Fatalf("Count returned %d and All %d sessions, for %+v", n, len(infos), f)
		}
	}
	infos = slices.DeleteFunc(infos, func(i session.Info) bool {
		return !slices.ContainsFunc(recs, func(r *session.Record) bool { return r.ID == i.ID })
	})
	for i, rec := range want {
		if i == len(infos) {
			t.Fatalf("All and Count have %d of %d sessions, for %+v", len(infos), len(want), f)
		}
		if d := diffInfo(infos[i], rec.Info); d != "" {
			t.Fatalf("All returned session %d of %d with other fields: %s", i+1, len(want), d)
		}
	}
	if len(infos) > len(want) {
		t.Fatalf("All and Count have %d sessions, want %d, for %+v", len(infos), len(want), f)
	}
}

// several inserts sessions with ascending IDs, in another order. It returns them,
// and a Filter that selects them and few others.
func (t *trial) several(change func(i int, rec *session.Record)) ([]*session.Record, session.Filter) {
	t.Helper()
	before, ids := t.lastIDs(few)
	recs := make([]*session.Record, few)
	for i := range recs {
		recs[i] = t.record()
		recs[i].ID = ids[i]
		change(i, recs[i])
	}
	for i := range recs {
		t.insert(recs[(i*2+3)%few])
	}
	return recs, session.Filter{After: before}
}

func allFields(t *trial) {
	if _, ok := t.inspector(); !ok {
		return
	}
	recs, f := t.several(func(i int, rec *session.Record) {
		if i == 1 {
			rec.User, rec.SignedInAt, rec.IdleTimeout, rec.ClientIP, rec.UserAgent = "", time.Time{}, 0, "", ""
		}
	})
	t.selected(f, recs, recs...)
	ch := t.change()
	t.update(recs[2].ID, ch)
	recs[2] = changed(recs[2], ch)
	t.delete(recs[3].ID)
	t.selected(f, recs, recs[0], recs[1], recs[2], recs[4])
}

func allOrdered(t *trial) {
	if _, ok := t.inspector(); !ok {
		return
	}
	recs, f := t.several(func(int, *session.Record) {})
	for i, rec := range recs {
		t.selected(f, recs, recs[i:]...)
		f.After = rec.ID
	}
	t.selected(f, recs)
}

func filterUser(t *trial) {
	if _, ok := t.inspector(); !ok {
		return
	}
	user := t.user()
	names := []string{user, strings.ToLower(user), user + " ", user, user + "*"}
	recs, f := t.several(func(i int, rec *session.Record) { rec.User = names[i] })
	f.User = user
	t.selected(f, recs, recs[0], recs[3])
	t.selected(session.Filter{User: user}, recs, recs[0], recs[3])
	t.selected(session.Filter{User: user, Kind: session.KindUser}, recs, recs[0], recs[3])
	t.selected(session.Filter{User: user, Kind: session.KindAnonymous}, recs)
	t.selected(session.Filter{User: user, After: recs[0].ID}, recs, recs[3])
	t.selected(session.Filter{User: t.user()}, recs)
}

func filterKind(t *trial) {
	if _, ok := t.inspector(); !ok {
		return
	}
	recs, f := t.several(func(i int, rec *session.Record) {
		if i%2 == 1 {
			rec.User = ""
		}
	})
	f.Kind = session.KindUser
	t.selected(f, recs, recs[0], recs[2], recs[4])
	f.Kind = session.KindAnonymous
	t.selected(f, recs, recs[1], recs[3])
	t.update(recs[1].ID, &session.Change{User: recs[0].User})
	t.selected(f, recs, recs[3])
}

func filterSeenBefore(t *trial) {
	if _, ok := t.inspector(); !ok {
		return
	}
	recs, f := t.several(func(i int, rec *session.Record) {
		rec.LastSeenAt = t.now.Add(-time.Hour + time.Duration(i)*time.Millisecond)
	})
	f.SeenBefore = recs[2].LastSeenAt
	t.selected(f, recs, recs[:2]...)
	f.SeenBefore = f.SeenBefore.In(time.FixedZone("", 5*60*60))
	t.selected(f, recs, recs[:2]...)
	t.update(recs[0].ID, &session.Change{LastSeenAt: t.now})
	t.selected(f, recs, recs[1])
}

// filterLiveAt uses times before and after now, because a store must not compare
// with its own clock. The database may remove a session that expired an hour ago,
// so the rule first finds out whether it still exists.
func filterLiveAt(t *trial) {
	if _, ok := t.inspector(); !ok {
		return
	}
	recs, f := t.several(func(i int, rec *session.Record) {
		rec.ExpiresAt = t.now.Add(time.Hour + time.Duration(i)*time.Millisecond)
		if i == few-1 {
			rec.ExpiresAt = t.now.Add(-time.Second)
		}
	})
	f.LiveAt = recs[1].ExpiresAt
	t.selected(f, recs, recs[2:few-1]...)
	f.LiveAt = t.now
	t.selected(f, recs, recs[:few-1]...)
	f.LiveAt = time.Time{}
	if _, err := t.store.Load(t.Context(), recs[few-1].ID); err == nil {
		t.selected(f, recs, recs...)
	}
}

func filterTogether(t *trial) {
	if _, ok := t.inspector(); !ok {
		return
	}
	user := t.user()
	recs, f := t.several(func(i int, rec *session.Record) {
		rec.User = user
		switch i {
		case 1:
			rec.User = t.user()
		case 2:
			rec.LastSeenAt = t.now
		case 3:
			rec.ExpiresAt = t.now.Add(time.Minute)
		}
	})
	f.SeenBefore, f.LiveAt = t.now, t.now.Add(time.Hour)
	f.Kind = session.KindUser
	t.selected(f, recs, recs[0], recs[1], recs[4])
	f.User = user
	t.selected(f, recs, recs[0], recs[4])
	f.After = recs[0].ID
	t.selected(f, recs, recs[4])
}

// filterMarker inserts a record like a revocation marker of a Manager. A tool would
// otherwise show a session of nobody, and deleting it would let a revoked sign-in
// complete.
func filterMarker(t *trial) {
	if _, ok := t.inspector(); !ok {
		return
	}
	recs, f := t.several(func(i int, rec *session.Record) {
		if i%2 == 1 {
			rec.ID[6] = rec.ID[6]&0x0f | 0x80 // UUIDv8
			rec.User, rec.Verifier, rec.Salt, rec.RenewedAt = "", nil, nil, time.Time{}
			rec.Info = session.Info{ID: rec.ID, CreatedAt: rec.CreatedAt, LastSeenAt: rec.LastSeenAt, ExpiresAt: rec.ExpiresAt, Deadline: rec.Deadline}
			t.deleteAfterwards(rec.ID)
		}
	})
	t.selected(f, recs, recs[0], recs[2], recs[4])
	f.Kind = session.KindAnonymous
	t.selected(f, recs)
	f.SeenBefore, f.LiveAt = t.now, t.now
	t.selected(f, recs)
}

// allDeletes matters because a tool deletes sessions in the loop. A store that
// holds a lock or a transaction would wait for itself.
func allDeletes(t *trial) {
	store, ok := t.inspector()
	if !ok {
		return
	}
	recs, f := t.several(func(int, *session.Record) {})
	seen := 0
	for info, err := range store.All(t.Context(), f) {
		if err != nil {
			t.Fatalf("All: %v", err)
		}
		if i := slices.IndexFunc(recs, func(r *session.Record) bool { return r.ID == info.ID }); i >= 0 {
			t.delete(info.ID)
			t.inserted()
			seen++
		}
		if seen == 3 {
			break
		}
	}
	t.selected(f, recs, recs[3:]...)
}

func inspectCancelled(t *trial) {
	store, ok := t.inspector()
	if !ok {
		return
	}
	recs, f := t.several(func(int, *session.Record) {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, f := range []session.Filter{f, {User: recs[0].User}} {
		if n, err := store.Count(ctx, f); err == nil {
			t.Fatalf("Count with a cancelled context returned %d and no error", n)
		}
		t.endsWithError(store.All(ctx, f), 0)
	}
}

// allCancelled ends the context after the first session.
func allCancelled(t *trial) {
	store, ok := t.inspector()
	if !ok {
		return
	}
	_, f := t.several(func(int, *session.Record) {})
	ctx, cancel := context.WithCancel(t.Context())
	t.endsWithError(func(yield func(session.Info, error) bool) {
		store.All(ctx, f)(func(info session.Info, err error) bool {
			cancel()
			return yield(info, err)
		})
	}, 1)
}

// endsWithError fails unless seq yields n sessions, then a zero Info with an error,
// and then nothing.
func (t *trial) endsWithError(seq func(func(session.Info, error) bool), n int) {
	t.Helper()
	var errs []error
	seq(func(info session.Info, err error) bool {
		errs = append(errs, err)
		if (err != nil) != (info == session.Info{}) {
			t.Fatalf("All with an ended context yielded %+v and error %v", info, err)
		}
		return len(errs) <= few
	})
	failed := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if failed != n || len(errs) != n+1 {
		t.Fatalf("All with an ended context yielded the errors %v, want one after %d sessions and nothing more", errs, n)
	}
}
