package session

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
)

// Wrap returns a handler that gives a session to each request of next. It
// loads the session before next runs. It commits the session before the first
// byte of the response, so no client sees a response whose changes are not
// stored. If the session cannot be loaded or saved, the client receives an
// error page (see [WithErrorHandler]).
//
// Put Wrap inside a middleware that recovers from panics, and around every
// handler with sessions. Static files and health checks are better outside,
// because Wrap loads the session for each request. To wrap a handler twice
// with the same Manager has the effect of once. Two Managers around one
// request need different cookie names and different token headers. Otherwise
// the handler panics.
//
// If [NewContext] has put a session of m into the request's context, next gets
// this session, and Wrap commits it.
func (m *Manager) Wrap(next http.Handler) http.Handler {
	m.mustBeMade()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		outer := scopeOf(r.Context())
		given := outer.of(m)
		if given == nil {
			m.mustDiffer(outer)
		} else if mine, err := given.claim(r); err != nil {
			m.fail(w, r, err)
			return
		} else if !mine {
			next.ServeHTTP(w, r)
			return
		}
		m.serve(next, w, r, outer, given)
	})
}

// mustDiffer panics if a Manager around this one has the same cookie name or
// the same token header. Each would take the other's token for a forged one and
// replace it.
func (m *Manager) mustDiffer(outer *scope) {
	for c := outer; c != nil; c = c.outer {
		if name := m.header.shared(&c.s.m.header); name != "" {
			panic(fmt.Sprintf("session: two managers wrap this request with one token header %q: use other names for one of them (WithTokenHeader)", name))
		}
		if c.s.m.cookie.name == m.cookie.name {
			panic(fmt.Sprintf("session: two managers wrap this request with one cookie name %q: use another name for one of them (WithCookieName)", m.cookie.name))
		}
	}
}

// visit combines the structs of one request in one allocation.
type visit struct {
	session  Session
	response response
	scope    scope
}

// serve runs next with the session given, or with the session of the request's
// token if given is nil.
func (m *Manager) serve(next http.Handler, w http.ResponseWriter, r *http.Request, outer *scope, given *Session) {
	v := new(visit)
	s, res := given, &v.response
	if s == nil {
		s = &v.session
		*s = Session{m: m, request: r, admitted: m.now(), wrapped: true}
		if err := s.admitRequest(r); err != nil {
			m.fail(w, r, err)
			return
		}
	}
	*res = response{inner: w, s: s, r: r}
	if h := w.Header(); len(h) > 0 {
		res.entry = maps.Clone(h)
	}
	v.scope = scope{r.Context(), s, outer}
	inner := r.WithContext(&v.scope)
	returned := false
	defer func() {
		release(r, inner)
		if returned {
			return
		}
		res.abandon()
		if res.phase == phaseReplaced {
			// The client already has an error page instead of the handler's
			// response.
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				panic(p)
			}
		}
	}()
	next.ServeHTTP(res, inner)
	returned = true
	res.finish()
}

var errReused = errors.New("the session that NewContext put into this context belongs to a request that has ended; load one for each request")

// claim makes the caller, a Wrap, responsible for committing a session of
// NewContext. It reports false if another Wrap is.
func (s *Session) claim(r *http.Request) (mine bool, err error) {
	s.lock()
	defer s.unlock()
	switch {
	case s.ended:
		return false, &misuseError{what: "Wrap", err: errReused}
	case s.wrapped:
		return false, nil
	}
	known := s.request != nil // to LoadRequest; the caller may have changed r since
	s.request, s.wrapped = r, true
	if known {
		return true, nil
	}
	s.receive(nil, r)
	if s.standing != anonymous {
		s.carrier = byCookie
	}
	return true, nil
}

// release removes the uploaded files of inner, a copy of r, and copies the
// matched pattern to r, for outer middleware. net/http does both only for its
// own request.
func release(r, inner *http.Request) {
	r.Pattern = inner.Pattern
	if inner.MultipartForm != nil && r.MultipartForm == nil {
		_ = inner.MultipartForm.RemoveAll()
	}
}
