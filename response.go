package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// response commits the session before the first byte goes to the inner
// writer. It has no Unwrap, which would let a caller past the commit.
type response struct {
	inner    http.ResponseWriter
	s        *Session
	r        *http.Request
	entry    http.Header // as it was before the handler
	begun    bool
	hijacked bool
	err      error // why the handler's response was replaced
}

var (
	_ http.Flusher  = (*response)(nil)
	_ http.Hijacker = (*response)(nil)
	_ http.Pusher   = (*response)(nil)
	_ io.ReaderFrom = (*response)(nil)
)

func (w *response) Header() http.Header { return w.inner.Header() }

func (w *response) WriteHeader(status int) {
	if status >= 100 && status <= 199 && status != http.StatusSwitchingProtocols {
		if !w.begun {
			w.inner.WriteHeader(status) // informational: the response is still to come
		}
		return
	}
	if w.begin() == nil {
		w.inner.WriteHeader(status)
	}
}

func (w *response) Write(b []byte) (int, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	return w.inner.Write(b)
}

func (w *response) WriteString(text string) (int, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	return io.WriteString(w.inner, text)
}

func (w *response) ReadFrom(src io.Reader) (int64, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	return io.Copy(w.inner, src)
}

func (w *response) Flush() { _ = w.FlushError() }

func (w *response) FlushError() error {
	if err := w.begin(); err != nil {
		return err
	}
	return w.control().Flush()
}

// Hijack refuses before anything is stored where a new cookie would be left
// behind: Save and Cookie let the caller send it.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.err != nil {
		return nil, nil, w.err
	}
	if w.s.owesCookie() {
		return nil, nil, ErrUndeliverable
	}
	if !w.begun {
		if err := w.s.commitFinal(w.r.Context()); err != nil {
			return nil, nil, err
		}
	}
	conn, rw, err := w.control().Hijack()
	if err == nil {
		w.begun, w.hijacked = true, true
	}
	return conn, rw, err
}

func (w *response) Push(target string, opts *http.PushOptions) error {
	if p, ok := w.inner.(http.Pusher); ok {
		return p.Push(target, opts)
	}
	return http.ErrNotSupported
}

// CloseNotify serves old handlers; the request's context is what replaced it.
func (w *response) CloseNotify() <-chan bool {
	//lint:ignore SA1019 a handler that asks for it must get it
	if n, ok := w.inner.(http.CloseNotifier); ok {
		return n.CloseNotify()
	}
	return make(chan bool)
}

func (w *response) SetReadDeadline(t time.Time) error { return w.control().SetReadDeadline(t) }

func (w *response) SetWriteDeadline(t time.Time) error { return w.control().SetWriteDeadline(t) }

func (w *response) EnableFullDuplex() error { return w.control().EnableFullDuplex() }

func (w *response) control() *http.ResponseController { return http.NewResponseController(w.inner) }

// begin commits once. Where that fails, nothing of the handler's response is
// left and the error handler answers in its place.
func (w *response) begin() error {
	if w.begun {
		return w.err
	}
	w.begun = true
	err := w.s.commitFinal(w.r.Context())
	if err == nil {
		if w.s.writeHeader(w.Header()) {
			w.s.m.warnInsecure(w.r)
		}
		return nil
	}
	w.err = err
	h := w.Header()
	clear(h)
	maps.Copy(h, w.entry)
	w.s.writeHeader(h) // of an earlier Save
	w.s.m.fail(w.inner, w.r, err)
	return err
}

// finish commits at the handler's return: in time where it wrote nothing, else
// what it changed after the response began.
func (w *response) finish() {
	late := w.begun
	_ = w.begin()
	err := w.s.end(w.r.Context(), late && w.err == nil)
	if err == nil {
		return
	}
	w.s.m.lost(w.r.Context(), err)
	if !w.hijacked {
		// The client must not take this for a success.
		panic(http.ErrAbortHandler)
	}
}

// abandon leaves a panicking handler's changes unsaved, but for the cookie of
// a Save, whose session would be lost with it.
func (w *response) abandon() {
	if !w.begun {
		w.s.writeHeader(w.Header())
	}
	w.s.Discard()
	_ = w.s.end(w.r.Context(), false)
}

// commitFinal is the commit before the first byte.
func (s *Session) commitFinal(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	s.answered = true
	s.mu.Unlock()
	if s.changesToken() && ctx.Err() != nil {
		return fmt.Errorf("%w: the client is gone", s.undeliverable(ctx))
	}
	return s.commit(ctx)
}

// undeliverable stores nothing of a change whose cookie cannot reach the
// client, but that a session was to end. The caller holds turn.
func (s *Session) undeliverable(ctx context.Context) error {
	s.mu.Lock()
	s.pend = pending{destroy: s.pend.destroy, detached: s.pend.destroy && s.pend.detached}
	s.mu.Unlock()
	return errors.Join(ErrUndeliverable, s.commit(ctx))
}

// end commits what came after the first byte, where that is still possible, and
// closes the session to further changes.
func (s *Session) end(ctx context.Context, late bool) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	if !late {
		return nil
	}
	at, commit := s.pend.at, s.commit
	if s.changesToken() {
		commit = s.undeliverable
	}
	if err := commit(ctx); err != nil {
		return fmt.Errorf("%w (%s)", err, at)
	}
	return nil
}

// owesCookie tells whether the client is to get a cookie that it has not got.
func (s *Session) owesCookie() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changesToken() || s.cookie != nil && !s.taken
}

// writeHeader adds what the response owes to the session: the cookie, of which
// it tells, and what keeps caches from giving one visitor's page to another.
func (s *Session) writeHeader(h http.Header) (cookie bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cookie != nil {
		s.taken = true
		setCookie(h, s.cookie)
		noStore(h)
	} else if s.accessed && h.Get("Cache-Control") == "" {
		h["Cache-Control"] = only(&s.fields[0], "private")
	}
	if (s.cookie != nil || s.accessed) && !varies(h) {
		if len(h["Vary"]) == 0 {
			h["Vary"] = only(&s.fields[1], "Cookie")
		} else {
			h.Add("Vary", "Cookie")
		}
	}
	return s.cookie != nil
}

// noStore keeps caches from storing a response. Some fields take precedence over
// Cache-Control in the caches that know them, such as those of RFC 9213, which end
// in -Cache-Control, or X-Accel-Expires of nginx.
func noStore(h http.Header) {
	for name := range h {
		switch lower := strings.ToLower(name); lower {
		case "cache-control", "surrogate-control", "edge-control", "x-accel-expires", "expires":
			delete(h, name)
		default:
			if strings.HasSuffix(lower, "-cache-control") {
				delete(h, name)
			}
		}
	}
	h.Set("Cache-Control", "no-store")
}

// only makes a header's field of one value, in memory that is there already.
func only(field *[1]string, value string) []string {
	field[0] = value
	return field[:]
}

func varies(h http.Header) bool {
	return slices.ContainsFunc(list(h["Vary"]), func(field string) bool {
		return field == "*" || strings.EqualFold(field, "Cookie")
	})
}
