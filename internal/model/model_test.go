// Package model_test explores all interleavings of requests, clock changes and
// faults for a session. It runs the library's real code on a store that stops
// before each operation. After each run it checks the guarantees.
//
// By default it takes all pairs with faults and all triples without. With
// -short it takes the pairs of the main operations. MODEL=full adds all triples
// with faults.
package model_test

import (
	"os"
	"slices"
	"testing"
	"time"
)

var full = os.Getenv("MODEL") == "full"

var (
	// base are the operations named in the guarantees.
	base = []op{set, setOther, update, touch, renew, timeouts, loginAnn, loginBob, destroy, all, others, reload, read}
	// more are combinations of these and other operations.
	more = []op{loginCount, clearAll, loginSet, renewSet, bye, save, password, one, each, job}
	// inHandler are operations that make sense only in Manager.Wrap.
	inHandler = []op{lateSet, lateDestroy, lateRenew, goneLogin, goneSet}
)

func TestPairs(t *testing.T) {
	ops := slices.Concat(base, more)
	if testing.Short() {
		ops = append(slices.Clone(base), loginCount)
	}
	checkAll(t, "pairs", combine(2, ops, scenario{faults: lostReplies}))
}

// TestPairs_Repeat covers requests that save again after an unacknowledged
// Save, or set a key updated by other requests.
func TestPairs_Repeat(t *testing.T) {
	counts, again := []op{setCount, renewCount}, []op{setAgain, clearAgain, renewAgain, change}
	onCount, others := []op{update, loginCount, renewCount, setCount, clearAll, renew, destroy}, []op{set, update, renewSet, loginAnn, destroy, all}
	if testing.Short() {
		onCount, again, others = onCount[:2], again[:2], others[:2]
	}
	checkAll(t, "pairs with repeated saves", slices.Concat(
		against(counts, onCount, scenario{faults: lostReplies}),
		against(again, others, scenario{faults: lostReplies})))
}

// TestPairs_InHandlers adds the effects of Manager.Wrap: the commit before the
// first byte, late changes, and absent clients.
func TestPairs_InHandlers(t *testing.T) {
	ops := slices.Concat(base, []op{loginSet, bye, save}, inHandler)
	if testing.Short() {
		ops = slices.Concat([]op{set, touch, loginAnn, loginBob, destroy}, inHandler)
	}
	checkAll(t, "pairs in handlers", combine(2, ops, scenario{wrapped: true, faults: lostReplies}))
}

// TestPairs_OnTwoDevices covers the effects of one device on the session of
// another.
func TestPairs_OnTwoDevices(t *testing.T) {
	var list []*scenario
	first, second := []op{all, others, password, one, each, loginAnn}, slices.Concat(base, []op{loginSet, password, bye})
	if testing.Short() {
		first, second = []op{all, others, loginAnn}, base
	}
	for _, st := range []string{nothing, signedIn} {
		for _, a := range first {
			for _, b := range second {
				list = append(list, &scenario{state: st, ops: []op{a, b}, other: 1, faults: lostReplies})
			}
		}
		list = append(list, &scenario{state: st, ops: []op{loginAnn, loginAnn}, other: 1, cap: true, faults: lostReplies})
	}
	checkAll(t, "pairs on two devices", list)
}

// TestPairs_InOneProcess covers requests with a common Manager. They also wait
// for each other there.
func TestPairs_InOneProcess(t *testing.T) {
	var list []*scenario
	for _, st := range states {
		for _, b := range []op{update, set, loginAnn, loginBob, loginCount, renew, renewCount, setCount, destroy, save} {
			list = append(list, &scenario{state: st, ops: []op{update, b}, shared: true, faults: lostReplies})
		}
	}
	list = append(list,
		&scenario{state: anonymous, ops: []op{saveCount, loginCount}, shared: true, faults: lostReplies},
		&scenario{state: anonymous, ops: []op{update, update, update}, shared: true})
	checkAll(t, "pairs in one process", list)
}

// TestPairs_InAnOutage covers a failing store: at any operation after the
// admission, from then on, or after a write whose reply is lost.
func TestPairs_InAnOutage(t *testing.T) {
	first := []op{loginAnn, loginBob, loginElse, loginAgain, renew, renewAgain, setAgain, clearAgain, change, password, others, all, destroy}
	second := []op{read, update, loginAnn, loginCount, renew, destroy, all}
	if testing.Short() {
		first, second = []op{loginAnn, loginBob, loginElse, renewAgain, change}, []op{read, loginAnn, all}
	}
	list := against(first, second, scenario{faults: outages})
	if !testing.Short() {
		list = slices.Concat(list,
			against([]op{loginAnn, loginBob, renew, set, destroy, change}, []op{read, loginAnn}, scenario{faults: outages, wrapped: true}),
			against([]op{loginAnn}, []op{loginAnn}, scenario{faults: outages, other: 1, cap: true}))
	}
	checkAll(t, "pairs in an outage", list)
}

// TestGoroutines_OneRequest runs an Update and another call concurrently in one
// request, beside another request.
func TestGoroutines_OneRequest(t *testing.T) {
	var list []*scenario
	for _, st := range states {
		for _, b := range []op{saveSet, saveRenew, saveLogin, saveClear, saveBye, reloads} {
			list = append(list, &scenario{state: st, ops: []op{slowCount, b}, group: true, faults: slices.Concat(lostReplies, outages)})
			for _, c := range []op{update, loginCount, renew, destroy} {
				list = append(list, &scenario{state: st, ops: []op{slowCount, b, c}, group: true})
			}
		}
	}
	checkAll(t, "goroutines of one request", list)
}

// TestTimeouts lets a timeout pass at any moment: the 30 s of superseded
// tokens, the idle timeout, and the removal by the database.
func TestTimeouts(t *testing.T) {
	ops := []op{set, update, touch, renew, timeouts, loginAnn, loginBob, destroy, reload, read, save, job}
	if testing.Short() {
		ops = []op{set, renew, loginAnn, loginBob, destroy}
	}
	moments := []op{pass(31 * time.Second), pass(3 * time.Minute), reap(9 * time.Minute)}
	var list []*scenario
	for _, sc := range combine(2, ops, scenario{idle: 2 * time.Minute}) {
		for _, m := range moments {
			late := *sc
			late.ops = append([]op{m}, sc.ops...)
			list = append(list, &late)
		}
	}
	checkAll(t, "pairs and time", list)
}

func TestTriples(t *testing.T) {
	if testing.Short() {
		t.Skip("not with -short")
	}
	ops := base
	if !full {
		// The omitted operations behave much like Set and Renew, or, like a
		// touch, add many interleavings and few new cases.
		ops = []op{set, update, renew, loginAnn, loginBob, destroy, all, others, reload}
	}
	var faults []fault
	if full {
		faults = lostReplies
	}
	list := combine(3, ops, scenario{faults: faults})
	if !full {
		// Two revocations and a third operation have thousands of interleavings.
		list = slices.DeleteFunc(list, func(sc *scenario) bool { return sc.revocations() > 1 })
	}
	checkAll(t, "triples", list)
	checkAll(t, "triples with faults", triples())
}

func (sc *scenario) revocations() (n int) {
	for _, o := range sc.ops {
		if o.revokes {
			n++
		}
	}
	return n
}

// triples returns the triples whose result depends most on the third operation.
func triples() []*scenario {
	var list []*scenario
	for _, st := range states {
		for _, ops := range [][]op{
			{loginAnn, loginAnn, renew},
			{loginSet, loginAnn, renew},
			{renewSet, renewSet, renew},
			{renew, timeouts, set},
			{renew, set, destroy},
			{update, update, loginAnn},
			{update, update, destroy},
			{loginAnn, loginBob, set},
			{loginAnn, destroy, touch},
			{save, renew, destroy},
			{job, loginAnn, destroy},
			{setCount, update, renew},
			{setCount, update, update},
			{loginElse, renew, set},
			{loginCount, update, update},
			{renewCount, loginAnn, update},
		} {
			list = append(list, &scenario{state: st, ops: ops, faults: lostReplies})
		}
		// With a revocation among them, lost replies make half a million
		// interleavings, and eight minutes.
		for _, ops := range [][]op{{change, loginAnn, set}, {loginElse, all, set}} {
			sc := &scenario{state: st, ops: ops}
			if full {
				sc.faults = lostReplies
			}
			list = append(list, sc)
		}
	}
	return list
}

// combine returns all combinations of n operations, each in all states.
func combine(n int, ops []op, like scenario) []*scenario {
	var list []*scenario
	var choose func(chosen, rest []op)
	choose = func(chosen, rest []op) {
		if len(chosen) == n {
			for _, st := range states {
				sc := like
				sc.state, sc.ops = st, slices.Clone(chosen)
				list = append(list, &sc)
			}
			return
		}
		for i := range rest {
			choose(append(chosen, rest[i]), rest[i:])
		}
	}
	choose(nil, ops)
	return list
}

// against returns each operation of first with each of second, in all states.
func against(first, second []op, like scenario) []*scenario {
	var list []*scenario
	for _, st := range states {
		for _, a := range first {
			for _, b := range second {
				sc := like
				sc.state, sc.ops = st, []op{a, b}
				list = append(list, &sc)
			}
		}
	}
	return list
}
