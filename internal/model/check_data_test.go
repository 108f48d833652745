package model_test

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/holdfast-go/session"
)

// sawOnlyItsOwn requires every value seen by a request to be stored for its
// user. A user sees anonymous values only if the session was anonymous at
// admission.
func (e *end) sawOnlyItsOwn(a *actor) {
	for _, s := range a.sights {
		if s.of != "" && s.of != s.to {
			e.fail("nothing of one user for another", "%d, as %q, saw a value stored for %q", a.n, s.to, s.of)
		}
	}
}

// lastWriteWins requires the value of a key to come from an actor that may have
// been the last to write it.
func (e *end) lastWriteWins(rec *session.Record, key session.Key[mark]) {
	const name = "no acknowledged write lost"
	is, there := rec.Values[string(key)]
	last := e.writer(rec.ID, string(key), is.Version)
	if there && last != nil && last.outcome() == refused && (last.op.last == "" || last.op.last == string(key)) {
		e.fail(name, "%s has the value of the refused %d", key, last.n)
	}
	for _, a := range e.actors {
		wrote := len(e.steps(a, func(st *step) bool { return st.id == rec.ID && st.stores(string(key)) })) > 0
		if a == last || a.outcome() != acknowledged || !wrote {
			continue
		}
		switch {
		case last == nil:
			e.fail(name, "%s of %d is lost", key, a.n)
		case e.precedes(last, a):
			e.fail(name, "%s of %d is lost, although %d wrote earlier", key, a.n, last.n)
		}
	}
	if _, was := valuesOf(e.start[rec.ID])[string(key)]; was && last == nil && !there {
		e.fail(name, "%s is lost", key)
	}
}

// writer returns the last actor to write a version of a key or to remove the
// key. It returns nil if there is no such actor.
func (e *end) writer(id session.ID, key string, version int64) *actor {
	for _, st := range slices.Backward(e.world.log) {
		if st.id != id || !st.stores(key) {
			continue
		}
		values := valuesOf(st.record)
		if st.change != nil {
			values = st.change.Set
		}
		if values[key].Version == version {
			return st.actor
		}
	}
	return nil
}

// countIsExact requires Updates to be neither lost nor applied twice.
func (e *end) countIsExact(rec *session.Record) {
	if slices.ContainsFunc(e.actors, func(a *actor) bool { return a.op.clears || a.op.resets }) {
		return // it resets the count
	}
	least := counted(e.start[rec.ID])
	most := least
	for _, a := range e.actors {
		if !a.op.counts {
			continue
		}
		here := slices.ContainsFunc(e.world.log, func(st *step) bool {
			return st.id == rec.ID && st.stores(string(visits)) && a.with(st.actor)
		})
		if a.outcome() == acknowledged && here {
			least, most = least+1, most+1
		}
		if a.outcome() == unsure {
			most++
		}
	}
	if n := counted(rec); n < least || n > most {
		e.fail("no Update applied twice", "the count is %d, want %d to %d", n, least, most)
	}
}

// repeatsUndoNothing requires that a repeated write never overwrites a value
// stored by another actor in between. A repeated Clear must not remove one
// either.
func (e *end) repeatsUndoNothing() {
	log := e.world.log
	for i, st := range log {
		if !st.done || st.change == nil || isMarker(st.id) {
			continue
		}
		for _, key := range []string{string(color), string(shape), string(visits)} {
			first := slices.IndexFunc(log[:i], func(o *step) bool { return o.actor == st.actor && o.writesSame(st, key) })
			if first >= 0 && slices.ContainsFunc(log[first:i], func(o *step) bool {
				return o.actor != st.actor && o.id == st.id && o.stores(key)
			}) {
				e.fail("a repetition undoes nothing", "%d wrote %s twice, and another actor in between", st.actor.n, key)
			}
		}
	}
}

// writesSame reports whether two steps write the same version of a key or both
// remove it with all other keys.
func (st *step) writesSame(o *step, key string) bool {
	return st.id == o.id && st.stores(key) && o.stores(key) && st.version(key) == o.version(key)
}

// version returns the version of a key written by a step, or 0 if the step
// removes the key.
func (st *step) version(key string) int64 {
	values := valuesOf(st.record)
	if st.change != nil {
		values = st.change.Set
	}
	return values[key].Version
}

// getFollowsUpdate requires Get to return the result of an Update in the same
// request.
func (e *end) getFollowsUpdate(a *actor) {
	if a.shares == nil || a.stored == 0 || e.faulted || slices.ContainsFunc(e.actors, func(a *actor) bool { return a.op.clears || a.op.destroys }) {
		return
	}
	if v, _ := visits.Get(a.shares); v.N < a.stored {
		e.fail("Get follows Update", "Get returned %d, Update stored %d", v.N, a.stored)
	}
}

// counted returns the count stored in a record.
func counted(rec *session.Record) int {
	var v tally
	_ = json.Unmarshal(valuesOf(rec)[string(visits)].Data, &v)
	return v.N
}

// ofOneUser requires every value in a session to be stored for its user.
func (e *end) ofOneUser(rec *session.Record) {
	for key, v := range rec.Values {
		var by struct{ User string }
		if err := json.Unmarshal(v.Data, &by); err != nil || by.User != "" && by.User != rec.User {
			e.fail("nothing of one user for another", "%s in the session of %q was stored for %q", key, rec.User, by.User)
		}
	}
}

// limitsAgree requires touches to keep the timeouts shortened by SetTimeouts.
func (e *end) limitsAgree(rec *session.Record) {
	idle := rec.IdleTimeout
	if idle == 0 || e.sc.idle > 0 || // a delayed write has an earlier time
		!rec.ExpiresAt.After(rec.LastSeenAt.Add(idle+time.Second)) {
		return
	}
	e.fail("timeouts stay", "the session expires %v after its last activity, its idle timeout is %v", rec.ExpiresAt.Sub(rec.LastSeenAt), idle)
}
