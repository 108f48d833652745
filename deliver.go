package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"
)

// commitFinal commits the session before the first byte.
func (w *response) commitFinal() error {
	s, ctx := w.s, w.r.Context()
	s.turn.Lock()
	defer s.turn.Unlock()
	s.begun = true
	return s.traceCommit(ctx, w.commitOpen)
}

// commitOpen is commitFinal for a caller with turn.
func (w *response) commitOpen(ctx context.Context) error {
	if w.s.changesToken() && w.clientGone() {
		return fmt.Errorf("%w: the client is gone", w.s.undeliverable(ctx))
	}
	return w.s.commit(ctx)
}

// reopen undoes the effect of commitFinal on s.begun. If token is true, it also
// marks the new token as not sent.
func (s *Session) reopen(token bool) {
	s.lock()
	defer s.unlock()
	s.begun = false
	if token {
		s.cookieSent = false
	}
}

// changedLate records a change after the response began. The caller holds both
// locks.
func (s *Session) changedLate() {
	s.pend.at = callSite()
	s.late.Store(true)
}

// commitLate commits the changes since the response began.
func (s *Session) commitLate(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	return s.commitRest(ctx)
}

// commitRest is commitLate for a caller with turn.
func (s *Session) commitRest(ctx context.Context) error {
	s.late.Store(false)
	if s.pend.invalid == nil && !s.dirty() {
		return nil
	}
	at, commit := s.pend.at, s.commit
	if s.changesToken() {
		commit = s.undeliverable
	}
	if err := s.traceCommit(ctx, commit); err != nil {
		return fmt.Errorf("%w (%s)", err, at)
	}
	return nil
}

// undeliverable drops the pending changes, because their cookie cannot reach
// the client. A pending sign-out is still carried out. The caller holds turn.
func (s *Session) undeliverable(ctx context.Context) error {
	s.mu.Lock()
	s.pend = pending{signOut: s.pend.signOut, detached: s.pend.signOut && s.pend.detached}
	s.mu.Unlock()
	return errors.Join(ErrUndeliverable, s.commit(ctx))
}

// end prevents further changes of the session. If commit is true, it first
// commits the changes since the response began.
func (s *Session) end(ctx context.Context, commit bool) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.ended = true
	if !commit {
		return nil
	}
	return s.commitRest(ctx)
}

// owesCookie reports whether the client needs a cookie that has not been
// sent.
func (s *Session) owesCookie() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changesToken() || s.cookie != nil && !s.cookieSent
}

// goneAfter limits the wait for a report of the server's writer, after the
// request's context was canceled. The HTTP/2 server reports from another
// goroutine that the client is gone.
const goneAfter = 50 * time.Millisecond

// clientGone reports whether the response will certainly not reach the client.
// The end of the request's context is not enough. A server in shutdown and a
// middleware with a deadline end the context too, while the client waits.
func (w *response) clientGone() bool {
	err := w.r.Context().Err()
	if err == nil {
		return false
	}
	inner := innermost(w.inner)
	if reflect.TypeOf(inner).String() == "*http.timeoutWriter" {
		return true // http.TimeoutHandler has responded and discards this response
	}
	//lint:ignore SA1019 the context does not distinguish a client that is gone from a shutdown
	n, ok := inner.(http.CloseNotifier)
	if !ok {
		return false
	}
	// Reading the length of the channel, which is buffered, leaves the value to a
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

// innermost returns the writer of the server, or the innermost one that Unwrap
// reaches.
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
