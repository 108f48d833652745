package session

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-go/session/internal/backoff"
)

// waits are the sessions whose end is waited for. While there are any, one
// goroutine reads their records, and another one watches the store if the store
// can report changes.
//
// mu is never held during a call of the store or while turn of a Session is
// awaited. The mu of a Session may be locked while it is held.
type waits struct {
	store Store // as passed to New

	mu        sync.Mutex
	bySession map[*Session]*waiter
	byID      map[ID]map[*waiter]bool
	due       map[*waiter]bool // to be read now
	run       *waitRun         // nil while nobody waits
}

// waiter is a Session whose end is waited for.
type waiter struct {
	s     *Session
	ended chan struct{}

	// The waits' mu guards these fields.
	callers int  // of Ended, whose contexts have not ended
	info    Info // of the record as last read; its ID is zero if there is none
	was     bool // there was a record
	commits int  // of the Session since the first call of Ended
}

// waitRun is the period from the first waiter to the last.
type waitRun struct {
	m        *Manager
	stop     context.CancelFunc
	wake     chan struct{}
	watching bool // the store reports changes; guarded by the waits' mu
	failed   bool // the last read failed
}

// add begins to wait for the end of s, or returns the waiter for s.
func (w *waits) add(m *Manager, s *Session) *waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	wt := w.bySession[s]
	if wt == nil {
		wt = &waiter{s: s, ended: make(chan struct{})}
		if w.bySession == nil {
			w.bySession, w.byID, w.due = map[*Session]*waiter{}, map[ID]map[*waiter]bool{}, map[*waiter]bool{}
		}
		w.bySession[s] = wt
		w.refer(wt)
	}
	wt.callers++
	if w.run == nil {
		ctx, stop := context.WithCancel(context.Background())
		w.run = &waitRun{m: m, stop: stop, wake: make(chan struct{}, 1)}
		go w.check(ctx, w.run)
		if store, ok := w.store.(Watcher); ok {
			go w.watch(ctx, w.run, store)
		}
	}
	w.read(wt)
	return wt
}

// refer makes the index refer to the record that wt's Session has now. The caller
// holds mu.
func (w *waits) refer(wt *waiter) {
	w.unrefer(wt)
	wt.info = wt.s.stored()
	wt.was = wt.was || !wt.info.ID.IsZero()
	if w.byID[wt.info.ID] == nil {
		w.byID[wt.info.ID] = map[*waiter]bool{}
	}
	w.byID[wt.info.ID][wt] = true
}

func (w *waits) unrefer(wt *waiter) {
	delete(w.byID[wt.info.ID], wt)
	if len(w.byID[wt.info.ID]) == 0 {
		delete(w.byID, wt.info.ID)
	}
}

// read has the waiter read soon. The caller holds mu.
func (w *waits) read(wts ...*waiter) {
	for _, wt := range wts {
		w.due[wt] = true
	}
	if w.run != nil {
		select {
		case w.run.wake <- struct{}{}:
		default:
		}
	}
}

// readAll has all waiters read soon. The caller holds mu.
func (w *waits) readAll() {
	for _, wt := range w.bySession {
		w.due[wt] = true
	}
	w.read()
}

// release ends a call of Ended whose context has ended.
func (w *waits) release(wt *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if wt.callers--; wt.callers == 0 {
		w.remove(wt)
	}
}

// remove removes a waiter. It ends the run with the last one. The caller holds mu.
func (w *waits) remove(wt *waiter) bool {
	if w.bySession[wt.s] != wt {
		return false
	}
	w.unrefer(wt)
	delete(w.bySession, wt.s)
	delete(w.due, wt)
	if len(w.bySession) == 0 {
		w.run.stop()
		w.run = nil
	}
	return true
}

// committed follows a commit of a Session, which may have another record or
// another token now.
func (w *waits) committed(s *Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if wt := w.bySession[s]; wt != nil {
		wt.commits++
		w.refer(wt)
		w.read(wt)
	}
}

// changed has the waiters for a record read soon.
func (w *waits) changed(id ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for wt := range w.byID[id] {
		w.read(wt)
	}
}

// watch lets the store report changes. When it begins to do so, and when it stops,
// changes may have been missed.
func (w *waits) watch(ctx context.Context, run *waitRun, store Watcher) {
	const longest = 10 * time.Second
	failing := false
	state := func(watching bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		run.watching = watching
		w.readAll()
	}
	for try := 0; ; try++ {
		err := store.Watch(ctx, func() {
			try, failing = 0, false
			state(true)
		}, w.changed)
		if ctx.Err() != nil {
			return
		}
		state(false)
		if errors.Is(err, errors.ErrUnsupported) {
			run.m.log.InfoContext(ctx, "session: store cannot report changes; reading waiting sessions at the poll interval", "error", err)
			return
		}
		if !failing {
			run.m.log.WarnContext(ctx, "session: store no longer reports changes; reading waiting sessions at the poll interval until it does", "error", err)
		}
		failing = true
		if !backoff.Wait(ctx, try, longest) {
			return
		}
	}
}
