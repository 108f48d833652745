package model_test

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/holdfast-go/session"
)

// revokedStaysRevoked requires an acknowledged revocation to leave no session
// of a sign-in whose request was admitted before it. The exception is a process
// that died before it read the marker. No client has its token, and the marker
// also applies to requests that join it.
func (e *end) revokedStaysRevoked(a *actor) {
	if !a.op.revokes || a.outcome() != acknowledged || a.op.alone == nil && a.user == "" && a.op.user == "" {
		return
	}
	const name = "a revocation is final"
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
				e.fail(name, "%d signed in, although it was admitted before %d", o.n, a.n)
			}
		}
	}
}

// signedInWith reports whether a cookie opens a session. An unsettled token
// does so only if no revocation refuses it.
func (e *end) signedInWith(c *http.Cookie, rec *session.Record) bool {
	t, ok := tokenOf(c)
	return ok && t.opens(rec) && !e.revokedSince(t)
}

// endedOneByOne requires the sessions revoked by ID to be gone.
func (e *end) endedOneByOne(a *actor) {
	for _, id := range a.revoked {
		if e.records[id] != nil {
			e.fail("a revocation is final", "%d revoked %s", a.n, e.name(id))
		}
	}
}

// keeps returns the session spared by RevokeOthers.
func (e *end) keeps(a *actor) session.ID {
	if a.op.alone != nil {
		return session.ID{}
	}
	if t, ok := tokenOf(a.out); ok {
		return t.id
	}
	t, _ := tokenOf(a.in)
	return t.id // for RevokeAll there is none, because it has deleted that session
}

// revokedBy reports whether another actor has revoked the sign-in of a.
func (e *end) revokedBy(a *actor) bool {
	return e.any(func(st *step) bool {
		return st.actor != a && st.actor.revokes() == a.op.user && isMarker(st.id) && st.done && a.began.UnixNano() < st.marker().NotBefore
	})
}

// endedByID reports whether an actor began to revoke the session by its ID.
func (e *end) endedByID(id session.ID) bool {
	return e.any(func(st *step) bool {
		return isMarker(st.id) && st.done && st.marker().ended(id)
	})
}

// revokes returns the user whose sessions an actor revokes.
func (a *actor) revokes() string {
	if a.op.alone != nil {
		return "ann"
	}
	return cmp.Or(a.op.user, a.user)
}

// marker is the content of the record written by a revocation.
type marker struct {
	NotBefore int64
	Ended     map[string]int64
}

func (m marker) ended(id session.ID) bool {
	_, ok := m.Ended[id.String()]
	return ok
}

// marker returns the marker written by a step.
func (st *step) marker() (m marker) {
	values := valuesOf(st.record)
	if st.change != nil {
		values = st.change.Set
	}
	_ = json.Unmarshal(values["revoked"].Data, &m)
	return m
}

// deletedByRight requires deletions to come from permitted actors only.
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
			// A revoked sign-in reverts its changes. This also ends a session that
			// it joined or that a RevokeOthers would have kept; see "Revoking a
			// user" in docs/explanation/design.md.
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

// takesBack reports whether an actor deletes its own new record in an
// unacknowledged or repeated sign-in.
func (e *end) takesBack(st *step) bool {
	a := st.actor
	t, _ := tokenOf(a.out)
	log := e.world.log
	again := slices.ContainsFunc(log[slices.Index(log, st):], func(o *step) bool {
		return o.actor == a && o.what == "insert" && o.done && o.id == st.id
	})
	return e.inserted(a, st.id) && (a.outcome() != acknowledged || t.id != st.id || again)
}

// capKeeps requires acknowledged sign-ins to leave as many sessions as the
// maximum allows.
func (e *end) capKeeps() {
	failed := func(a *actor) bool { return a.outcome() != acknowledged }
	switch {
	case !e.sc.cap || len(e.records) > 0 || slices.ContainsFunc(e.actors, failed):
	default:
		e.fail("no acknowledged write lost", "sign-ins at the maximum ended each other")
	}
}
