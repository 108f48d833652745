package session

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
)

// fail responds with an error page.
func (m *Manager) fail(w http.ResponseWriter, r *http.Request, err error) {
	m.errorPage(w, r, err).send()
}

// errorPage collects the response of an error handler. If the handler sets no
// status, the page has the status of the error, so an error never becomes a
// success.
type errorPage struct {
	inner  http.ResponseWriter
	status int
	set    bool // the handler has set status
	body   bytes.Buffer
}

// errorPage calls the error handler. It first logs err, unless the client or
// another request caused it.
func (m *Manager) errorPage(w http.ResponseWriter, r *http.Request, err error) *errorPage {
	if HTTPStatus(err) >= http.StatusInternalServerError {
		m.log.ErrorContext(r.Context(), "session: request failed", "error", err)
	}
	p := &errorPage{inner: w, status: HTTPStatus(err)}
	m.answer(p, r, err)
	return p
}

func (p *errorPage) Header() http.Header { return p.inner.Header() }

func (p *errorPage) WriteHeader(status int) {
	switch {
	case status >= 100 && status <= 199:
		p.inner.WriteHeader(status)
	case !p.set:
		p.status, p.set = status, true
	}
}

func (p *errorPage) Write(b []byte) (int, error) {
	p.set = true
	return p.body.Write(b)
}

// complete lets the client recognize the end of the page before the replaced
// handler has returned. Over HTTP/1 it also closes the connection, because the
// server does not read from it until then.
func (p *errorPage) complete(r *http.Request) {
	h := p.Header()
	if r.ProtoMajor == 1 {
		h.Set("Connection", "close")
	}
	if p.body.Len() > 0 && h.Get("Content-Encoding") == "" { // otherwise a middleware around may encode the page
		h.Set("Content-Length", strconv.Itoa(p.body.Len()))
	}
}

func (p *errorPage) send() {
	p.inner.WriteHeader(p.status)
	_, _ = p.inner.Write(p.body.Bytes())
}

// DefaultErrorHandler is the error handler of a Manager without
// [WithErrorHandler]. It responds with a line of text, the status of
// [HTTPStatus] and Cache-Control: no-store. It adds Retry-After if a retry can
// help, with 1 second for [ErrSuperseded] and 5 seconds for status 503. An
// error handler can call it for errors that it does not handle itself.
func DefaultErrorHandler(w http.ResponseWriter, _ *http.Request, err error) {
	status := HTTPStatus(err)
	h := w.Header()
	noStore(h)
	text := "Something went wrong with your session."
	switch {
	case errors.Is(err, ErrSuperseded):
		h.Set("Retry-After", "1")
		text = "Your session has just been renewed. Please try again."
	case status == http.StatusConflict:
		text = "Your session has ended or was changed by another request. Please reload the page."
	case errors.Is(err, ErrOutsidePath):
		text = "A request outside the path of the session cookie cannot start a session."
	case status == http.StatusForbidden:
		text = "A request from another site cannot start a session."
	case status == http.StatusServiceUnavailable:
		h.Set("Retry-After", "5")
		text = "Your session cannot be read or saved at the moment. It is not lost. Please try again."
	}
	http.Error(w, text, status)
}
