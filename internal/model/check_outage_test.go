package model_test

import (
	"net/http"

	"github.com/holdfast-go/session"
)

// signsNobodyOut requires a 503 response to leave an admitted browser with the
// cookie of a live session. It does not apply if the request itself or another
// actor has ended or renewed the session.
func (e *end) signsNobodyOut(a *actor) {
	before, _ := tokenOf(a.in)
	after, _ := tokenOf(a.keptCookie())
	ended := func(st *step) bool {
		if st.actor == a {
			return st.ends(before.id) && (a.op.destroys || a.op.revokesAll)
		}
		return st.concerns(before.id) || st.concerns(after.id)
	}
	if !e.admitted(a) || a.outcome() != unsure || a.dead() || e.lostToken(a) || e.any(ended) {
		return
	}
	if s := e.ask(a.keptCookie()); s == nil || s.ID().IsZero() {
		e.fail("an outage signs nobody out", "the cookie of %d opens no session: %v", a.n, a.err)
	}
}

// lostToken reports whether an actor made a token and could not learn of it:
// the reply was lost, and then the store failed.
func (e *end) lostToken(a *actor) bool {
	return len(e.steps(a, func(st *step) bool {
		return st.fault == appliedDown && (st.renewal() || st.what == "insert")
	})) > 0
}

// concerns reports whether a step ends or renews a session, or revokes
// sign-ins.
func (st *step) concerns(id session.ID) bool {
	return st.ends(id) || st.id == id && st.renewal() || isMarker(st.id) && st.done
}

// keptCookie returns the browser's cookie after the response.
func (a *actor) keptCookie() *http.Cookie {
	switch {
	case a.out == nil:
		return a.in
	case a.out.MaxAge < 0:
		return nil
	}
	return a.out
}

// failedSignInActsForNobody checks a failed sign-in followed by Discard. The
// session must be unchanged or have no user, and the client must have the
// cookie of the session with its later values.
func (e *end) failedSignInActsForNobody(a *actor) {
	const name = "a failed sign-in has no user"
	if !a.fell {
		return
	}
	renewed := len(e.steps(a, (*step).renewal)) > 0
	if a.after != "" && (a.after != a.user || renewed) {
		e.fail(name, "%d acted for %q", a.n, a.after)
	}
	if a.outcome() != acknowledged {
		return
	}
	for _, st := range e.steps(a, func(st *step) bool { return st.stores(string(color)) }) {
		if t, ok := tokenOf(a.keptCookie()); ok && t.id == st.id && t.opens(e.records[t.id]) {
			continue
		}
		if !e.any(func(o *step) bool { return o.actor != a && o.concerns(st.id) }) {
			e.fail(name, "%d stored a value in a session not opened by its cookie", a.n)
		}
	}
}
