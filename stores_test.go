package session_test

import (
	"fmt"
	"sync"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// faulty is a store whose operations fail, lose their replies or call a hook,
// as the test says.
type faulty struct {
	session.Store
	mu     sync.Mutex
	hook   func(c call) error
	faults map[string]error
	// The number of replies still to be lost, of applied writes and of writes
	// that are not applied.
	lost, dropped map[string]int
}

func newFaulty() *faulty { return &faulty{Store: memstore.New()} }

// call is one operation of a store.
type call struct {
	op     string
	id     session.ID
	record *session.Record // of an Insert
	change *session.Change // of an Update
	do     func() error    // carries out the operation
}

// set sets a function to be called in place of each operation. The function may
// carry out the operation.
func (f *faulty) set(hook func(c call) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

// once sets a hook for the first matching call.
func (f *faulty) once(fits func(c call) bool, hook func(c call) error) {
	f.set(func(c call) error {
		if !fits(c) {
			return c.do()
		}
		f.set(nil)
		return hook(c)
	})
}

// fail lets an operation return err from now on. If err is nil, the operation
// works again.
func (f *faulty) fail(op string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.faults == nil {
		f.faults = map[string]error{}
	}
	f.faults[op] = err
}

// uncertain loses the next replies of an operation, either after applying the
// writes or without applying them.
func (f *faulty) uncertain(op string, applied bool, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost == nil {
		f.lost, f.dropped = map[string]int{}, map[string]int{}
	}
	if applied {
		f.lost[op] = times
	} else {
		f.dropped[op] = times
	}
}

func (f *faulty) run(c call) error {
	f.mu.Lock()
	hook, err := f.hook, f.faults[c.op]
	if err == nil && f.dropped[c.op] > 0 {
		f.dropped[c.op]--
		err = errReplyLost
	}
	f.mu.Unlock()
	switch {
	case err != nil:
		return err
	case hook != nil:
		err = hook(c)
	default:
		err = c.do()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost[c.op] > 0 {
		f.lost[c.op]--
		return errReplyLost
	}
	return err
}

func (f *faulty) Load(ctx ctxT, id session.ID) (rec *session.Record, err error) {
	err = f.run(call{op: "Load", id: id, do: func() error { rec, err = f.Store.Load(ctx, id); return err }})
	return rec, err
}

func (f *faulty) Insert(ctx ctxT, rec *session.Record) error {
	return f.run(call{op: "Insert", id: rec.ID, record: rec, do: func() error { return f.Store.Insert(ctx, rec) }})
}

func (f *faulty) Update(ctx ctxT, id session.ID, ch *session.Change) error {
	return f.run(call{op: "Update", id: id, change: ch, do: func() error { return f.Store.Update(ctx, id, ch) }})
}

func (f *faulty) Delete(ctx ctxT, id session.ID) error {
	return f.run(call{op: "Delete", id: id, do: func() error { return f.Store.Delete(ctx, id) }})
}

func (f *faulty) List(ctx ctxT, user string) (infos []session.Info, err error) {
	err = f.run(call{op: "List", do: func() error { infos, err = f.Store.List(ctx, user); return err }})
	return infos, err
}

var errReplyLost = fmt.Errorf("reply lost: %w", session.ErrUncertain)

// op matches the calls of one operation.
func op(name string) func(c call) bool { return func(c call) bool { return c.op == name } }

// readsMarker reports whether a call reads the revocations of ann.
func readsMarker(c call) bool { return c.op == "Load" && c.id == session.MarkerID("ann") }

// lost is a hook that carries out a call and loses its reply.
func lost(c call) error {
	_ = c.do()
	return session.ErrUncertain
}

// notApplied is a hook that loses the call.
func notApplied(call) error { return session.ErrUncertain }

// stoppedAtUpdates returns a store that waits before each Update. It sends on
// the channel when it has stopped, and receives from it to continue.
func stoppedAtUpdates(store session.Store) (*faulty, chan struct{}) {
	f, at := &faulty{Store: store}, make(chan struct{})
	f.set(func(c call) error {
		if c.op == "Update" {
			at <- struct{}{}
			<-at
		}
		return c.do()
	})
	return f, at
}
