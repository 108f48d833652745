package session

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"time"
)

// response commits the session before the first byte reaches the inner writer.
// It has no Unwrap, because a caller could then write without a commit.
type response struct {
	inner    http.ResponseWriter
	s        *Session
	r        *http.Request
	entry    http.Header // the header before the handler ran
	phase    phase
	token    bool // the header has the session's new token
	returned bool // the handler has returned

	told      bool  // Flush has returned err to the handler
	discarded int32 // number of bytes of the handler dropped because of err
	err       error // the reason for phaseReplaced or phaseCut
}

// phase is the state of the response. It changes only if a call has an effect
// on the inner writer.
type phase uint8

const (
	phaseOpen     phase = iota // the status is neither sent nor fixed
	phaseBegun                 // the status is sent or fixed
	phaseHijacked              // the handler owns the connection
	phaseReplaced              // the client gets an error page instead of the response
	phaseCut                   // the client does not get the rest of the response
)

// maxDiscarded is the number of bytes to drop before Write returns an error.
const maxDiscarded = 1 << 20

var (
	_ http.Flusher  = (*response)(nil)
	_ http.Hijacker = (*response)(nil)
	_ http.Pusher   = (*response)(nil)
	_ io.ReaderFrom = (*response)(nil)
)

func (w *response) Header() http.Header { return w.inner.Header() }

func (w *response) WriteHeader(status int) {
	if status >= 100 && status <= 199 && status != http.StatusSwitchingProtocols {
		if w.phase == phaseOpen {
			w.inner.WriteHeader(status) // informational: the response is still to come
		}
		return
	}
	if w.begin() == nil {
		w.inner.WriteHeader(status)
	}
}

// Write begins the response even if b is empty, as in net/http.
func (w *response) Write(b []byte) (int, error) {
	if w.begin() != nil {
		return w.discard(len(b))
	}
	return w.inner.Write(b)
}

func (w *response) WriteString(text string) (int, error) {
	if w.begin() != nil {
		return w.discard(len(text))
	}
	return io.WriteString(w.inner, text)
}

// sniffed is the number of bytes from which net/http determines the content
// type.
const sniffed = 512

// ReadFrom begins the response with the first byte of src. It then passes on
// src itself, so the inner writer can copy a file without reading it. Changes
// meanwhile are committed by the next call.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	var n int64
	if w.phase == phaseOpen {
		first, err := readSome(src)
		if len(first) > 0 {
			k, werr := w.Write(first)
			n, err = int64(k), cmp.Or(werr, err)
		}
		if err != nil {
			return n, eofIsNil(err)
		}
	} else {
		_ = w.begin()
	}
	dst := io.Writer(w.inner)
	if w.err != nil {
		dst = struct{ io.Writer }{w} // its Write discards
	}
	k, err := io.Copy(dst, src)
	return n + k, err
}

// readSome returns at least one byte unless src ends or fails.
func readSome(src io.Reader) ([]byte, error) {
	b := make([]byte, sniffed)
	for range 100 {
		if n, err := src.Read(b); n > 0 || err != nil {
			return b[:n], err
		}
	}
	return nil, io.ErrNoProgress
}

func eofIsNil(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// discard drops n bytes of a handler whose response has been replaced. It
// returns no error at first. Handlers such as a reverse proxy take an error as
// the end of the connection and abort, so the error page would not arrive. A
// handler that streams gets the error from Flush and then from discard. A
// handler that copies without end gets it after maxDiscarded bytes.
func (w *response) discard(n int) (int, error) {
	if w.phase == phaseCut || w.told || w.discarded > maxDiscarded {
		return 0, w.err
	}
	w.discarded += int32(min(n, maxDiscarded+1))
	return n, nil
}

func (w *response) Flush() { _ = w.FlushError() }

func (w *response) FlushError() error {
	first := w.phase == phaseOpen
	if err := w.begin(); err != nil {
		w.told = true
		return err
	}
	err := w.control().Flush()
	if first && errors.Is(err, http.ErrNotSupported) {
		w.reopen()
	}
	return err
}

// Hijack stores nothing and returns an error if the client needs a new cookie.
// The caller can call Save and send the fields of SetHeader itself.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.err != nil {
		return nil, nil, w.err
	}
	if w.s.owesCookie() {
		return nil, nil, ErrUndeliverable
	}
	first := w.phase == phaseOpen
	if first {
		if err := w.commitFinal(); err != nil {
			w.s.reopen(false)
			return nil, nil, err
		}
	}
	conn, rw, err := w.control().Hijack()
	switch {
	case err == nil:
		w.phase = phaseHijacked
	case first:
		w.s.reopen(false)
	}
	return conn, rw, err
}

func (w *response) Push(target string, opts *http.PushOptions) error {
	if p, ok := w.inner.(http.Pusher); ok {
		return p.Push(target, opts)
	}
	return http.ErrNotSupported
}

// CloseNotify is for old handlers. The request's context has replaced it.
func (w *response) CloseNotify() <-chan bool {
	//lint:ignore SA1019 a handler that asks for it must get it
	if n, ok := w.inner.(http.CloseNotifier); ok {
		return n.CloseNotify()
	}
	return make(chan bool)
}

func (w *response) SetReadDeadline(t time.Time) error { return w.control().SetReadDeadline(t) }

func (w *response) SetWriteDeadline(t time.Time) error {
	if w.phase == phaseCut {
		return w.err // a later deadline would undo cutOff
	}
	return w.control().SetWriteDeadline(t)
}

func (w *response) EnableFullDuplex() error { return w.control().EnableFullDuplex() }

func (w *response) control() *http.ResponseController { return http.NewResponseController(w.inner) }

// begin commits the session before the first byte. Before later bytes it
// commits the changes since. It returns an error if no bytes of the handler
// may be sent.
func (w *response) begin() error {
	switch w.phase {
	case phaseOpen:
		if err := w.commitFinal(); err != nil {
			w.replace(err)
			return err
		}
		w.phase = phaseBegun
		if w.token = w.s.writeHeader(w.Header()); w.token {
			w.s.m.warnInsecure(w.r, w.s.carrier)
		}
	case phaseBegun:
		if w.s.late.Load() {
			if err := w.s.commitLate(w.r.Context()); err != nil {
				w.cutOff(err)
			}
		}
	}
	return w.err
}

// reopen undoes begin after the inner writer has refused the call.
func (w *response) reopen() {
	w.phase = phaseOpen
	w.s.reopen(w.token)
	if w.token { // an informational response must not contain it
		w.s.removeToken(w.Header())
		w.token = false
	}
}

// replace sends an error page instead of the handler's response.
func (w *response) replace(err error) {
	h := w.Header()
	clear(h)
	maps.Copy(h, w.entry)
	w.s.writeHeader(h) // with the cookie of an earlier Save
	page := w.s.m.errorPage(w.inner, w.r, err)
	w.phase, w.err = phaseReplaced, err
	if w.returned {
		page.send()
		return
	}
	// The handler may run for a long time, or without end.
	page.complete(w.r)
	page.send()
	_ = w.control().Flush()
}

// cutOff stops the response, because the client must not consider it complete.
// A panic does not suffice, since an outer middleware may recover it and
// complete the response. It must not be raised here either, because a handler
// may call Flush in another goroutine. If the inner writer does not support
// deadlines, only the panic in finish remains.
func (w *response) cutOff(err error) {
	w.phase, w.err = phaseCut, err
	w.s.m.reportLost(w.r.Context(), err)
	if w.control().SetWriteDeadline(time.Unix(1, 0)) == nil {
		// This byte is not sent. The failure to send it cancels the request's
		// context, for handlers that ignore errors.
		_, _ = w.inner.Write([]byte{0})
		_ = w.control().Flush()
	}
}

// finish commits when the handler returns. If the handler wrote nothing, it
// commits all changes, and otherwise the changes since the last byte.
func (w *response) finish() {
	w.returned = true
	if w.phase == phaseOpen {
		_ = w.begin()
	}
	if err := w.s.end(w.r.Context(), w.err == nil); err != nil {
		if w.phase == phaseHijacked {
			w.s.m.reportLost(w.r.Context(), err)
			return
		}
		w.cutOff(err)
	}
	if w.phase == phaseCut {
		panic(http.ErrAbortHandler)
	}
}

// abandon discards the unsaved changes of a handler that panics. It keeps the
// cookie of an earlier Save, because the client needs it for this session.
func (w *response) abandon() {
	if w.phase == phaseOpen {
		w.s.writeHeader(w.Header())
	}
	w.s.Discard()
	_ = w.s.end(w.r.Context(), false)
}
