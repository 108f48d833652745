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

// fault is what befalls an operation of the store.
type fault int

const (
	none    fault = iota
	crashed       // applied, and the process that asked is no more
	applied       // applied, but the reply is lost
	dropped       // not applied, and the reply is lost

	// In an outage the store answers with an error.
	down        // to this operation
	outage      // to this operation and all later ones of the request
	appliedDown // to the next operation; this one is applied, but the reply is lost
	droppedDown // to the next operation; this one is not applied, and the reply is lost

	aborted // not a fault: the run is of no more use and ends here
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

// fails tells whether an operation fails because of an earlier fault. It is no
// step: it neither reads nor changes anything.
func (a *actor) fails() bool {
	if a.failing == 0 {
		return false
	}
	a.failing--
	return true
}

// meet lets later operations of an actor fail after some faults.
func (a *actor) meet(f fault) {
	switch f {
	case outage:
		a.failing = math.MaxInt
	case appliedDown, droppedDown:
		a.failing = 1
	}
}

// may lists the faults of some kinds that may befall a step.
func (st *step) may(faults []fault) []fault {
	read := st.what == "load" && st.actor.past || st.what == "list"
	return slices.DeleteFunc(slices.Clone(faults), func(f fault) bool {
		switch f {
		case down, outage:
			return !st.touch.write && !read
		case appliedDown, droppedDown:
			return !st.touch.write || st.what == "delete" // which is not read back
		}
		return !st.touch.write
	})
}

// step is what one actor does without another in between: an operation of the
// store, or one of the other moments whose order matters.
type step struct {
	actor *actor
	what  string
	id    session.ID
	touch foot
	fault fault
	at    time.Time

	// What an operation of the store was given, found and did.
	change *session.Change
	record *session.Record // inserted or loaded, as it was then
	done   bool            // it changed the store
}

// foot is what a step reads and changes. Steps whose feet are apart commute.
type foot struct {
	id     session.ID // of a record
	write  bool       // changes it
	list   bool       // reads all records
	jar    *browser   // reads or, with arrive, changes a browser's cookie
	arrive bool
	admit  bool // reads the clock that a revocation is compared with
	mark   bool // may read the clock for a revocation
	all    bool // moves the clock

	goroutine bool // of a request that has several
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

// gate is the store as the library gets it: that of the world of the actor whose
// context it is given. It stops the actor before each operation, until the
// scheduler lets it go on.
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

// asIs returns a copy: the library goes on with its own and changes it.
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
	// In the order they were made, so that a schedule can be repeated.
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

// write carries out an operation that changes the store. changed tells of
// those that succeed without effect.
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
		runtime.Goexit() // what is deferred runs; none of it reaches the store
	case applied, appliedDown:
		return session.ErrUncertain
	}
	return err
}
