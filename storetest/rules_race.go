package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/session"
)

func raceInsert(t *trial) {
	for range rounds {
		recs := make([]*session.Record, writers)
		id := t.id()
		for i := range recs {
			recs[i] = t.record()
			recs[i].ID = id
		}
		errs := atOnce(writers, func(i int) error { return t.store.Insert(t.Context(), recs[i]) })
		t.stored(recs[t.winner(errs)], "concurrent Inserts, of which one succeeded")
	}
}

func raceVersion(t *trial) {
	t.race(func(rec *session.Record) session.Guard { return versions("cart", rec.Values["cart"].Version) })
}

func raceAbsent(t *trial) {
	t.race(func(rec *session.Record) session.Guard {
		delete(rec.Values, "cart")
		t.update(rec.ID, &session.Change{Unset: []string{"cart"}})
		return versions("cart", 0)
	})
}

func raceVerifier(t *trial) {
	t.race(func(rec *session.Record) session.Guard { return session.Guard{Verifier: rec.Verifier} })
}

// raceSeenBefore matters because thirty requests of one page should write one
// touch.
func raceSeenBefore(t *trial) {
	t.race(func(rec *session.Record) session.Guard {
		return session.Guard{SeenBefore: rec.LastSeenAt.Add(time.Second)}
	})
}

// race lets many goroutines change one record at once. The guard holds for the
// record now, and does not hold after any of the changes.
func (t *trial) race(guard func(*session.Record) session.Guard) {
	rec := t.inserted()
	for round := range rounds {
		g := guard(rec)
		changes := make([]*session.Change, writers)
		for i := range changes {
			changes[i] = t.change()
			changes[i].If = g
			changes[i].LastSeenAt = t.now.Add(time.Duration(1+round*writers+i) * time.Minute)
		}
		errs := atOnce(writers, func(i int) error { return t.store.Update(t.Context(), rec.ID, changes[i]) })
		rec = changed(rec, changes[t.winner(errs)])
		t.stored(rec, "concurrent Updates, of which one succeeded")
	}
}

func raceCounter(t *trial) {
	rec := t.bare(nil)
	t.insert(rec)
	errs := atOnce(writers/2, func(int) error {
		for range rounds {
			if err := t.increment(rec.ID); err != nil {
				return err
			}
		}
		return nil
	})
	t.succeeded(errs)
	if got, want := string(t.load(rec.ID).Values["n"].Data), strconv.Itoa(writers/2*rounds); got != want {
		t.Fatalf("the counter is %s, want %s", got, want)
	}
}

// increment returns an error after more conflicts than other goroutines can have
// caused.
func (t *trial) increment(id session.ID) error {
	for range writers * rounds {
		rec, err := t.store.Load(t.Context(), id)
		if err != nil {
			return err
		}
		n, _ := strconv.Atoi(string(rec.Values["n"].Data))
		err = t.store.Update(t.Context(), id, &session.Change{
			If:  versions("n", rec.Values["n"].Version),
			Set: map[string]session.Value{"n": t.value(strconv.Itoa(n + 1))},
		})
		if !errors.Is(err, session.ErrConflict) {
			return err
		}
	}
	return errors.New("an Update returned ErrConflict although nothing had changed the key")
}

func raceKeys(t *trial) {
	rec := t.record()
	want := clone(rec)
	changes := []*session.Change{
		{User: t.user()},
		{LastSeenAt: t.now.Add(time.Minute), ExpiresAt: t.now.Add(25 * time.Hour)},
		{Unset: []string{"theme"}},
	}
	for i := range writers {
		old, key := fmt.Sprintf("old%d", i), fmt.Sprintf("key%d", i)
		rec.Values[old] = t.value("old")
		changes = append(changes,
			&session.Change{Set: map[string]session.Value{key: t.value("new")}},
			&session.Change{Unset: []string{old}, Set: map[string]session.Value{key + "b": t.value("new")}})
	}
	t.insert(rec)
	errs := atOnce(len(changes), func(i int) error { return t.store.Update(t.Context(), rec.ID, changes[i]) })
	t.succeeded(errs)
	for _, ch := range changes {
		want = changed(want, ch)
	}
	t.stored(want, "concurrent Updates, all of which succeeded")
}

// raceLoad reads a record during Updates. It reads often enough to find a Load
// made of two reads of memory, if an Update can come between them. Each reader
// asks for an Update before it reads, so the writer keeps pace with the readers.
func raceLoad(t *trial) {
	rec := t.inserted()
	t.update(rec.ID, t.alike())
	updates := make(chan struct{}, 2*readers)
	var reading atomic.Int32
	reading.Store(readers)
	until := time.Now().Add(readTime)
	ctx := yielding{t.Context()}
	t.succeeded(atOnce(1+readers, func(i int) error {
		if i == 0 {
			for range updates {
				if err := t.store.Update(ctx, rec.ID, t.alike()); err != nil {
					return err
				}
			}
			return nil
		}
		defer func() {
			if reading.Add(-1) == 0 {
				close(updates)
			}
		}()
		for n := 0; n < minReads || n < maxReads && time.Now().Before(until); n++ {
			select {
			case updates <- struct{}{}:
			default:
			}
			if err := t.loadAlike(ctx, rec.ID); err != nil {
				return err
			}
		}
		return nil
	}))
}

// alike returns a Change with the same new number in several places.
func (t *trial) alike() *session.Change {
	v := t.value("same")
	return &session.Change{Set: map[string]session.Value{"a": v, "b": v}, User: strconv.FormatInt(v.Version, 10)}
}

// loadAlike returns an error if a record mixes two Changes of [trial.alike].
func (t *trial) loadAlike(ctx context.Context, id session.ID) error {
	got, err := t.store.Load(ctx, id)
	if err != nil {
		return err
	}
	a, b := got.Values["a"].Version, got.Values["b"].Version
	if a != b || got.User != strconv.FormatInt(a, 10) {
		return fmt.Errorf("one Update wrote one number to two keys and User, and Load returned %d, %d and %s", a, b, got.User)
	}
	return nil
}

// yielding lets other goroutines run each time a store checks its context. A store
// in memory may not have another point of interruption.
type yielding struct{ context.Context }

func (c yielding) Done() <-chan struct{} {
	runtime.Gosched()
	return c.Context.Done()
}

func (c yielding) Err() error {
	runtime.Gosched()
	return c.Context.Err()
}

// raceDelete deletes a record during Updates.
func raceDelete(t *trial) {
	for range deaths {
		rec := t.inserted()
		guarded, plain := t.change(), t.change()
		guarded.If.Verifier = rec.Verifier
		guarded.Verifier = nil
		errs := atOnce(4, func(i int) error {
			var err error
			switch i {
			case 0:
				return t.store.Delete(t.Context(), rec.ID)
			case 1:
				err = t.store.Update(t.Context(), rec.ID, guarded)
			case 2:
				err = t.store.Update(t.Context(), rec.ID, plain)
			case 3:
				err = t.store.Update(t.Context(), rec.ID, &session.Change{LastSeenAt: t.now, Replace: true})
			}
			if errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrConflict) {
				return nil
			}
			return err
		})
		t.succeeded(errs)
		t.gone(rec.ID, "Delete during Updates")
	}
}

func raceMixed(t *trial) {
	recs, changes := make([]*session.Record, writers), make([]*session.Change, writers)
	user := t.user()
	for i := range recs {
		recs[i], changes[i] = t.record(), t.change()
		recs[i].User, changes[i].User = user, ""
	}
	shared := t.inserted()
	errs := atOnce(writers, func(i int) error { return t.life(recs[i], changes[i], shared.ID) })
	t.succeeded(errs)
	if infos := t.list(user); len(infos) != 0 {
		t.Fatalf("List returned %d sessions after all were deleted", len(infos))
	}
}

// life inserts, changes, lists and deletes a record, and changes a record shared
// with other goroutines.
func (t *trial) life(rec *session.Record, ch *session.Change, shared session.ID) error {
	ctx := t.Context()
	if err := t.store.Insert(ctx, rec); err != nil {
		return fmt.Errorf("at Insert: %w", err)
	}
	if err := t.store.Update(ctx, rec.ID, ch); err != nil {
		return fmt.Errorf("at Update: %w", err)
	}
	if err := t.store.Update(ctx, shared, &session.Change{Set: map[string]session.Value{rec.ID.String(): t.value("1")}}); err != nil {
		return fmt.Errorf("at Update of the shared record: %w", err)
	}
	if _, err := t.store.Load(ctx, shared); err != nil {
		return fmt.Errorf("at Load of the shared record: %w", err)
	}
	got, err := t.store.Load(ctx, rec.ID)
	if err != nil {
		return fmt.Errorf("at Load: %w", err)
	}
	if d := diff(got, changed(rec, ch)); d != "" {
		return errors.New(d)
	}
	infos, err := t.store.List(ctx, rec.User)
	if err != nil {
		return fmt.Errorf("at List: %w", err)
	}
	if !slices.ContainsFunc(infos, func(info session.Info) bool { return info.ID == rec.ID }) {
		return fmt.Errorf("a session that existed before List is not among the %d that it returned", len(infos))
	}
	return t.store.Delete(ctx, rec.ID)
}
