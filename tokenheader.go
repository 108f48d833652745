package session

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// WithTokenHeader lets clients without cookies, such as mobile apps and other
// programs, send the token in a header. They can use the same handlers as
// browsers. request is the header of the client, and response is the header
// with which the Manager replies. Usual names are
//
//	session.WithTokenHeader("Authorization", "Session-Token")
//
// In Authorization the client sends "Bearer" and the token (RFC 6750, section
// 2.1). A header with another name contains only the token. The default is to
// accept cookies only.
//
// A request with the header is a request of a token client, even if its token
// is empty or invalid. The Manager then ignores the session cookie and does not
// set it. The header takes the place of the cookie everywhere else in this
// documentation, except that [ErrCrossSite] and [ErrOutsidePath] do not occur.
// A request without the header, or with another scheme of Authorization, uses
// the cookie. A client that has no token yet sends "Authorization: Bearer", or
// the other header with an empty value. If a request contains several tokens,
// none of them counts.
//
// The response header contains the new token if the session began or renewed
// its token. It is empty if the session was signed out, or if the token of the
// request opens no session. The client must then forget the token, unless it
// has received another one since it sent the request. Without the header, the
// client keeps its token.
//
// A token has the same format as the value of the cookie. It depends on the
// name of the cookie (see [WithCookieName]).
func WithTokenHeader(request, response string) Option {
	return func(c *config) {
		c.header = headerConfig{
			on: true, request: http.CanonicalHeaderKey(request), response: http.CanonicalHeaderKey(response),
		}
		c.header.vary = c.header.request + ", Cookie"
	}
}

const authorization = "Authorization"

// headerConfig is the configuration of WithTokenHeader. The names are
// canonical.
type headerConfig struct {
	on                bool
	request, response string
	vary              string // of a response to a request with the cookie
}

// complete rejects names that cannot carry a token.
func (k *headerConfig) complete(c *config) {
	if !k.on {
		return
	}
	k.check(c, "request", k.request)
	k.check(c, "response", k.response)
	if k.response == authorization {
		c.addError("WithTokenHeader: the response header %q is a header of requests; use a name such as Session-Token", k.response)
	}
}

// check records an error if a name is invalid. which is the request or the
// response.
func (k *headerConfig) check(c *config, which, name string) {
	switch {
	case !isToken(name):
		c.addError("WithTokenHeader: the %s header %q is not a token of RFC 9110; use a name such as Session-Token", which, name)
	case isReserved(name) || name == c.forwarded:
		c.addError("WithTokenHeader: the %s header %q has another meaning in HTTP; use a name such as Session-Token", which, name)
	}
}

// reservedNames and reservedPrefixes contain the headers that browsers or
// proxies add by themselves, and those with a meaning in each response. If
// browsers added the request header, they could not use the cookie.
var (
	reservedNames = []string{
		"Age", "Allow", "Cache-Control", "Connection", "Cookie", "Date", "Dnt", "Early-Data", "Etag", "Expect", "Expires",
		"Forwarded", "From", "Host", "Keep-Alive", "Last-Event-Id", "Last-Modified", "Link", "Location", "Max-Forwards",
		"Origin", "Ping-From", "Ping-To", "Pragma", "Priority", "Purpose", "Range", "Referer", "Refresh", "Retry-After",
		"Save-Data", "Server", "Service-Worker", "Set-Cookie", "Strict-Transport-Security", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade", "Upgrade-Insecure-Requests", "User-Agent", "Vary", "Via", "Www-Authenticate",
		"X-Real-Ip", "X-Requested-With",
	}
	reservedPrefixes = []string{"Accept", "Access-Control-", "Content-", "If-", "Proxy-", "Sec-", "X-Forwarded-"}
)

// isReserved reports whether a canonical name has another meaning in HTTP.
func isReserved(name string) bool {
	has := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	return slices.Contains(reservedNames, name) || slices.ContainsFunc(reservedPrefixes, has)
}

// shared returns a name that both configurations use, or "".
func (k *headerConfig) shared(other *headerConfig) string {
	switch {
	case !k.on || !other.on:
		return ""
	case k.request == other.request:
		return k.request
	case k.response == other.response:
		return k.response
	}
	return ""
}

// values appends the token in the header of r. It reports false if r does not
// have the header. It appends nothing if the client has no token, and an empty
// value, which is never a token, instead of several tokens.
func (k *headerConfig) values(values []string, r *http.Request) (found []string, ok bool) {
	if !k.on {
		return values, false
	}
	value, n := "", 0
	for _, line := range r.Header[k.request] {
		if v, ok := k.parse(line); ok {
			value = v
			n++
		}
	}
	switch {
	case n == 0:
		return values, false
	case n == 1 && value == "":
		return values, true
	case n > 1 || strings.ContainsAny(value, "\r\n"): // base64 skips line ends
		value = ""
	}
	return append(values, value), true
}

// parse returns the token in one value of the header. It reports false for
// another scheme of Authorization, such as Basic, which belongs to the app.
func (k *headerConfig) parse(line string) (value string, ok bool) {
	line = textproto.TrimString(line)
	if k.request != authorization {
		return line, true
	}
	scheme, rest := line, ""
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		scheme, rest = line[:i], textproto.TrimString(line[i:])
	}
	return rest, strings.EqualFold(scheme, "Bearer")
}
