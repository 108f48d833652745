package session

import (
	"net/http"
	"slices"
	"strings"
)

// writeHeader adds the session's cookie to a response. It also adds the fields
// that keep caches from giving one visitor's page to another, and reports
// whether it has added a cookie.
//
// If the client has a session, the fields are added even if the handler has
// not read it yet, since it may do so after the first byte. An anonymous
// session contains no data of a visitor then.
func (s *Session) writeHeader(h http.Header) (cookie bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	personal := s.accessed || s.standing != anonymous
	if s.cookie != nil {
		s.cookieSent = true
		setCookie(h, s.cookie)
		noStore(h)
	} else if personal && h.Get("Cache-Control") == "" {
		h["Cache-Control"] = singleValue(&s.headerValues[0], "private")
	}
	if (s.cookie != nil || personal) && !varies(h) {
		if len(h["Vary"]) == 0 {
			h["Vary"] = singleValue(&s.headerValues[1], "Cookie")
		} else {
			h.Add("Vary", "Cookie")
		}
	}
	return s.cookie != nil
}

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

// varies reports whether Vary includes Cookie.
func varies(h http.Header) bool {
	return slices.ContainsFunc(splitList(h["Vary"]), func(field string) bool {
		return field == "*" || strings.EqualFold(field, "Cookie")
	})
}
