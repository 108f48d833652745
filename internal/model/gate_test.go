package model_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// fault is a fault of a store operation.
type fault int

const (
	none    fault = iota
	crashed       // applied, and the calling process dies
	applied       // applied, but the reply is lost
	dropped       // not applied, and the reply is lost

	// In an outage the store returns an error for some operations.
	down        // for this operation
	outage      // for this operation and all later ones of the request
	appliedDown // for the next operation; this one is applied, but the reply is lost
	droppedDown // for the next operation; this one is not applied, and the reply is lost

	aborted // not a fault: the run is abandoned
)

var (
	lostReplies = []fault{crashed, applied, dropped}
	outages     = []fault{down, outage, appliedDown, droppedDown}
)

func (f fault) String() string {
	return [...]string{
		"", " (then the process dies)", " (applied, reply lost)", " (not applied, reply lost)",
		" (the store fails)", " (the store fails from here on)",
		" (applied, reply lost, the next operation fails)", " (not applied, reply lost, the next operation fails)", "",
	}[f]
}

// errDown is the error of a store in an outage. Nothing was applied.
var errDown = errors.New("model: the store is down")

// fails reports whether an operation fails because of an earlier fault. This is
// not a step, because it neither reads nor changes anything.
func (a *actor) fails() bool {
	if a.failing == 0 {
		return false
	}
	a.failing--
	return true
}

// meet makes later operations of an actor fail after some faults.
func (a *actor) meet(f fault) {
	switch f {
	case outage:
		a.failing = math.MaxInt
	case appliedDown, droppedDown:
		a.failing = 1
	}
}

// may returns the faults possible at a step.
func (st *step) may(faults []fault) []fault {
	read := st.what == "load" && st.actor.past || st.what == "list"
	return slices.DeleteFunc(slices.Clone(faults), func(f fault) bool {
		switch f {
		case down, outage:
			return !st.touch.write && !read
		case appliedDown, droppedDown:
			return !st.touch.write || st.what == "delete" // a deletion is not read back
		}
		return !st.touch.write
	})
}

// step is a part of an actor's work during which no other actor runs. It is a
// store operation or another moment whose order matters.
type step struct {
	actor *actor
	what  string
	id    session.ID
	touch foot
	fault fault
	at    time.Time

	// The arguments and results of a store operation.
	change *session.Change
	record *session.Record // a copy of the inserted or loaded record
	done   bool            // it changed the store
}

// foot describes the data read and changed by a step. Steps with disjoint feet
// commute.
type foot struct {
	id     session.ID // of a record
	write  bool       // changes the record
	list   bool       // reads all records
	jar    *browser   // the browser whose cookie the step reads or, with arrive, changes
	arrive bool
	admit  bool // reads the clock compared with revocations
	mark   bool // may read the clock for a revocation
	all    bool // moves the clock

	goroutine bool // of a request with several goroutines
}

func (a foot) meets(b foot) bool {
	switch {
	case a.all || b.all,
		a.goroutine && b.goroutine,
		a.admit && b.mark || a.mark && b.admit,
		a.list && b.write || a.write && b.list:
		return true
	case a.jar != nil && a.jar == b.jar:
		return a.arrive || b.arrive
	default:
		return a.id == b.id && (a.write || b.write)
	}
}

// gate is the Store passed to the library. It finds the actor in the context
// and uses the store of its world. Before each operation it stops the actor
// until the scheduler continues it.
type gate struct{}

type actorKey struct{}

func (a *actor) context() context.Context {
	return context.WithValue(context.Background(), actorKey{}, a)
}

func actorOf(ctx context.Context) *actor { return ctx.Value(actorKey{}).(*actor) }

var _ session.Store = gate{}

func (gate) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	a := actorOf(ctx)
	if a.fails() {
		return nil, errDown
	}
	st := a.stop(step{what: "load", id: id, touch: foot{id: id}})
	if st.fault != none {
		return nil, errDown
	}
	rec, err := a.world.mem.Load(ctx, id)
	if rec != nil {
		st.record = asIs(rec)
	}
	return rec, err
}

// asIs returns a copy, because the library may change its record later.
func asIs(rec *session.Record) *session.Record {
	was := *rec
	was.Values = maps.Clone(rec.Values)
	return &was
}

func (gate) List(ctx context.Context, user string) ([]session.Info, error) {
	a := actorOf(ctx)
	if a.fails() || a.stop(step{what: "list", touch: foot{list: true}}).fault != none {
		return nil, errDown
	}
	infos, err := a.world.mem.List(ctx, user)
	// The order of creation makes schedules repeatable.
	slices.SortFunc(infos, func(a, b session.Info) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return infos, err
}

func (gate) Insert(ctx context.Context, rec *session.Record) error {
	st := step{what: "insert", id: rec.ID, record: asIs(rec)}
	return write(ctx, st, func(mem *memstore.Store) error { return mem.Insert(ctx, rec) })
}

func (gate) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	was := *ch
	was.Set = maps.Clone(ch.Set)
	st := step{what: "update", id: id, change: &was}
	return write(ctx, st, func(mem *memstore.Store) error { return mem.Update(ctx, id, ch) })
}

func (gate) Delete(ctx context.Context, id session.ID) error {
	before := 0
	st := step{what: "delete", id: id}
	return write(ctx, st, func(mem *memstore.Store) error {
		before = mem.Len()
		return mem.Delete(ctx, id)
	}, func(mem *memstore.Store) bool { return mem.Len() < before })
}

// write runs an operation that changes the store. The optional function changed
// reports whether a successful operation had an effect.
func write(ctx context.Context, s step, op func(*memstore.Store) error, changed ...func(*memstore.Store) bool) error {
	s.touch = foot{id: s.id, write: true}
	a := actorOf(ctx)
	if a.fails() {
		return errDown
	}
	mem := a.world.mem
	st := a.stop(s)
	switch st.fault {
	case dropped, droppedDown:
		return session.ErrUncertain
	case down, outage:
		return errDown
	}
	err := op(mem)
	st.done = err == nil && (len(changed) == 0 || changed[0](mem))
	switch st.fault {
	case crashed:
		runtime.Goexit() // deferred calls run; none of them reaches the store
	case applied, appliedDown:
		return session.ErrUncertain
	}
	return err
}
