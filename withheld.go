package session

import (
	"net/http"
	"net/url"
	"strings"
)

// checkWithheld returns an error if the browser may have a session cookie
// which it did not send with r. A new session would replace the session of
// that cookie.
func (m *Manager) checkWithheld(r *http.Request) error {
	switch {
	case m.crossSite(r):
		return ErrCrossSite
	case m.outsidePath(r):
		return ErrOutsidePath
	}
	return nil
}

// crossSite reports whether the browser sent r from another site and withheld
// the cookie because of its SameSite attribute.
func (m *Manager) crossSite(r *http.Request) bool {
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

// outsidePath reports whether browsers do not send the cookie with r because
// of its Path attribute (RFC 6265, section 5.1.4).
func (m *Manager) outsidePath(r *http.Request) bool {
	path := m.cookie.path
	if path == "/" {
		return false
	}
	rest, below := strings.CutPrefix(m.requestedPath(r), path)
	return !below || rest != "" && rest[0] != '/' && !strings.HasSuffix(path, "/")
}

// requestedPath returns the percent-encoded path of the browser's request. A
// handler such as [http.StripPrefix] changes r.URL, but not r.RequestURI. If a
// trusted proxy has removed a prefix, X-Forwarded-Prefix contains it.
func (m *Manager) requestedPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	switch {
	case path == "": // CGI
		path = r.URL.EscapedPath()
	case path[0] != '/' && path != "*":
		u, err := url.Parse(path)
		if err != nil {
			return ""
		}
		path = u.EscapedPath()
	}
	if path == "" {
		path = "/"
	}
	if !m.trusts(peerAddr(r)) {
		return path
	}
	var full strings.Builder
	for _, prefix := range splitList(r.Header["X-Forwarded-Prefix"]) {
		full.WriteString(strings.TrimRight(prefix, "/"))
	}
	full.WriteString(path)
	return full.String()
}
