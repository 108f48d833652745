package model_test

import (
	"errors"
	"slices"

	"github.com/holdfast-go/session"
)

// answered requires exactly one response to each request, and a cause for each
// error.
func (e *end) answered(a *actor) {
	if a.broken != nil {
		e.fail("one response", "%d panicked: %v", a.n, a.broken)
	}
	if a.wrapped && !a.dead() && a.bodies != 1 {
		e.fail("one response", "%d got %d responses", a.n, a.bodies)
	}
	if a.outcome() == unsure && !a.befell(lostReplies...) && !a.befell(outages...) {
		e.fail("an error has a cause", "%d met no fault: %v", a.n, a.err)
	}
	if a.outcome() == refused && !e.caused(a) {
		e.fail("an error has a cause", "%d has no cause for: %v", a.n, a.err)
	}
}

func (e *end) caused(a *actor) bool {
	is := func(target error) bool { return errors.Is(a.err, target) }
	others := func(fits func(*step) bool) bool {
		return e.any(func(st *step) bool { return st.actor != a && fits(st) })
	}
	switch {
	case is(session.ErrNotFound) && a.op.user != "" && a.op.last == "":
		return false // SignIn starts another session
	case is(session.ErrNotFound):
		return len(e.start) == 0 || e.stranger(a) || e.any(func(st *step) bool { return st.what == "delete" && st.done || st.touch.all })
	case is(session.ErrSuperseded) && (a.fell || a.shares != nil && e.faulted):
		return true // after a failed sign-in the token is unsettled
	case is(session.ErrConflict) && a.op.again && e.any(func(st *step) bool { return st.actor != a && st.ends(st.id) && e.inserted(a, st.id) }):
		return true
	case is(session.ErrSuperseded), is(session.ErrConflict):
		return others((*step).renewal) || a.befell(applied, appliedDown) && e.any((*step).renewal)
	case is(session.ErrRevoked):
		return others(func(st *step) bool { return isMarker(st.id) && st.done })
	case is(session.ErrUndeliverable):
		return a.op.gone || a.op.late
	default:
		return a.op.revokes && a.user == "" // RevokeOthers without a user
	}
}

// stranger reports whether a Revoke found no session, or one of another user
// than ann.
func (e *end) stranger(a *actor) bool {
	return len(e.steps(a, func(st *step) bool { return st.record != nil && st.record.User != "ann" })) > 0
}

// nothingOfRefused requires a refused request to leave nothing in the store.
func (e *end) nothingOfRefused(a *actor) {
	if a.outcome() != refused {
		return
	}
	const name = "a refusal leaves nothing"
	if a.op.last != "" {
		if len(e.steps(a, func(st *step) bool { return st.stores(a.op.last) && e.records[st.id] != nil })) > 0 {
			e.fail(name, "%d stored a value: %v", a.n, a.err)
		}
		return
	}
	for _, st := range e.steps(a, func(st *step) bool { return st.done && !isMarker(st.id) }) {
		left := e.records[st.id]
		switch {
		case st.what == "insert" && left != nil:
			e.fail(name, "%d left a record: %v", a.n, a.err)
		case st.renewal() && left != nil:
			e.fail(name, "%d renewed the token: %v", a.n, a.err)
		case st.what == "update" && len(st.change.Set) > 0 && left != nil:
			e.fail(name, "%d stored a value: %v", a.n, a.err)
		case st.what == "delete" && !errors.Is(a.err, session.ErrRevoked) && !e.inserted(a, st.id) && !a.op.revokes:
			e.fail(name, "%d deleted a record: %v", a.n, a.err)
		}
	}
	if errors.Is(a.err, session.ErrRevoked) && a.outcome() == refused && e.any(func(st *step) bool {
		return st.actor == a && (st.what == "insert" || st.renewal()) && e.records[st.id] != nil
	}) {
		e.fail(name, "%d left a session: %v", a.n, a.err)
	}
	if a.out != nil && !a.op.again && a.shares == nil {
		e.fail(name, "%d set a cookie: %v", a.n, a.err)
	}
}

// acknowledgedIsThere requires acknowledged changes to be stored.
func (e *end) acknowledgedIsThere(a *actor) {
	if a.outcome() != acknowledged {
		return
	}
	const name = "no acknowledged write lost"
	for _, key := range a.op.keys {
		if e.stored(a, string(key)) == 0 {
			e.fail(name, "%d never stored %s", a.n, key)
		}
	}
	if n := e.stored(a, string(visits)); a.op.counts && n != 1 && !e.cleared() {
		e.fail("no Update applied twice", "%d stored it %d times", a.n, n)
	}
	if t, ok := tokenOf(a.in); ok && a.op.destroys && e.records[t.id] != nil && e.admitted(a) {
		e.fail("a sign-out is final", "%d signed out of it", a.n)
	}
	limited := func(st *step) bool {
		return st.done && st.change != nil && st.change.IdleTimeout != nil && *st.change.IdleTimeout == ownIdle
	}
	if a.op.limits && a.out != nil && len(e.steps(a, limited)) == 0 {
		e.fail(name, "%d never stored its timeouts", a.n)
	}
	if a.op.resets && e.stored(a, string(visits)) == 0 {
		e.fail(name, "%d never set the count", a.n)
	}
	if a.op.user != "" && !a.fell && !e.signedIn(a) {
		e.fail(name, "%d is not signed in, and no actor ended its session", a.n)
	}
}

// stored counts the writes of a key by an actor or by another goroutine of its
// request.
func (e *end) stored(a *actor, key string) (n int) {
	for _, st := range e.world.log {
		if a.with(st.actor) && st.stores(key) {
			n++
		}
	}
	return n
}

// cleared reports whether one goroutine of a request clears the values stored
// by another.
func (e *end) cleared() bool {
	return e.sc.group && slices.ContainsFunc(e.actors, func(a *actor) bool { return a.op.clears })
}

// signedIn reports whether the cookie in an actor's response opens a session of
// the user, or a session ended since by a permitted actor.
func (e *end) signedIn(a *actor) bool {
	t, ok := tokenOf(a.out)
	if !ok {
		return false
	}
	rec := e.records[t.id]
	return rec == nil && e.any(func(st *step) bool { return st.ends(t.id) }) ||
		rec != nil && rec.User == a.op.user
}
