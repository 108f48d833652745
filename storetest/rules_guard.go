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
		"a verifier that ends amiss":    last,
		"the beginning of the record's": rec.Verifier[:31],
		"the record's and a byte":       append(slices.Clone(rec.Verifier), 0),
	} {
		t.refused(rec.ID, session.Guard{Verifier: verifier}, what)
	}
	next := randomBytes(32)
	t.update(rec.ID, &session.Change{Verifier: next})
	t.refused(rec.ID, session.Guard{Verifier: rec.Verifier}, "the verifier before")
	t.holds(rec.ID, session.Guard{Verifier: next}, "the verifier that an Update wrote")

	none := t.bare(nil)
	t.insert(none)
	t.refused(none.ID, session.Guard{Verifier: next}, "a verifier, of a record without one")
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
	t.refused(rec.ID, versions("cart", cart), "the version before")
	t.holds(rec.ID, versions("cart", next.Version), "the version that an Update wrote")
	t.update(rec.ID, &session.Change{Unset: []string{"cart"}})
	t.refused(rec.ID, versions("cart", next.Version), "the version of a key that is gone")
}

func guardAbsent(t *trial) {
	rec := t.inserted()
	t.holds(rec.ID, versions("absent", 0), "0 of an absent key")
	t.refused(rec.ID, versions("cart", 0), "0 of a key that is there")
	t.refused(rec.ID, session.Guard{Versions: map[string]int64{"absent": 0, "cart": 0}}, "0 of an absent key and of one that is there")
	t.update(rec.ID, &session.Change{Unset: []string{"cart"}})
	t.holds(rec.ID, versions("cart", 0), "0 of a key that is gone")

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
	t.holds(rec.ID, all(), "all of them")
	for what, spoil := range map[string]func(*session.Guard){
		"all but Verifier":              func(g *session.Guard) { g.Verifier = randomBytes(32) },
		"all but SeenBefore":            func(g *session.Guard) { g.SeenBefore = rec.LastSeenAt },
		"all but a version":             func(g *session.Guard) { g.Versions["cart"]++ },
		"all but a key that is absent":  func(g *session.Guard) { g.Versions["theme"] = 0 },
		"all but a key that is present": func(g *session.Guard) { g.Versions["absent"] = cart },
	} {
		g := all()
		spoil(&g)
		t.refused(rec.ID, g, what)
	}
}

func guardNothing(t *trial) {
	rec := t.inserted()
	for what, g := range map[string]session.Guard{
		"another verifier":    {Verifier: randomBytes(32)},
		"seen since":          {SeenBefore: rec.LastSeenAt},
		"another version":     versions("cart", 1),
		"a key that is there": versions("cart", 0),
		"one version of two":  {Versions: map[string]int64{"cart": rec.Values["cart"].Version, "theme": 1}},
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
			t.stored(rec, "an Update whose guard did not hold ("+what+")")
		}
	}
}

func versions(key string, version int64) session.Guard {
	return session.Guard{Versions: map[string]int64{key: version}}
}
