package session

import (
	"net/http"
	"strings"
)

// carrier is the part of a request and its response that contains the token.
// It is the same for both. So a token client never gets a cookie, and a script
// in a browser cannot read the token of a cookie from a response.
type carrier uint8

const (
	byCookie carrier = iota // Cookie and Set-Cookie
	byHeader                // the headers of WithTokenHeader
)

// UsesTokenHeader reports whether the client sends its token in the header of
// [WithTokenHeader], so it gets no cookie.
func (s *Session) UsesTokenHeader() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.carrier == byHeader
}

// receive determines the carrier of the session and appends the values of the
// token in r, which are not verified yet. A header decides if r has one. So
// withheldErr is not set then: browsers add no such header by themselves, and
// the new token does not replace a cookie.
func (s *Session) receive(values []string, r *http.Request) []string {
	if found, ok := s.m.header.values(values, r); ok {
		s.carrier = byHeader
		return found
	}
	values = s.m.cookieValues(values, r)
	if len(values) == 0 {
		s.withheldErr = s.m.checkWithheld(r)
	}
	return values
}

// admitRequest finds the session of the token in r.
func (s *Session) admitRequest(r *http.Request) error {
	var oneValue [1]string // most requests have one value
	var oneToken [1]token
	values := s.receive(oneValue[:0], r)
	if err := s.m.admitTraced(r.Context(), s, len(values), s.m.verifiedTokens(oneToken[:0], values)); err != nil {
		return err
	}
	s.refused = s.carrier == byHeader && len(values) > 0 && s.standing == anonymous
	return nil
}

// sendToken adds the new token to a response's header. If the client has to
// forget its token, sendToken adds the deletion of the cookie, or an empty
// header. The caller holds mu.
func (s *Session) sendToken(h http.Header) {
	if s.carrier == byCookie {
		setCookie(h, s.cookie)
		return
	}
	value := ""
	if s.cookie != nil {
		value = s.cookie.Value
	}
	h[s.m.header.response] = []string{value}
}

// removeToken removes the token from a response's header.
func (s *Session) removeToken(h http.Header) {
	if s.carrier == byCookie {
		removeCookie(h, s.m.cookie.name)
	} else {
		delete(h, s.m.header.response)
	}
}

// vary returns the headers on which the responses of a carrier depend. The
// cookie counts only in requests without the token header.
func (c *config) vary(by carrier) string {
	switch {
	case by == byHeader:
		return c.header.request
	case c.header.on:
		return c.header.vary
	default:
		return "Cookie"
	}
}

// addVary adds the headers on which the response depends to Vary.
func (s *Session) addVary(h http.Header) {
	fields := s.m.vary(s.carrier)
	if len(h["Vary"]) == 0 {
		h["Vary"] = singleValue(&s.headerValues[1], fields)
		return
	}
	for field := range strings.SplitSeq(fields, ", ") {
		if !varies(h, field) {
			h.Add("Vary", field)
		}
	}
}
