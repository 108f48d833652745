package express

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// cookieOptions are the attributes of the browser's cookie, which express-session
// keeps in each session. A value of another type counts as absent.
type cookieOptions struct {
	members     members
	maxAge      time.Duration // originalMaxAge
	hasMaxAge   bool          // it is a number
	path        string
	domain      string
	secure      bool
	partitioned bool
	sameSite    http.SameSite
}

// parseCookieOptions parses the property cookie of a session. Express fails if it
// is not an object.
func parseCookieOptions(raw []byte) (c cookieOptions, err error) {
	if c.members, err = parseObject(raw); err != nil {
		return c, fmt.Errorf("%w: its cookie is not an object", ErrDamaged)
	}
	var ms float64
	if option(c.members, "originalMaxAge", &ms) && ms >= 0 && ms < float64(MarkLife/time.Millisecond)*100 {
		c.maxAge, c.hasMaxAge = time.Duration(ms*float64(time.Millisecond)), true
	}
	option(c.members, "path", &c.path)
	option(c.members, "domain", &c.domain)
	option(c.members, "secure", &c.secure)
	option(c.members, "partitioned", &c.partitioned)
	c.sameSite = sameSite(c.members)
	return c, nil
}

// option decodes an option and reports whether it has a value of the type of v.
func option[T any](all members, name string, v *T) bool {
	raw, ok := all.get(name)
	if !ok || string(raw) == "null" {
		return false
	}
	var got T
	if json.Unmarshal(raw, &got) != nil {
		return false
	}
	*v = got
	return true
}

// sameSite returns the attribute for the option of the package cookie.
func sameSite(all members) http.SameSite {
	var name string
	var strict bool
	switch option(all, "sameSite", &name); strings.ToLower(name) {
	case "lax":
		return http.SameSiteLaxMode
	case "strict":
		return http.SameSiteStrictMode
	case "none":
		return http.SameSiteNoneMode
	}
	if option(all, "sameSite", &strict) && strict {
		return http.SameSiteStrictMode
	}
	return 0
}

// deletion returns a cookie that deletes the browser's. It needs the same
// attributes, because otherwise browsers keep the old one.
func (c *cookieOptions) deletion(name string) *http.Cookie {
	return &http.Cookie{
		Name: name, Path: c.path, Domain: c.domain, Secure: c.secure, Partitioned: c.partitioned, SameSite: c.sameSite,
		HttpOnly: true, MaxAge: -1, Expires: time.Unix(1, 0),
	}
}
