package session

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"
)

const (
	tokenSize     = 48            // ID (16) ‖ secret (32)
	unsettledSize = tokenSize + 8 // ‖ token.unsettled, big-endian

	// encodedSize is the size of an unsettled token and a time of ten digits in
	// the encoding of securecookie. It grows by two bytes in the year 2286.
	encodedSize = 160

	// maxCookieSize is the maximum size of name and value together in browsers
	// (RFC 6265bis, section 5.6).
	maxCookieSize = 4096

	// maxCookieAge is the maximum age in browsers (RFC 6265bis, section 5.5).
	maxCookieAge = 400 * 24 * time.Hour

	// maxPathSize is the maximum size of an attribute in browsers (RFC 6265bis,
	// section 5.6).
	maxPathSize = 1024

	// maxTokens limits the records that one request makes the store load.
	maxTokens = 4
)

// maxCookies limits the number of cookies to verify in one request.
const maxCookies = 50

// cookieValues appends the values of the session cookies in r. It is like
// r.CookiesNamed, but does not parse the other cookies, which takes a tenth of
// the time of a request. A malformed value fails verification later. Line ends
// are the exception, because base64 skips them, so values with line ends are
// rejected here.
func (m *Manager) cookieValues(values []string, r *http.Request) []string {
	for _, line := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			name, value, _ := strings.Cut(textproto.TrimString(pair), "=")
			if textproto.TrimString(name) != m.cookie.name || len(values) == maxCookies ||
				strings.Contains(value, "\r") || strings.Contains(value, "\n") {
				continue
			}
			if n := len(value); n > 1 && value[0] == '"' && value[n-1] == '"' {
				value = value[1 : n-1]
			}
			values = append(values, value)
		}
	}
	return values
}

// verifiedTokens appends the tokens of the cookies with a valid signature,
// each once and at most maxTokens. It compares decoded tokens, because one
// token has several encodings.
func (m *Manager) verifiedTokens(found []token, values []string) []token {
	for _, v := range values {
		if t, ok := m.decodeToken(v); ok && !slices.Contains(found, t) {
			found = append(found, t)
		}
		if len(found) == maxTokens {
			break
		}
	}
	return found
}

// decodeToken returns the token of a cookie's value if one of the keys
// verifies its signature.
func (m *Manager) decodeToken(value string) (t token, ok bool) {
	var raw []byte
	for i := range m.keys {
		if m.keys[i].cookies.Decode(m.cookie.name, value, &raw) != nil {
			continue
		}
		switch len(raw) {
		case unsettledSize:
			t.unsettled = int64(binary.BigEndian.Uint64(raw[tokenSize:]))
		case tokenSize:
		default:
			continue
		}
		copy(t.id[:], raw)
		copy(t.secret[:], raw[len(t.id):])
		return t, true
	}
	return t, false
}

// issueCookie returns the cookie with the token of a session. Its Max-Age is
// the time to the session's deadline, so a touch need not send a cookie.
func (m *Manager) issueCookie(t token, info *Info) (*http.Cookie, error) {
	raw := append(t.id[:], t.secret[:]...)
	if t.unsettled != 0 {
		raw = binary.BigEndian.AppendUint64(raw, uint64(t.unsettled))
	}
	value, err := m.keys[0].cookies.Encode(m.cookie.name, raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSign, err)
	}
	c := m.newCookie(value)
	if !m.cookie.browserSession || info.IdleTimeout > 0 {
		left := min(info.Deadline.Sub(m.now()), maxCookieAge)
		c.MaxAge = max(1, int((left+time.Second-1)/time.Second))
	}
	return c, nil
}

// newCookie returns a cookie with the configured attributes. The cookie for a
// deletion needs the same attributes, because otherwise browsers keep the old
// one.
func (m *Manager) newCookie(value string) *http.Cookie {
	k := &m.cookie
	return &http.Cookie{
		Name: k.name, Value: value, Path: k.path, Domain: k.domain, Secure: k.secure,
		HttpOnly: true, SameSite: k.sameSite, Partitioned: k.partitioned,
	}
}

// deletionCookie returns a cookie that deletes the client's.
func (m *Manager) deletionCookie() *http.Cookie {
	c := m.newCookie("")
	c.MaxAge = -1
	return c
}

// setCookie adds c to a response's header in place of an earlier cookie with
// its name. A response should not set the same cookie twice (RFC 6265, section
// 4.1.1).
func setCookie(h http.Header, c *http.Cookie) {
	removeCookie(h, c.Name)
	h["Set-Cookie"] = append(h["Set-Cookie"], c.String())
}

// removeCookie removes a cookie from a response's header.
func removeCookie(h http.Header, name string) {
	lines := h["Set-Cookie"]
	if len(lines) == 0 {
		return
	}
	kept := lines[:0:0]
	for _, line := range lines {
		if is, _, _ := strings.Cut(line, "="); textproto.TrimString(is) != name {
			kept = append(kept, line)
		}
	}
	if h["Set-Cookie"] = kept; len(kept) == 0 {
		delete(h, "Set-Cookie")
	}
}
