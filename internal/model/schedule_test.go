package model_test

import (
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// tick is the duration of each step. Records keep milliseconds, so no two steps
// have the same time.
const tick = time.Millisecond

// world is one run: a store, its initial content, and the actors.
type world struct {
	mem      *memstore.Store
	start    map[session.ID]*session.Record
	from     []start
	ids      []session.ID // the IDs of the initial sessions
	browsers []*browser
	actors   []*actor
	events   chan *actor // receives an actor that has stopped or ended
	log      []*step
	faults   []fault // one of them may happen in this run
	faulted  bool
	shared   bool             // the actors are requests to one process
	request  *session.Session // shared by several actors as goroutines of one request
}

// stop waits until the scheduler lets the actor take a step.
func (a *actor) stop(s step) *step {
	s.actor = a
	if a.free {
		return &s
	}
	s.touch.goroutine = a.shares != nil
	s.touch.mark = a.op.revokes
	a.next = &s
	a.world.events <- a
	s.fault = <-a.resume
	s.at = time.Now()
	if s.fault == aborted {
		runtime.Goexit()
	}
	return &s
}

// move is a possible next step.
type move struct {
	actor int
	fault fault
	touch foot
}

func (m move) same(o move) bool { return m.actor == o.actor && m.fault == o.fault }

// commutes reports whether two moves of different actors have the same result
// in either order. A run has at most one fault, so faults exclude each other.
func (m move) commutes(o move) bool {
	return m.actor != o.actor && (m.fault == none || o.fault == none) && !m.touch.meets(o.touch)
}

// moves returns the possible next steps.
func (w *world) moves() []move {
	var found []move
	for i, a := range w.actors {
		if a.next == nil || w.waits(a) {
			continue
		}
		found = append(found, move{i, none, a.next.touch})
		if w.faulted {
			continue
		}
		for _, f := range a.next.may(w.faults) {
			found = append(found, move{i, f, a.next.touch})
		}
	}
	return found
}

// waits reports whether an actor is blocked, because another goroutine of its
// request holds the Session's lock for store operations.
func (w *world) waits(a *actor) bool {
	return a.shares != nil && slices.ContainsFunc(w.actors, func(o *actor) bool { return o != a && o.inTurn })
}

// run lets one actor take a step at a time, as chosen by choose, until all are
// done or choose returns false.
func (w *world) run(choose func([]move) (move, bool)) (complete bool) {
	w.events = make(chan *actor)
	for _, a := range w.actors {
		a.resume = make(chan fault)
		go a.live()
	}
	w.await(len(w.actors))
	for {
		moves := w.moves()
		if len(moves) == 0 {
			return true
		}
		m, ok := choose(moves)
		if !ok {
			w.abort()
			return false
		}
		w.take(w.actors[m.actor], m.fault)
	}
}

func (w *world) take(a *actor, f fault) {
	time.Sleep(tick)
	w.faulted = w.faulted || f != none
	a.meet(f)
	w.log = append(w.log, a.next)
	a.next = nil
	a.resume <- f
	w.await(1)
}

// await waits until n actors have stopped. Nothing else runs meanwhile, so time
// advances only during pauses of the library. Requests to one process may also
// wait for each other. Then await returns after a time longer than those
// pauses.
func (w *world) await(n int) {
	if !w.shared {
		for range n {
			<-w.events
		}
		return
	}
	for {
		select {
		case <-w.events:
		case <-time.After(200 * time.Millisecond):
			return
		}
	}
}

// abort ends all actors.
func (w *world) abort() {
	for slices.ContainsFunc(w.actors, func(a *actor) bool { return !a.ended }) {
		for _, a := range w.actors {
			if a.next != nil {
				w.take(a, aborted)
			}
		}
	}
}

// explorer goes through all schedules of a scenario, depth first. Each run
// starts from the beginning and repeats the previous run up to the first
// difference.
//
// Of schedules that differ only in the order of commuting steps, it runs only
// one (sleep sets, after Godefroid). Steps of different actors commute if they
// use different records, only read, or concern different browsers.
type explorer struct {
	full  bool // prune nothing
	nodes []*node
}

type node struct {
	todo, done []move // todo[0] is being explored
	asleep     []move // explored elsewhere, from an equivalent schedule
}

// begin returns the function choosing the steps of one run.
func (e *explorer) begin() func([]move) (move, bool) {
	depth := 0
	return func(moves []move) (move, bool) {
		if depth == len(e.nodes) && !e.grow(moves) {
			return move{}, false
		}
		n := e.nodes[depth]
		n.renew(moves)
		depth++
		if !slices.ContainsFunc(moves, n.todo[0].same) {
			panic(fmt.Sprintf("model: the schedule is not repeatable: %v is not in %v", n.todo[0], moves))
		}
		return n.todo[0], true
	}
}

// renew updates the feet of the moves from the current run, because each run
// has its own records and browsers.
func (n *node) renew(moves []move) {
	for _, known := range [][]move{n.todo, n.done, n.asleep} {
		for i := range known {
			if j := slices.IndexFunc(moves, known[i].same); j >= 0 {
				known[i] = moves[j]
			}
		}
	}
}

// grow adds a node. It returns false if everything after it has been explored
// elsewhere.
func (e *explorer) grow(moves []move) bool {
	n := &node{}
	if last := len(e.nodes) - 1; last >= 0 && !e.full {
		was := e.nodes[last]
		for _, m := range slices.Concat(was.asleep, was.done) {
			if m.commutes(was.todo[0]) {
				n.asleep = append(n.asleep, m)
			}
		}
	}
	for _, m := range moves {
		if !slices.ContainsFunc(n.asleep, m.same) {
			n.todo = append(n.todo, m)
		}
	}
	if len(n.todo) == 0 {
		return false
	}
	e.nodes = append(e.nodes, n)
	return true
}

// next advances to the next schedule and reports whether there is one.
func (e *explorer) next() bool {
	for len(e.nodes) > 0 {
		n := e.nodes[len(e.nodes)-1]
		n.done, n.todo = append(n.done, n.todo[0]), n.todo[1:]
		if len(n.todo) > 0 {
			return true
		}
		e.nodes = e.nodes[:len(e.nodes)-1]
	}
	return false
}

// order records which steps of a run come before which others in every
// equivalent schedule.
type order struct {
	log    []*step
	before []uint64 // one bit for each earlier step of the log
}

func newOrder(log []*step) order {
	o := order{log, make([]uint64, len(log))}
	for i, s := range log {
		for j, e := range log[:i] {
			if e.actor == s.actor || e.touch.meets(s.touch) {
				o.before[i] |= o.before[j] | 1<<j
			}
		}
	}
	return o
}

// precedes reports whether, in this schedule or an equivalent one, a finished
// before b began.
func (o order) precedes(a, b *actor) bool {
	for i, s := range o.log {
		if s.actor != a {
			continue
		}
		for j, e := range o.log[:i] {
			if e.actor == b && o.before[i]&(1<<j) != 0 {
				return false
			}
		}
	}
	return true
}
