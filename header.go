package session

import (
	"net/http"
	"slices"
	"strings"
)

// writeHeader adds the session's new token to a response. It also adds the
// fields that keep caches from giving one visitor's page to another, and
// reports whether it has added a token.
//
// If the client has a session, the fields are added even if the handler has
// not read it yet, since it may do so after the first byte. An anonymous
// session contains no data of a visitor then.
func (s *Session) writeHeader(h http.Header) (token bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	personal := s.accessed || s.standing != anonymous
	token = s.cookie != nil || s.refused
	if token {
		s.cookieSent = true
		s.sendToken(h)
		noStore(h)
	} else if personal && h.Get("Cache-Control") == "" {
		h["Cache-Control"] = singleValue(&s.headerValues[0], "private")
	}
	if token || personal {
		s.addVary(h)
	}
	s.extra.addCookies(h)
	return token
}

// SetHeader adds the new token of the last Save to a response's header, as a
// cookie or in the header of [WithTokenHeader]. It also adds Vary and
// Cache-Control, as [Manager.Wrap] does. Call it for a session of
// [Manager.LoadRequest], or before you hijack the connection and send h
// yourself. In other handlers Wrap does the same.
func (s *Session) SetHeader(h http.Header) { s.writeHeader(h) }

// noStore keeps caches from storing a response. Some fields take precedence
// over Cache-Control in certain caches, such as X-Accel-Expires of nginx and
// those of RFC 9213, which end in -Cache-Control.
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

// singleValue returns a header value without an allocation.
func singleValue(field *[1]string, value string) []string {
	field[0] = value
	return field[:]
}

// varies reports whether Vary includes a field.
func varies(h http.Header, name string) bool {
	return slices.ContainsFunc(splitList(h["Vary"]), func(field string) bool {
		return field == "*" || strings.EqualFold(field, name)
	})
}
