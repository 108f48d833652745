package model_test

import "github.com/holdfast-go/session"

// reportedOnce requires each step in the life of a session to be reported at most
// once, and only if the store has done it. In handlers, an acknowledged sign-in is
// reported by its request or by the one whose renewal it has joined.
func (e *end) reportedOnce() {
	const name = "a step is reported once"
	created, evicted, signedIn := map[session.ID]int{}, map[session.ID]int{}, map[session.ID]int{}
	for _, a := range e.actors {
		signIns, ended := map[session.ID]int{}, map[session.ID]int{}
		for _, ev := range a.events {
			id := ev.ID
			switch ev.Kind {
			case session.EventCreated:
				created[id]++
				if !e.any(func(st *step) bool { return st.actor.with(a) && st.what == "insert" && st.done && st.id == id }) {
					e.fail(name, "%d created %s, but the store did not", a.n, e.name(id))
				}
			case session.EventSignedIn:
				signIns[id]++
				signedIn[id]++
			case session.EventRenewed:
				if !e.any(func(st *step) bool { return st.actor.with(a) && st.id == id && st.renewal() }) {
					e.fail(name, "%d renewed %s, but the store did not", a.n, e.name(id))
				}
			case session.EventEvicted:
				evicted[id]++
				fallthrough
			case session.EventSignedOut, session.EventRevoked:
				ended[id]++
				if !e.any(func(st *step) bool { return st.ends(id) }) {
					e.fail(name, "%d ended %s, but the store did not", a.n, e.name(id))
				}
			}
		}
		for _, count := range []map[session.ID]int{signIns, ended} {
			for id, n := range count {
				if n > 1 {
					e.fail(name, "%d signed in to %s or ended it %d times", a.n, e.name(id), n)
				}
			}
		}
		// The result of these is that of a later step.
		switch again := a.op.again || a.fell || a.op.counts || a.op.last != ""; {
		case len(signIns) > 0 && a.outcome() == refused && !again:
			e.fail(name, "%d was refused and reported a sign-in", a.n)
		case len(signIns) == 0 && a.wrapped && a.op.user != "" && a.outcome() == acknowledged && !again && !e.joined(a):
			e.fail(name, "%d did not report its sign-in", a.n)
		}
	}
	for id, n := range signedIn {
		// Several sign-ins may join one renewal that was no sign-in. None of them
		// writes its time, so each is reported.
		plain := e.any(func(st *step) bool { return st.id == id && st.renewal() && st.actor.op.user == "" })
		if writes := e.signIns(id); n > writes && !plain {
			e.fail(name, "%s: %d sign-ins reported, %d written", e.name(id), n, writes)
		}
	}
	for _, count := range []map[session.ID]int{created, evicted} {
		for id, n := range count {
			if n > 1 {
				e.fail(name, "%s: %d reports", e.name(id), n)
			}
		}
	}
}

// signIns returns the number of writes that signed a user in to a session.
func (e *end) signIns(id session.ID) (n int) {
	for _, st := range e.world.log {
		inserts := st.what == "insert" && st.record != nil && st.record.User != ""
		// An insert that is repeated replaces the data of the first.
		updates := st.change != nil && !st.change.SignedInAt.IsZero() && (st.change.Salt != nil || st.change.Replace)
		if st.done && st.id == id && (inserts || updates) {
			n++
		}
	}
	return n
}

// joined reports whether another actor may have made the renewal of a's sign-in.
func (e *end) joined(a *actor) bool {
	for _, o := range e.actors {
		if o != a && o.op.user == a.op.user && (o.outcome() != acknowledged || len(o.events) > 0) {
			return true
		}
	}
	return false
}
