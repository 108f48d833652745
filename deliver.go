package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"
)

// commitFinal is the commit before the first byte.
func (w *response) commitFinal() error {
	s, ctx := w.s, w.r.Context()
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	s.answered = true
	s.mu.Unlock()
	if s.changesToken() && w.clientGone() {
		return fmt.Errorf("%w: the client is gone", s.undeliverable(ctx))
	}
	return s.commit(ctx)
}

// reopen takes back that the response has begun, and that the client has got the
// cookie with it.
func (s *Session) reopen(cookie bool) {
	s.lock()
	defer s.unlock()
	s.answered = false
	if cookie {
		s.taken = false
	}
}

// changedLate notes a change that was made after the response began. The caller
// holds both locks.
func (s *Session) changedLate() {
	s.pend.at = callSite()
	s.late.Store(true)
}

// commitLate commits the changes that were made after the response began.
func (s *Session) commitLate(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	return s.commitRest(ctx)
}

// commitRest is commitLate for a caller that holds turn.
func (s *Session) commitRest(ctx context.Context) error {
	s.late.Store(false)
	at, commit := s.pend.at, s.commit
	if s.changesToken() {
		commit = s.undeliverable
	}
	if err := commit(ctx); err != nil {
		return fmt.Errorf("%w (%s)", err, at)
	}
	return nil
}

// undeliverable stores nothing of a change whose cookie cannot reach the
// client, but that a session was to end. The caller holds turn.
func (s *Session) undeliverable(ctx context.Context) error {
	s.mu.Lock()
	s.pend = pending{destroy: s.pend.destroy, detached: s.pend.destroy && s.pend.detached}
	s.mu.Unlock()
	return errors.Join(ErrUndeliverable, s.commit(ctx))
}

// end closes the session to further changes. It commits those that were made
// after the response began, if the response is the handler's.
func (s *Session) end(ctx context.Context, commit bool) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	if !commit {
		return nil
	}
	return s.commitRest(ctx)
}

// owesCookie reports whether the client is to get a cookie that it has not got.
func (s *Session) owesCookie() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changesToken() || s.cookie != nil && !s.taken
}

// goneAfter is how long a writer may take to notice that the client is gone,
// after the request's context has ended. That of HTTP/2 says so in a goroutine.
const goneAfter = 50 * time.Millisecond

// clientGone reports whether the response is known not to reach the client. The
// end of the request's context does not say so: a server that shuts down, or a
// middleware that sets a deadline, ends it too, while the client waits.
func (w *response) clientGone() bool {
	err := w.r.Context().Err()
	if err == nil {
		return false
	}
	inner := innermost(w.inner)
	if reflect.TypeOf(inner).String() == "*http.timeoutWriter" {
		return true // http.TimeoutHandler has answered and discards the rest
	}
	//lint:ignore SA1019 nothing else tells a client that is gone from a context that has ended
	n, ok := inner.(http.CloseNotifier)
	if !ok {
		return false
	}
	// The length of the buffered channel tells without taking the value from a
	// handler that waits for it.
	gone := n.CloseNotify()
	for wait := time.Duration(0); len(gone) == 0; wait += time.Millisecond {
		if wait >= goneAfter || !errors.Is(err, context.Canceled) {
			return false
		}
		time.Sleep(time.Millisecond)
	}
	return true
}

// innermost returns the writer of the server, or the last one that is known.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		switch v := w.(type) {
		case *response:
			w = v.inner
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return w
		}
	}
}
