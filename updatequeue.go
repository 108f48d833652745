package session

import (
	"context"
	"sync"
)

// keyLocks queues the Updates of one key of one session in this process. It
// is no more than a courtesy: the store's compare-and-swap is what makes them
// atomic, across processes too. In a queue each finds what the one before
// wrote, so that n Updates cost n commands.
type keyLocks struct {
	mu    sync.Mutex
	turns map[lockName]*keyTurn
}

type lockName struct {
	id      ID
	session *Session // where nothing is stored yet
	key     string
}

type keyTurn struct {
	locks *keyLocks
	name  lockName
	free  chan struct{} // holds one element while nobody has the turn
	users int

	// What the one before in the queue knew to be stored, and the verifier of
	// its record: a request with another token must not see it.
	last     *Value
	verifier []byte
}

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

func (t *keyTurn) release() {
	t.free <- struct{}{}
	t.leave()
}

func (t *keyTurn) leave() {
	t.locks.mu.Lock()
	defer t.locks.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(t.locks.turns, t.name)
	}
}
