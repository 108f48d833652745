package doctor

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	urlTimeout = 15 * time.Second

	// maxCookieAge is the longest life of a cookie in browsers (RFC 6265bis,
	// section 5.5).
	maxCookieAge = 400 * 24 * 3600
)

// defaultCookies are the default names of the session cookie.
var defaultCookies = []string{"__Host-session", "__Secure-session", "session"}

// ParseURL parses the URL to fetch. Its error does not contain a password.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("--url must be an absolute URL such as https://example.com/login")
	}
	return u, nil
}

// shownURL returns a URL without a user, a password and a query.
func shownURL(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// URL fetches a page twice without a cookie, and again with the cookie that it
// has received, and judges the cookie and the caching headers. cookie is the name
// of the session cookie. If it is empty, the default names are tried.
func URL(ctx context.Context, u *url.URL, cookie string) []Finding {
	names := defaultCookies
	if cookie != "" {
		names = []string{cookie}
	}
	return named("url", fetchAndJudge(ctx, u, names))
}

func fetchAndJudge(ctx context.Context, u *url.URL, names []string) []Finding {
	first, err := fetch(ctx, u, nil)
	if err != nil {
		return []Finding{failure("Check the address, the certificate and the proxy.", "%s cannot be fetched: %s", shownURL(u), oneLine(err))}
	}
	list := judgeResponse(u, first)
	set := sessionCookie(first, names)
	if set == nil {
		return append(list, skipped("%s sets no cookie named %s; choose a page that starts a session, or pass --cookie", shownURL(u), strings.Join(names, " or ")))
	}
	list = append(list, judgeCookie(u, set)...)
	list = append(list, judgeCaching(first, "the response with the cookie")...)
	second, err := fetch(ctx, u, nil)
	if err == nil {
		if other := sessionCookie(second, names); other != nil && sameSession(other, set) {
			list = append(list, failure("Keep the page out of every cache. A response with Set-Cookie must never be stored.",
				"two visitors received the same cookie, so a cache hands out sessions"))
		}
	}
	third, err := fetch(ctx, u, set)
	if err != nil {
		return append(list, failure("Check the address, the certificate and the proxy.", "%s cannot be fetched with its cookie: %s", shownURL(u), oneLine(err)))
	}
	switch again := sessionCookie(third, names); {
	case third.StatusCode >= http.StatusInternalServerError:
		list = append(list, failure("Look at the app's log.", "with its cookie, the page responds with %s", third.Status))
	case again != nil && sameSession(again, set):
		list = append(list, ok("the app knows the session again"))
	case again != nil && again.MaxAge >= 0:
		list = append(list, failure("Check that the proxy passes the Cookie header on, and that all replicas have the same SESSION_SECRET and database.",
			"the app does not know its own cookie, and sends another one"))
	default:
		list = append(list, ok("the app sends no other cookie for the same visitor"))
		list = append(list, judgeCaching(third, "the response to a request with the cookie")...)
	}
	return list
}

// fetch requests a page once. It does not follow redirects, because each
// response of an app may set the cookie.
func fetch(ctx context.Context, u *url.URL, cookie *http.Cookie) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, urlTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if cookie != nil {
		req.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
	}
	req.Header.Set("User-Agent", "session-doctor")
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		var uerr *url.Error // its text has the whole URL
		if errors.As(err, &uerr) {
			err = uerr.Err
		}
		return nil, err
	}
	return resp, resp.Body.Close()
}

func sessionCookie(resp *http.Response, names []string) *http.Cookie {
	for _, c := range resp.Cookies() {
		if slices.Contains(names, c.Name) {
			return c
		}
	}
	return nil
}

// sameSession reports whether two cookies belong to one session. The same token
// has another encoding in each cookie, because the signature covers the time.
func sameSession(a, b *http.Cookie) bool {
	ida, oka := idOf(a.Value)
	idb, okb := idOf(b.Value)
	return oka && okb && bytes.Equal(ida, idb) || a.Value == b.Value
}

// idOf returns the session ID in a cookie's value. The value is base64 of
// "time|base64 of the token|signature", and a token begins with the ID.
func idOf(value string) ([]byte, bool) {
	signed, err := base64.URLEncoding.DecodeString(value)
	if err != nil {
		return nil, false
	}
	parts := bytes.SplitN(signed, []byte("|"), 3)
	if len(parts) != 3 {
		return nil, false
	}
	token, err := base64.URLEncoding.DecodeString(string(parts[1]))
	if err != nil || len(token) < 48 {
		return nil, false
	}
	return token[:16], true
}

func judgeResponse(u *url.URL, resp *http.Response) (list []Finding) {
	if resp.StatusCode >= http.StatusInternalServerError {
		return []Finding{failure("Look at the app's log.", "%s responds with %s", shownURL(u), resp.Status)}
	}
	list = append(list, ok("%s responds with %s", shownURL(u), resp.Status))
	if u.Scheme == "https" && resp.Header.Get("Strict-Transport-Security") == "" {
		list = append(list, warning("Let the proxy or the app send Strict-Transport-Security.",
			"the response has no Strict-Transport-Security, so a browser's first request may be plain HTTP"))
	}
	return list
}

func judgeCookie(u *url.URL, c *http.Cookie) (list []Finding) {
	bad := func(advice, format string, args ...any) { list = append(list, failure(advice, format, args...)) }
	if !c.Secure {
		bad("Remove DangerouslyAllowHTTP from the app. The library sets Secure also behind a proxy that ends TLS.",
			"the cookie %s is not Secure", c.Name)
	} else if u.Scheme == "http" {
		list = append(list, warning("Pass the https URL, as browsers see it.", "a browser ignores the Secure cookie %s over plain HTTP", c.Name))
	}
	if !c.HttpOnly {
		bad("Look for a proxy or a middleware that rewrites Set-Cookie. The library sets HttpOnly.", "the cookie %s is not HttpOnly, so scripts can read it", c.Name)
	}
	switch c.SameSite {
	case http.SameSiteLaxMode, http.SameSiteStrictMode:
	case http.SameSiteNoneMode:
		list = append(list, warning("Keep it only for a front end on another site, see docs/how-to/cross-site.md.", "the cookie %s is SameSite=None", c.Name))
	default:
		bad("Look for a proxy or a middleware that rewrites Set-Cookie. The library sets SameSite.", "the cookie %s has no SameSite", c.Name)
	}
	if strings.HasPrefix(c.Name, "__Host-") && (c.Domain != "" || c.Path != "/") {
		bad("Look for a proxy that rewrites the cookie's domain or path. Browsers refuse this cookie.", "the cookie %s has Domain %q and Path %q", c.Name, c.Domain, c.Path)
	}
	if c.Domain != "" && !strings.HasPrefix(c.Name, "__Host-") {
		list = append(list, warning("Remove WithCookieDomain unless several hosts need the session.", "the cookie %s is sent to all hosts of %s", c.Name, c.Domain))
	}
	if c.MaxAge > maxCookieAge {
		list = append(list, warning("Browsers shorten it to 400 days.", "the cookie %s has a Max-Age of %d seconds", c.Name, c.MaxAge))
	}
	if len(list) == 0 {
		list = append(list, ok("the cookie %s is %s", c.Name, attributes(c)))
	}
	return list
}

// attributes describes a cookie without its value.
func attributes(c *http.Cookie) string {
	sameSite := map[http.SameSite]string{http.SameSiteLaxMode: "SameSite=Lax", http.SameSiteStrictMode: "SameSite=Strict"}[c.SameSite]
	return fmt.Sprintf("Secure, HttpOnly, %s, Path=%s", sameSite, c.Path)
}

// judgeCaching returns the findings about the caching headers of a response.
func judgeCaching(resp *http.Response, what string) (list []Finding) {
	control := strings.ToLower(strings.Join(resp.Header.Values("Cache-Control"), ","))
	const advice = "Look for a proxy or a middleware that changes the header. The library sets it."
	private := strings.Contains(control, "private") || strings.Contains(control, "no-store")
	if !private {
		list = append(list, failure(advice, "%s has Cache-Control %q, so a shared cache may store it", what, control))
	}
	if !strings.Contains(control, "no-store") && !variesByCookie(resp.Header) {
		list = append(list, failure(advice, "%s has no Vary: Cookie, so a browser may show it after a sign-out", what))
	}
	if age := resp.Header.Get("Age"); age != "" && age != "0" {
		list = append(list, failure("Keep the page out of every cache.", "%s came from a cache %s seconds old", what, age))
	}
	if len(list) == 0 {
		list = append(list, ok("%s is not for shared caches", what))
	}
	return list
}

func variesByCookie(h http.Header) bool {
	for field := range strings.SplitSeq(strings.Join(h.Values("Vary"), ","), ",") {
		if field = strings.TrimSpace(field); field == "*" || strings.EqualFold(field, "Cookie") {
			return true
		}
	}
	return false
}
