package session

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// addError records an invalid option. New returns all of them.
func (c *config) addError(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("session: "+format, args...))
}

// checkRange records an error if d is not between low and high.
func (c *config) checkRange(option string, d, low, high time.Duration) {
	if d < low || d > high {
		c.addError("%s(%v): want %v to %v", option, d, low, high)
	}
}

// complete sets the derived defaults and checks options against each other.
func (c *config) complete() error {
	c.checkRange("WithLifetime", c.lifetime, time.Second, maxCookieAge)
	if c.idle == derived {
		c.idle = min(14*24*time.Hour, c.lifetime)
	} else {
		c.checkRange("WithIdleTimeout", c.idle, time.Second, max(time.Second, c.lifetime))
	}
	if c.anonIdle == derived {
		c.anonIdle = c.idle
	} else {
		c.checkRange("WithAnonymousIdleTimeout", c.anonIdle, time.Second, max(time.Second, c.lifetime))
	}
	if c.touch == derived {
		c.touch = min(c.idle/10, time.Hour)
	} else {
		c.checkRange("WithTouchInterval", c.touch, 0, max(0, c.idle-1))
	}
	c.checkRange("WithStoreTimeout", c.timeout, 10*time.Millisecond, 10*time.Minute)
	c.checkRange("WithPollInterval", c.poll, 10*time.Millisecond, time.Hour)
	if c.maxSize < 1 || c.maxSize > 15<<20 {
		c.addError("WithMaxSize(%d): want 1 to %d bytes", c.maxSize, 15<<20)
	}
	c.cookie.complete(c)
	c.header.complete(c)
	return errors.Join(c.errs...)
}

// cookieConfig is the configuration of the cookie.
type cookieConfig struct {
	name, domain, path    string
	sameSite              http.SameSite
	secure, partitioned   bool
	browserSession, named bool
}

// complete sets the default name and rejects attributes that browsers refuse
// silently.
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
	switch {
	case !isToken(k.name):
		c.addError("WithCookieName(%q): want a token of RFC 9110: letters, digits and !#$%%&'*+-.^_`|~", k.name)
	case len(k.name)+encodedSize > maxCookieSize:
		c.addError("WithCookieName: %d bytes, want at most %d", len(k.name), maxCookieSize-encodedSize)
	case prefixed("__Host-") && (!k.secure || k.domain != "" || k.path != "/"):
		c.addError("WithCookieName(%q): browsers refuse a __Host- cookie without Secure, with a Domain or with a Path other than /", k.name)
	case prefixed("__Secure-") && !k.secure:
		c.addError("WithCookieName(%q): browsers refuse a __Secure- cookie without Secure; leave out DangerouslyAllowHTTP", k.name)
	case prefixed("__Http-") && !k.secure: // __Host-Http- begins with __Host-, and every cookie is HttpOnly
		c.addError("WithCookieName(%q): browsers refuse an __Http- cookie without Secure; leave out DangerouslyAllowHTTP", k.name)
	}
	probe := http.Cookie{Name: "n", Value: "v", Domain: k.domain, Path: k.path}
	validPath := strings.HasPrefix(k.path, "/") && !strings.ContainsAny(k.path, "?#") && !strings.HasSuffix(k.path, " ") &&
		(probe.Valid() == nil || (&http.Cookie{Name: "n", Path: k.path}).Valid() == nil)
	switch {
	case len(k.path) > maxPathSize: // browsers would use a default path instead
		c.addError("WithCookiePath: %d bytes, want at most %d", len(k.path), maxPathSize)
	case !validPath:
		c.addError("WithCookiePath(%q): want a path that begins with /, does not end with a space and has no ;, ?, # or control characters", k.path)
	case probe.Valid() != nil:
		c.addError("WithCookieDomain(%q): want a host name such as example.com, without scheme or port", k.domain)
	}
	switch k.sameSite {
	case http.SameSiteLaxMode, http.SameSiteStrictMode:
	case http.SameSiteNoneMode:
		if !k.secure {
			c.addError("WithSameSite(SameSiteNoneMode): browsers refuse SameSite=None without Secure; leave out DangerouslyAllowHTTP")
		}
	default:
		c.addError("WithSameSite(%d): want SameSiteLaxMode, SameSiteStrictMode or SameSiteNoneMode", k.sameSite)
	}
	if k.partitioned && !k.secure {
		c.addError("WithPartitioned: browsers refuse Partitioned without Secure; leave out DangerouslyAllowHTTP")
	}
}

// isToken reports whether name is a token (RFC 9110, section 5.6.2), as the
// names of cookies and headers must be.
func isToken(name string) bool { return (&http.Cookie{Name: name}).Valid() == nil }
