package model_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/holdfast-go/session"
)

// outcome is the result reported to an actor.
type outcome int

const (
	acknowledged outcome = iota
	refused              // an error that means that nothing was stored
	unsure               // another error, or no response
)

func (a *actor) outcome() outcome {
	switch {
	case a.dead():
		return unsure
	case a.err == nil:
		return acknowledged
	case errors.Is(a.err, session.ErrUncertain) || session.HTTPStatus(a.err) == http.StatusServiceUnavailable:
		return unsure
	default:
		return refused
	}
}

func (a *actor) dead() bool { return a.befell(crashed) }

func (a *actor) befell(faults ...fault) bool {
	return slices.ContainsFunc(a.world.log, func(st *step) bool { return st.actor == a && slices.Contains(faults, st.fault) })
}

// end is a finished run to be judged.
type end struct {
	*world
	order
	sc      *scenario
	records map[session.ID]*session.Record // the existing sessions
	asker   *session.Manager               // the Manager of a new process
	faults  []broken
}

// broken is an invariant violated by a run.
type broken struct{ invariant, how string }

func (e *end) fail(invariant, how string, args ...any) {
	e.faults = append(e.faults, broken{invariant, fmt.Sprintf(how, args...)})
}

// judge checks all invariants.
func (sc *scenario) judge(st *stage, w *world) []broken {
	st.mem.Store = w.mem
	e := &end{asker: st.after, world: w, order: newOrder(w.log), sc: sc, records: map[session.ID]*session.Record{}}
	for id := range w.seen() {
		if rec, err := w.mem.Load(context.Background(), id); err == nil && rec.Verifier != nil && rec.ExpiresAt.After(rec.CreatedAt) {
			e.records[id] = rec
		}
	}
	for _, a := range w.actors {
		e.answered(a)
		e.nothingOfRefused(a)
		e.acknowledgedIsThere(a)
		e.sawOnlyItsOwn(a)
		e.supersededDoesNothing(a)
		e.tokenWorks(a)
		e.oldTokenIsDead(a)
		e.reloadKnowsItsToken(a)
		e.revokedStaysRevoked(a)
		e.endedOneByOne(a)
		e.signsNobodyOut(a)
		e.failedSignInActsForNobody(a)
		e.onlySignInsJoin(a)
		e.readsNothingPast(a)
		e.getFollowsUpdate(a)
	}
	e.reportedOnce()
	e.deletedByRight()
	e.repeatsUndoNothing()
	e.capKeeps()
	e.asked()
	for _, rec := range e.records {
		e.lastWriteWins(rec, color)
		e.lastWriteWins(rec, shape)
		e.countIsExact(rec)
		e.ofOneUser(rec)
		e.limitsAgree(rec)
		e.owned(rec)
	}
	return e.faults
}

// steps returns the steps of an actor for which fits is true.
func (e *end) steps(a *actor, fits func(*step) bool) []*step {
	var found []*step
	for _, st := range e.world.log {
		if st.actor == a && fits(st) {
			found = append(found, st)
		}
	}
	return found
}

func (e *end) any(fits func(*step) bool) bool { return slices.ContainsFunc(e.world.log, fits) }

func isMarker(id session.ID) bool { return id[6]>>4 == 8 }

// renewal reports whether a step changed a token.
func (st *step) renewal() bool { return st.done && st.change != nil && st.change.Salt != nil }

// ends reports whether a step ended a session. A sign-in beyond the maximum
// ends one by expiring it and setting a verifier without a matching secret.
func (st *step) ends(id session.ID) bool {
	displaced := st.done && st.change != nil && st.change.Verifier != nil && st.change.Salt == nil
	return st.id == id && (st.what == "delete" && st.done || displaced) || st.what == "reap"
}

// stores reports whether a step wrote a key.
func (st *step) stores(key string) bool {
	if !st.done {
		return false
	}
	if st.change != nil {
		_, ok := st.change.Set[key]
		return ok || st.change.Replace
	}
	_, ok := valuesOf(st.record)[key]
	return st.what == "insert" && ok
}

func (e *end) inserted(a *actor, id session.ID) bool {
	return e.any(func(st *step) bool { return st.actor == a && st.what == "insert" && st.done && st.id == id })
}

func valuesOf(rec *session.Record) map[string]session.Value {
	if rec == nil {
		return nil
	}
	return rec.Values
}
