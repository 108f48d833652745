package model_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// runs counts the runs by the kind of fault.
type runs struct{ clean, crashes, replies, outages, pruned int }

func (r *runs) add(o runs) {
	r.clean += o.clean
	r.crashes += o.crashes
	r.replies += o.replies
	r.outages += o.outages
	r.pruned += o.pruned
}

func (r runs) String() string {
	return fmt.Sprintf("%d interleavings (%d without fault, %d with a crash, %d with a lost reply, %d with an outage)",
		r.clean+r.crashes+r.replies+r.outages, r.clean, r.crashes, r.replies, r.outages)
}

func (r *runs) count(w *world) {
	i := slices.IndexFunc(w.log, func(st *step) bool { return st.fault != none })
	switch {
	case i < 0:
		r.clean++
	case w.log[i].fault == crashed:
		r.crashes++
	case slices.Contains(outages, w.log[i].fault):
		r.outages++
	default:
		r.replies++
	}
}

// checkAll explores the scenarios in parallel.
func checkAll(t *testing.T, what string, list []*scenario) {
	var mu sync.Mutex
	var sum runs
	var lines []string
	began := time.Now()
	const parts = 16
	t.Run("part", func(t *testing.T) {
		for i := range parts {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				for j := i; j < len(list); j += parts {
					r := list[j].check(t)
					mu.Lock()
					sum.add(r)
					lines = append(lines, fmt.Sprintf("%v: %v", list[j], r))
					mu.Unlock()
				}
			})
		}
	})
	slices.Sort(lines)
	t.Logf("%s\n%s: %d scenarios, %v; %d more started and pruned; %v", strings.Join(lines, "\n"),
		what, len(list), sum, sum.pruned, time.Since(began).Round(100*time.Millisecond))
}

// check explores one scenario and reports its findings.
func (sc *scenario) check(t *testing.T) runs {
	t.Helper()
	r, found := sc.explore(t, func(*world) {})
	for _, f := range found {
		t.Errorf("%v: %s: %s (in %d schedules, this is the shortest)\n%s", sc, f.invariant, f.how, f.times, f.trace)
	}
	return r
}

// finding is the shortest schedule with a violated invariant.
type finding struct {
	broken
	trace string
	steps int
	times int
}

// explore runs all schedules of the scenario in a bubble, in which time
// advances only while all actors wait.
func (sc *scenario) explore(t *testing.T, look func(*world)) (r runs, found map[string]*finding) {
	found = map[string]*finding{}
	synctest.Test(t, func(t *testing.T) {
		st, err := sc.stage()
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if p := recover(); p != nil {
				panic(fmt.Sprintf("%v: %v", sc, p))
			}
		}()
		e := &explorer{full: sc.full || sc.shared}
		for more := true; more; more = e.next() {
			w, err := sc.world(st)
			if err != nil {
				t.Fatal(err)
			}
			if !w.run(e.begin()) {
				r.pruned++
				continue
			}
			r.count(w)
			look(w)
			note(found, w, sc.judge(st, w))
		}
	})
	return r, found
}

func note(found map[string]*finding, w *world, faults []broken) {
	for _, b := range faults {
		f := found[b.invariant]
		if f == nil {
			f = &finding{steps: 1 << 30}
			found[b.invariant] = f
		}
		f.times++
		if len(w.log) < f.steps {
			f.broken, f.steps, f.trace = b, len(w.log), w.trace()
		}
	}
}
