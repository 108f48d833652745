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
	// encodedSize is what securecookie makes of an unsettled token and ten
	// digits of time; it grows by two bytes in the year 2286.
	encodedSize = 160
	// maxCookieSize is what browsers keep of name and value together
	// (RFC 6265bis, section 5.6), and maxCookieAge how long (section 5.5).
	maxCookieSize = 4096
	maxCookieAge  = 400 * 24 * time.Hour
	// maxPathSize is the longest attribute that browsers keep (RFC 6265bis,
	// section 5.6).
	maxPathSize = 1024
	// maxTokens bounds what one request can make the store load.
	maxTokens = 4
)

// maxCookies bounds how many cookies of the name a request makes us verify.
const maxCookies = 50

// cookies appends the values of those of the manager's name. It is
// r.CookiesNamed without parsing all others, which takes a tenth of a request's
// time: what is not well-formed does not verify either, but for line ends, which
// base64 skips.
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

// tokens appends those that the cookies carry and the keys verify, each once
// and at most four. It compares decoded tokens: the encoding is malleable.
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

// issue returns the cookie that carries the token of a session.
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

// blank returns a cookie with the configured attributes. The one that deletes
// must repeat them, or browsers keep the other one.
func (m *Manager) newCookie(value string) *http.Cookie {
	k := &m.cookie
	return &http.Cookie{
		Name: k.name, Value: value, Path: k.path, Domain: k.domain, Secure: k.secure,
		HttpOnly: true, SameSite: k.sameSite, Partitioned: k.partitioned,
	}
}

func (m *Manager) deletionCookie() *http.Cookie {
	c := m.newCookie("")
	c.MaxAge = -1
	return c
}

// setCookie puts c into a response's header in place of any earlier one of
// its name: what a browser makes of two is undefined.
func setCookie(h http.Header, c *http.Cookie) {
	removeCookie(h, c.Name)
	h["Set-Cookie"] = append(h["Set-Cookie"], c.String())
}

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
