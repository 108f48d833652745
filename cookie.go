package session

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/securecookie"
)

const (
	tokenSize = 48 // ID (16) ‖ secret (32)
	// encodedSize is what securecookie makes of a token and ten digits of
	// time; it grows by two bytes in the year 2286.
	encodedSize = 144
	// maxCookieSize is what browsers keep of name and value together
	// (RFC 6265bis, section 5.6), and maxCookieAge how long (section 5.5).
	maxCookieSize = 4096
	maxCookieAge  = 400 * 24 * time.Hour
	// maxTokens bounds what one request can make the store load.
	maxTokens = 4
)

// secret is the half of a token that only the browser knows.
type secret [32]byte

// token is what the cookie carries.
type token struct {
	id     ID
	secret secret
}

func newSecret() (s secret) {
	rand.Read(s[:])
	return s
}

// verifier is what the store holds of the secret: it tells whether a secret
// is the right one and is of no use to whoever reads it.
func (s secret) verifier() []byte {
	sum := sha256.Sum256(s[:])
	return sum[:]
}

// keys are derived from one configured secret, one key for each purpose.
type keys struct {
	cookies *securecookie.SecureCookie
	renewal []byte
}

func deriveKeys(master string) (keys, error) {
	const advice = "make one with: openssl rand -base64 32"
	switch {
	case master == "":
		return keys{}, errors.New("is empty; " + advice)
	case len(master) < 32:
		return keys{}, fmt.Errorf("has %d bytes, want at least 32; %s", len(master), advice)
	case strings.Count(master, master[:1]) == len(master):
		return keys{}, errors.New("is one repeated byte; " + advice)
	}
	derive := func(purpose string) []byte {
		// The only error is a length beyond 255 hashes.
		key, _ := hkdf.Key(sha256.New, []byte(master), nil, "holdfast session: "+purpose, sha256.Size)
		return key
	}
	// The record decides when a session ends, not the cookie's timestamp:
	// two clocks for one question drift apart.
	sc := securecookie.New(derive("sign"), nil).SetSerializer(securecookie.NopEncoder{}).MaxAge(0)
	return keys{cookies: sc, renewal: derive("renew")}, nil
}

// renewed derives the secret that follows s. Whoever knows s, the record's
// salt and the key arrives at the same one, so two requests that renew at
// once agree; any two of the three are not enough.
func (k keys) renewed(s secret, id ID, salt []byte) (next secret) {
	mac := hmac.New(sha256.New, k.renewal)
	mac.Write(s[:])
	mac.Write(id[:])
	mac.Write(salt)
	mac.Sum(next[:0])
	return next
}

// cookieConfig holds the cookie's name and attributes.
type cookieConfig struct {
	name, domain, path    string
	sameSite              http.SameSite
	secure, partitioned   bool
	browserSession, named bool
}

// complete names the cookie and checks what browsers would refuse in silence.
func (k *cookieConfig) complete(c *config) {
	if !k.named {
		switch {
		case !k.secure:
			k.name = "session"
		case k.domain != "" || k.path != "/":
			k.name = "__Secure-session"
		default:
			k.name = "__Host-session"
		}
	}
	prefixed := func(p string) bool { return len(k.name) >= len(p) && strings.EqualFold(k.name[:len(p)], p) }
	valid := (&http.Cookie{Name: k.name, Value: "v"}).Valid() == nil
	switch {
	case !valid:
		c.fault("WithCookieName(%q): want a token of RFC 9110: letters, digits and !#$%%&'*+-.^_`|~", k.name)
	case len(k.name)+encodedSize > maxCookieSize:
		c.fault("WithCookieName: %d bytes, want at most %d", len(k.name), maxCookieSize-encodedSize)
	case prefixed("__Host-") && (!k.secure || k.domain != "" || k.path != "/"):
		c.fault("WithCookieName(%q): browsers refuse a __Host- cookie without Secure, with a Domain or with a Path other than /", k.name)
	case prefixed("__Secure-") && !k.secure:
		c.fault("WithCookieName(%q): browsers refuse a __Secure- cookie without Secure; leave out DangerouslyAllowHTTP", k.name)
	}
	probe := http.Cookie{Name: "n", Value: "v", Domain: k.domain, Path: k.path}
	if !strings.HasPrefix(k.path, "/") || probe.Valid() != nil && (&http.Cookie{Name: "n", Path: k.path}).Valid() != nil {
		c.fault("WithCookiePath(%q): want a path that begins with / and has no ; or control characters", k.path)
	} else if probe.Valid() != nil {
		c.fault("WithCookieDomain(%q): want a host name such as example.com, without scheme or port", k.domain)
	}
	switch k.sameSite {
	case http.SameSiteLaxMode, http.SameSiteStrictMode:
	case http.SameSiteNoneMode:
		if !k.secure {
			c.fault("WithSameSite(SameSiteNoneMode): browsers refuse SameSite=None without Secure; leave out DangerouslyAllowHTTP")
		}
	default:
		c.fault("WithSameSite(%d): want SameSiteLaxMode, SameSiteStrictMode or SameSiteNoneMode", k.sameSite)
	}
	if k.partitioned && !k.secure {
		c.fault("WithPartitioned: browsers refuse Partitioned without Secure; leave out DangerouslyAllowHTTP")
	}
}

// tokens appends those that the cookies carry and the keys verify, each once
// and at most four. It compares decoded tokens: the encoding is malleable.
func (m *Manager) tokens(found []token, values []string) []token {
	for _, v := range values {
		if t, ok := m.decode(v); ok && !slices.Contains(found, t) {
			found = append(found, t)
		}
		if len(found) == maxTokens {
			break
		}
	}
	return found
}

func (m *Manager) decode(value string) (t token, ok bool) {
	var raw []byte
	for i := range m.keys {
		if m.keys[i].cookies.Decode(m.cookie.name, value, &raw) == nil && len(raw) == tokenSize {
			copy(t.id[:], raw)
			copy(t.secret[:], raw[len(t.id):])
			return t, true
		}
	}
	return t, false
}

// issue returns the cookie that carries the token of a session.
func (m *Manager) issue(t token, info *Info) (*http.Cookie, error) {
	value, err := m.keys[0].cookies.Encode(m.cookie.name, append(t.id[:], t.secret[:]...))
	if err != nil {
		return nil, fmt.Errorf("session: cannot sign the cookie: %w", err)
	}
	c := m.blank(value)
	if !m.cookie.browserSession || info.IdleTimeout > 0 {
		left := min(info.Deadline.Sub(m.now()), maxCookieAge)
		c.MaxAge = max(1, int((left+time.Second-1)/time.Second))
	}
	return c, nil
}

// blank returns a cookie with the configured attributes. The one that deletes
// must repeat them, or browsers keep the other one.
func (m *Manager) blank(value string) *http.Cookie {
	k := &m.cookie
	return &http.Cookie{
		Name: k.name, Value: value, Path: k.path, Domain: k.domain, Secure: k.secure,
		HttpOnly: true, SameSite: k.sameSite, Partitioned: k.partitioned,
	}
}

func (m *Manager) expired() *http.Cookie {
	c := m.blank("")
	c.MaxAge = -1
	return c
}

// setCookie puts c into a response's header in place of any earlier one of
// its name: what a browser makes of two is undefined.
func setCookie(h http.Header, c *http.Cookie) {
	kept := h["Set-Cookie"][:0:0]
	for _, line := range h["Set-Cookie"] {
		if name, _, _ := strings.Cut(line, "="); textproto.TrimString(name) != c.Name {
			kept = append(kept, line)
		}
	}
	h["Set-Cookie"] = append(kept, c.String())
}

// withheld tells whether the browser sent r from another site and kept the
// cookie to itself because of its SameSite attribute.
func (m *Manager) withheld(r *http.Request) bool {
	if r.Header.Get("Sec-Fetch-Site") != "cross-site" {
		return false
	}
	switch m.cookie.sameSite {
	case http.SameSiteNoneMode:
		return false
	case http.SameSiteStrictMode:
		return true
	}
	followed := r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	return !followed || !safe
}
