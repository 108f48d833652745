package storetest

import (
	"errors"
	"slices"
	"time"

	"github.com/holdfast-go/session"
)

func guardVerifier(t *trial) {
	rec := t.inserted()
	t.holds(rec.ID, session.Guard{Verifier: rec.Verifier}, "the record's verifier")
	last := slices.Clone(rec.Verifier)
	last[31] ^= 1
	for what, verifier := range map[string][]byte{
		"another verifier":              randomBytes(32),
		"a verifier with another end":   last,
		"the verifier's first 31 bytes": rec.Verifier[:31],
		"the verifier and a byte":       append(slices.Clone(rec.Verifier), 0),
	} {
		t.refused(rec.ID, session.Guard{Verifier: verifier}, what)
	}
	next := randomBytes(32)
	t.update(rec.ID, &session.Change{Verifier: next})
	t.refused(rec.ID, session.Guard{Verifier: rec.Verifier}, "the previous verifier")
	t.holds(rec.ID, session.Guard{Verifier: next}, "the verifier that an Update wrote")

	none := t.bare(nil)
	t.insert(none)
	t.refused(none.ID, session.Guard{Verifier: next}, "a verifier, for a record without a verifier")
}

func guardSeenBefore(t *trial) {
	rec := t.record()
	rec.LastSeenAt = t.now.Add(-time.Hour + 123*time.Millisecond)
	t.insert(rec)
	t.seenBefore(rec.ID, rec.LastSeenAt)
	later := rec.LastSeenAt.Add(time.Minute)
	t.update(rec.ID, &session.Change{LastSeenAt: later})
	t.seenBefore(rec.ID, later)
}

func (t *trial) seenBefore(id session.ID, seen time.Time) {
	t.Helper()
	t.refused(id, session.Guard{SeenBefore: seen}, "SeenBefore equal to LastSeenAt")
	t.refused(id, session.Guard{SeenBefore: seen.In(time.FixedZone("", 3600))}, "SeenBefore equal to LastSeenAt, in another zone")
	t.refused(id, session.Guard{SeenBefore: seen.Add(-time.Millisecond)}, "SeenBefore a millisecond before LastSeenAt")
	t.refused(id, session.Guard{SeenBefore: seen.Add(-time.Hour)}, "SeenBefore an hour before LastSeenAt")
	t.holds(id, session.Guard{SeenBefore: seen.Add(time.Millisecond)}, "SeenBefore a millisecond after LastSeenAt")
	t.holds(id, session.Guard{SeenBefore: seen.Add(time.Hour)}, "SeenBefore an hour after LastSeenAt")
}

func guardVersions(t *trial) {
	rec := t.inserted()
	cart, theme := rec.Values["cart"].Version, rec.Values["theme"].Version
	t.holds(rec.ID, versions("cart", cart), "the version of a key")
	t.holds(rec.ID, session.Guard{Versions: map[string]int64{"cart": cart, "theme": theme}}, "the versions of two keys")
	t.refused(rec.ID, versions("cart", cart+1), "another version")
	t.refused(rec.ID, versions("cart", -cart), "the version negated")
	t.refused(rec.ID, versions("cart", theme), "another key's version")
	t.refused(rec.ID, versions("absent", cart), "a version of an absent key")
	t.refused(rec.ID, session.Guard{Versions: map[string]int64{"cart": cart, "theme": theme + 1}}, "one version of two")

	next := t.value("same text")
	t.update(rec.ID, &session.Change{Set: map[string]session.Value{"cart": next}})
	t.refused(rec.ID, versions("cart", cart), "the previous version")
	t.holds(rec.ID, versions("cart", next.Version), "the version that an Update wrote")
	t.update(rec.ID, &session.Change{Unset: []string{"cart"}})
	t.refused(rec.ID, versions("cart", next.Version), "the version of a removed key")
}

func guardAbsent(t *trial) {
	rec := t.inserted()
	t.holds(rec.ID, versions("absent", 0), "0 of an absent key")
	t.refused(rec.ID, versions("cart", 0), "0 of an existing key")
	t.refused(rec.ID, session.Guard{Versions: map[string]int64{"absent": 0, "cart": 0}}, "0 of an absent key and of an existing one")
	t.update(rec.ID, &session.Change{Unset: []string{"cart"}})
	t.holds(rec.ID, versions("cart", 0), "0 of a removed key")

	empty := t.bare(nil)
	t.insert(empty)
	t.holds(empty.ID, versions("cart", 0), "0 in a record without values")
	t.update(empty.ID, &session.Change{Replace: true})
	t.holds(empty.ID, versions("cart", 0), "0 in a record emptied by Replace")
}

func guardAll(t *trial) {
	rec := t.inserted()
	cart := rec.Values["cart"].Version
	all := func() session.Guard {
		return session.Guard{
			Verifier:   rec.Verifier,
			SeenBefore: rec.LastSeenAt.Add(time.Hour),
			Versions:   map[string]int64{"cart": cart, "absent": 0},
		}
	}
	t.holds(rec.ID, all(), "all guards")
	for what, spoil := range map[string]func(*session.Guard){
		"all except Verifier":        func(g *session.Guard) { g.Verifier = randomBytes(32) },
		"all except SeenBefore":      func(g *session.Guard) { g.SeenBefore = rec.LastSeenAt },
		"all except a version":       func(g *session.Guard) { g.Versions["cart"]++ },
		"all except an absent key":   func(g *session.Guard) { g.Versions["theme"] = 0 },
		"all except an existing key": func(g *session.Guard) { g.Versions["absent"] = cart },
	} {
		g := all()
		spoil(&g)
		t.refused(rec.ID, g, what)
	}
}

func guardNothing(t *trial) {
	rec := t.inserted()
	for what, g := range map[string]session.Guard{
		"another verifier":   {Verifier: randomBytes(32)},
		"seen later":         {SeenBefore: rec.LastSeenAt},
		"another version":    versions("cart", 1),
		"an existing key":    versions("cart", 0),
		"one version of two": {Versions: map[string]int64{"cart": rec.Values["cart"].Version, "theme": 1}},
	} {
		ch := t.change()
		ch.If = g
		for _, ch.Replace = range []bool{false, true} {
			ch.Unset = []string{"theme"}
			if ch.Replace {
				ch.Unset = nil
			}
			if err := t.store.Update(t.Context(), rec.ID, ch); !errors.Is(err, session.ErrConflict) {
				t.Fatalf("Update with a guard that does not hold (%s): error %v, want ErrConflict", what, err)
			}
			t.stored(rec, "an Update with a guard that does not hold ("+what+")")
		}
	}
}

func versions(key string, version int64) session.Guard {
	return session.Guard{Versions: map[string]int64{key: version}}
}
