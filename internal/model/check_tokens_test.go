package model_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-go/session"
)

// admitted reports whether the actor's cookie opened a live session at the
// start. A request admitted to a session may still save and touch it after it
// has expired; see "Admit" in docs/explanation/design.md.
func (e *end) admitted(a *actor) bool {
	t, adm := e.admission(a)
	return adm != nil && t.opens(adm.record) && a.began.Before(adm.record.ExpiresAt)
}

// admission returns the step in which the session of the actor's cookie was
// loaded.
func (e *end) admission(a *actor) (t token, st *step) {
	t, ok := tokenOf(a.in)
	if !ok || a.shares != nil { // its request was admitted earlier
		return t, nil
	}
	found := e.steps(a, func(st *step) bool { return st.what == "load" && st.id == t.id })
	if len(found) == 0 {
		return t, nil
	}
	return t, found[0]
}

// superseded reports whether the actor's token had been renewed within the last
// 30 s.
func (e *end) superseded(a *actor) bool {
	t, adm := e.admission(a)
	return adm != nil && adm.record != nil && !t.opens(adm.record) && a.began.Before(adm.record.RenewedAt.Add(30*time.Second))
}

// supersededDoesNothing requires a superseded token to read nothing, write
// nothing, create nothing and set no cookie for 30 s. A sign-in may join the
// one by which it was superseded. If that session has ended, the sign-in may
// start another one.
func (e *end) supersededDoesNothing(a *actor) {
	const name = "a superseded token does nothing"
	if !e.superseded(a) {
		return
	}
	joins := a.op.user != ""
	if a.user != "" || len(a.sights) > 0 && !joins {
		e.fail(name, "%d read the session", a.n)
	}
	if a.op.writes() && !joins && !a.dead() && !a.op.late && !a.op.gone && !errors.Is(a.err, session.ErrSuperseded) {
		e.fail(name, "%d got the result %v", a.n, a.err)
	}
	if a.op.reloads && !errors.Is(a.err, session.ErrSuperseded) {
		e.fail(name, "%d reloaded: %v", a.n, a.err)
	}
	if !joins && a.out != nil {
		e.fail(name, "%d set a cookie", a.n)
	}
	for _, st := range e.steps(a, func(st *step) bool { return st.done && !isMarker(st.id) }) {
		if !joins || !e.joining(a, st) {
			e.fail(name, "%d did %s", a.n, st.what)
		}
	}
}

// joining reports whether a sign-in with a superseded token may take a step.
func (e *end) joining(a *actor, st *step) bool {
	switch st.what {
	case "update":
		// The sign-in has joined and is repeated after a failure.
		return !st.renewal() || a.befell(outages...)
	case "insert":
		t, _ := tokenOf(a.in)
		return e.endedBefore(t.id, st)
	case "delete":
		return e.revokedBy(a) || a.op.revokes
	}
	return false
}

// endedBefore reports whether a session ended before a step.
func (e *end) endedBefore(id session.ID, before *step) bool {
	log := e.world.log
	return slices.ContainsFunc(log[:slices.Index(log, before)], func(st *step) bool { return st.ends(id) })
}

// tokenWorks requires the cookie of an acknowledged response to open the
// session. It does not apply if a permitted actor ended the session, or if the
// cookie itself was used to renew it. So two renewals of one token agree, or
// one of them fails.
func (e *end) tokenWorks(a *actor) {
	t, ok := tokenOf(a.out)
	if !ok || a.outcome() != acknowledged {
		return
	}
	rec := e.records[t.id]
	if rec == nil || t.opens(rec) {
		return // deletedByRight checks the missing record
	}
	if e.any(func(st *step) bool {
		return st.id == t.id && st.renewal() && bytes.Equal(st.change.If.Verifier, t.verifier[:])
	}) {
		return
	}
	e.fail("renewals agree", "the cookie of %d opens no session", a.n)
}

// oldTokenIsDead requires the old token to be invalid after an acknowledged
// renewal.
func (e *end) oldTokenIsDead(a *actor) {
	t, ok := tokenOf(a.in)
	if ok && a.outcome() == acknowledged && a.op.renews && !a.fell && e.works(t) && e.admitted(a) {
		e.fail("no two live tokens", "the token renewed by %d still works", a.n)
	}
	made := map[session.ID]bool{}
	for id := range e.records {
		if e.inserted(a, id) {
			made[id] = true
		}
	}
	if len(made) > 1 && !e.lostToken(a) {
		e.fail("no two live tokens", "%d made %d records", a.n, len(made))
	}
}

// reloadKnowsItsToken requires Reload to read nothing written after a renewal.
func (e *end) reloadKnowsItsToken(a *actor) {
	if !a.op.reloads || a.err != nil || a.dead() {
		return
	}
	t, _ := e.admission(a)
	loads := e.steps(a, func(st *step) bool { return st.what == "load" })
	if len(loads) > 0 && !t.opens(loads[len(loads)-1].record) {
		e.fail("no reading past a sign-in", "%d reloaded a session after its renewal", a.n)
	}
}

// onlySignInsJoin requires the token made by another actor's renewal to reach
// only sign-ins within 30 s.
func (e *end) onlySignInsJoin(a *actor) {
	const name = "only a sign-in joins"
	t, ok := tokenOf(a.out)
	if !ok {
		return
	}
	made := func(st *step) bool {
		return !a.with(st.actor) && st.id == t.id && st.renewal() && bytes.Equal(st.change.Verifier, t.verifier[:])
	}
	if !e.any(made) {
		return
	}
	if !slices.ContainsFunc(e.actors, func(o *actor) bool { return o.with(a) && o.op.user != "" }) {
		e.fail(name, "%d got the token of another request", a.n)
	}
	found := e.steps(a, func(st *step) bool { return st.what == "load" && t.opens(st.record) })
	if len(found) == 0 {
		return // it found its own token, which the other actor has renewed in between
	}
	if since := found[0].at.Sub(found[0].record.RenewedAt); since >= 30*time.Second {
		e.fail(name, "%d got a token made by another request %v before", a.n, since)
	}
}

// readsNothingPast requires an Update without a sign-in to see no value that
// another request stored after it had renewed the token of the Update.
func (e *end) readsNothingPast(a *actor) {
	t, adm := e.admission(a)
	if adm == nil || a.op.user != "" {
		return
	}
	log := e.world.log
	for _, v := range a.counted {
		if v.By == 0 || v.By == a.n {
			continue
		}
		renewed := false
		for _, st := range log[slices.Index(log, adm):] {
			if st.actor.n != v.By || st.id != t.id {
				continue
			}
			renewed = renewed || st.renewal()
			if renewed && st.stores(string(visits)) {
				e.fail("no reading past a sign-in", "an Update of %d saw a value stored by %d after its renewal", a.n, v.By)
			}
		}
	}
}

// owned requires a client to have the token of each session, or to get it by
// signing in again. It does not apply after a crash. It does not apply either
// if an outage hid a new token from the library or prevented the deletion of a
// revoked session.
func (e *end) owned(rec *session.Record) {
	holds := func(c *http.Cookie) bool { t, ok := tokenOf(c); return ok && t.opens(rec) }
	for _, a := range e.actors {
		if !a.dead() && holds(a.out) || holds(a.in) || e.lostToken(a) || e.revokedBy(a) && a.outcome() == unsure {
			return
		}
	}
	for _, st := range e.from {
		if holds(st.cookie) {
			return
		}
	}
	made := func(st *step) bool { return st.id == rec.ID && (st.what == "insert" && st.done || st.renewal()) }
	if e.any(func(st *step) bool { return st.actor.dead() && made(st) }) || e.joinable(rec) {
		return
	}
	e.fail("each session has an owner", "nobody has the token of %s (%q)", e.name(rec.ID), rec.User)
}

// joinable reports whether a browser gets the session by signing in again.
func (e *end) joinable(rec *session.Record) bool {
	if rec.User == "" {
		return false
	}
	for _, b := range e.browsers {
		if t, _ := tokenOf(b.cookie); t.id != rec.ID {
			continue
		}
		if s := e.ask(b.cookie); s != nil {
			s.SignIn(rec.User)
			if s.Save(context.Background()) == nil && s.ID() == rec.ID {
				return true
			}
		}
	}
	return false
}

// ask sends a request to a new process.
func (e *end) ask(c *http.Cookie) *session.Session {
	s, err := e.asker.Load(context.Background(), (&actor{in: c}).cookies())
	if err != nil {
		return nil
	}
	return s
}

// asked sends a request with every existing cookie and compares the responses
// with the records.
func (e *end) asked() {
	known := map[token]*http.Cookie{}
	for _, c := range e.cookies() {
		if t, ok := tokenOf(c); ok {
			known[t] = c
		}
	}
	// Admitting an unsettled token may delete the record.
	unsettledLast := func(a, b token) int { return cmp.Compare(min(a.unsettled, 1), min(b.unsettled, 1)) }
	for _, t := range slices.SortedFunc(maps.Keys(known), unsettledLast) {
		s := e.ask(known[t])
		rec := e.records[t.id]
		works := e.works(t)
		switch {
		case s == nil:
			e.fail("one response", "a request afterwards failed")
		case works != (s.ID() == t.id):
			e.fail("only the record's token works", "works: %v, the record's: %v", !works, works)
		case !works && s.User() != "", works && s.User() != rec.User:
			e.fail("only the record's token works", "user %q", s.User())
		}
	}
}

// works reports whether, according to the records, a token opens a live
// session.
func (e *end) works(t token) bool {
	rec := e.records[t.id]
	return t.opens(rec) && time.Now().Before(rec.ExpiresAt) && !e.revokedSince(t)
}

// revokedSince reports whether a revocation refuses an unsettled token.
func (e *end) revokedSince(t token) bool {
	rec := e.records[t.id]
	return t.unsettled != 0 && rec != nil && e.any(func(st *step) bool {
		return isMarker(st.id) && st.done && st.actor.revokes() == rec.User && (st.marker().NotBefore > t.unsettled || st.marker().ended(t.id))
	})
}

func (e *end) cookies() []*http.Cookie {
	var found []*http.Cookie
	for _, st := range e.from {
		found = append(found, st.cookie)
	}
	for _, a := range e.actors {
		found = append(found, a.out)
	}
	return found
}
