package model_test

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/holdfast-go/session"
)

// revokedStaysRevoked: after an acknowledged revocation, no session is left of
// a sign-in whose request was admitted before it. One whose process died
// before it read the marker may be, whose token nobody has: whoever joins it is
// judged by the marker too.
func (e *end) revokedStaysRevoked(a *actor) {
	if !a.op.revokes || a.outcome() != acknowledged || a.op.alone == nil && a.user == "" && a.op.user == "" {
		return
	}
	const name = "no revoked session back"
	keeps := e.keeps(a)
	for id, rec := range e.records {
		if rec.User != a.revokes() || id == keeps {
			continue
		}
		if st := e.start[id]; st != nil && st.User == rec.User {
			e.fail(name, "%d revoked it", a.n)
		}
		for _, o := range e.actors {
			before := o != a && o.op.user == rec.User && (e.revokedBy(o) || o.began.Before(a.began)) && !o.op.revokes
			if before && e.signedInWith(o.out, rec) {
				e.fail(name, "%d signed in though it was admitted before %d", o.n, a.n)
			}
		}
	}
}

// signedInWith tells whether a cookie opens a session: an unsettled one only if
// no revocation refuses it.
func (e *end) signedInWith(c *http.Cookie, rec *session.Record) bool {
	t, ok := tokenOf(c)
	return ok && t.opens(rec) && !e.revokedSince(t)
}

// endedOneByOne: a session that was revoked by its ID is gone.
func (e *end) endedOneByOne(a *actor) {
	for _, id := range a.revoked {
		if e.records[id] != nil {
			e.fail("no revoked session back", "%d revoked %s", a.n, e.name(id))
		}
	}
}

// keeps is the session that a RevokeOthers leaves.
func (e *end) keeps(a *actor) session.ID {
	if a.op.alone != nil {
		return session.ID{}
	}
	if t, ok := tokenOf(a.out); ok {
		return t.id
	}
	t, _ := tokenOf(a.in)
	return t.id // or, by one that revokes all, nothing: it has deleted that
}

// revokedBy tells whether another actor has revoked what a signed in to.
func (e *end) revokedBy(a *actor) bool {
	return e.any(func(st *step) bool {
		return st.actor != a && st.actor.revokes() == a.op.user && isMarker(st.id) && st.done && a.began.UnixNano() < st.marker().NotBefore
	})
}

// endedByID tells whether somebody began to revoke the session by its ID.
func (e *end) endedByID(id session.ID) bool {
	return e.any(func(st *step) bool {
		return isMarker(st.id) && st.done && st.marker().ended(id)
	})
}

// revokes names the user whose sessions an actor revokes.
func (a *actor) revokes() string {
	if a.op.alone != nil {
		return "ann"
	}
	return cmp.Or(a.op.user, a.user)
}

// marker is the content of the record that a revocation leaves.
type marker struct {
	NotBefore int64
	Ended     map[string]int64
}

func (m marker) ended(id session.ID) bool {
	_, ok := m.Ended[id.String()]
	return ok
}

// marker reads it from the step that writes it.
func (st *step) marker() (m marker) {
	values := valuesOf(st.record)
	if st.change != nil {
		values = st.change.Set
	}
	_ = json.Unmarshal(values["revoked"].Data, &m)
	return m
}

// deletedByRight: a record is deleted only by who may.
func (e *end) deletedByRight() {
	for _, st := range e.world.log {
		if st.what != "delete" || !st.done {
			continue
		}
		a := st.actor
		t, _ := tokenOf(a.in)
		switch {
		case a.op.revokesAll,
			slices.ContainsFunc(e.actors, func(o *actor) bool { return o.with(a) && o.op.destroys }),
			a.op.revokes && st.id != e.keeps(a),
			// A revoked sign-in takes back what it did, and with it a session
			// that it joined or that a RevokeOthers would have kept: design.md,
			// "Revoking a user".
			a.op.user != "" && (e.revokedBy(a) || e.endedByID(st.id)),
			e.takesBack(st),
			e.revokedSince(t) && st.id == t.id,
			a.op.user != "" && st.id == t.id && a.op.user != a.user && a.user != "",
			a.op.user != "" && e.sc.cap:
		default:
			e.fail("ended by right", "%d deleted %s", a.n, e.name(st.id))
		}
	}
	for id := range e.start {
		if e.records[id] == nil && !e.any(func(st *step) bool { return st.ends(id) }) {
			e.fail("ended by right", "%s is gone", e.name(id))
		}
	}
}

// takesBack tells whether a record that an actor deletes is one that it has
// made, in a sign-in that it does not acknowledge or makes again.
func (e *end) takesBack(st *step) bool {
	a := st.actor
	t, _ := tokenOf(a.out)
	log := e.world.log
	again := slices.ContainsFunc(log[slices.Index(log, st):], func(o *step) bool {
		return o.actor == a && o.what == "insert" && o.done && o.id == st.id
	})
	return e.inserted(a, st.id) && (a.outcome() != acknowledged || t.id != st.id || again)
}

// capKeeps: of sign-ins that are all acknowledged, as many stay as the maximum
// allows.
func (e *end) capKeeps() {
	failed := func(a *actor) bool { return a.outcome() != acknowledged }
	switch {
	case !e.sc.cap || len(e.records) > 0 || slices.ContainsFunc(e.actors, failed):
	default:
		e.fail("no acknowledged write lost", "sign-ins at the maximum have ended each other")
	}
}
