package session

import (
	"context"
	"sync"
)

// keyLocks queues the Updates of one key of one session in this process. The
// queue only saves commands, since each Update finds the value of the previous
// one and n Updates need n commands. The compare-and-swap of the store makes
// them atomic, also across processes.
type keyLocks struct {
	mu    sync.Mutex
	turns map[lockName]*keyTurn
}

// lockName identifies a queue.
type lockName struct {
	id      ID
	session *Session // instead of id if nothing is stored yet
	key     string
}

// keyTurn is the queue of one key. One Update at a time has the turn.
type keyTurn struct {
	locks *keyLocks
	name  lockName
	free  chan struct{} // has one element while no Update has the turn
	users int           // number of Updates with the turn or waiting for it

	// last is the value that the previous Update in the queue has stored, and
	// verifier is the one of its record. A request with another token must not
	// see the value.
	last     *Value
	verifier []byte
}

// acquire waits for the turn of a key. It reports false if ctx ends first.
func (l *keyLocks) acquire(ctx context.Context, name lockName) (*keyTurn, bool) {
	l.mu.Lock()
	t := l.turns[name]
	if t == nil {
		t = &keyTurn{locks: l, name: name, free: make(chan struct{}, 1)}
		t.free <- struct{}{}
		if l.turns == nil {
			l.turns = make(map[lockName]*keyTurn)
		}
		l.turns[name] = t
	}
	t.users++
	l.mu.Unlock()
	select {
	case <-t.free:
		return t, true
	case <-ctx.Done():
		t.leave()
		return nil, false
	}
}

// release passes the turn on.
func (t *keyTurn) release() {
	t.free <- struct{}{}
	t.leave()
}

// leave removes the queue after its last Update.
func (t *keyTurn) leave() {
	t.locks.mu.Lock()
	defer t.locks.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(t.locks.turns, t.name)
	}
}
