package session

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

// Option changes a default of [New]. Options out of range are reported by
// New, all at once.
type Option func(*config)

type config struct {
	accepted   []string
	idle       time.Duration
	anonIdle   time.Duration
	lifetime   time.Duration
	touch      time.Duration
	timeout    time.Duration
	maxSize    int
	maxPerUser int
	clientInfo bool
	proxies    []netip.Prefix
	forwarded  string // canonical name of a header
	codec      Codec
	log        *slog.Logger
	answer     func(http.ResponseWriter, *http.Request, error)
	observe    func(context.Context, Event)
	cookie     cookieConfig
	encryption bool
	now        func() time.Time
	errs       []error
}

const derived = -1 // a duration that follows from another one

func defaults() config {
	return config{
		idle:     derived,
		anonIdle: derived,
		lifetime: 30 * 24 * time.Hour,
		touch:    derived,
		timeout:  5 * time.Second,
		maxSize:  64 << 10,
		codec:    jsonCodec{},
		log:      slog.Default(),
		answer:   DefaultErrorHandler,

		forwarded: "X-Forwarded-For",
		cookie:    cookieConfig{path: "/", sameSite: http.SameSiteLaxMode, secure: true},
		now:       time.Now,
	}
}

// WithAcceptedSecrets names earlier or coming secrets whose cookies are
// accepted; new ones are signed with the secret of New. Empty ones are
// skipped, so that an unset environment variable is fine. To rotate, deploy
// three times: accept the new secret; sign with it and accept the old one;
// drop the old one when the longest lifetime has passed.
func WithAcceptedSecrets(secrets ...string) Option {
	return func(c *config) { c.accepted = append(c.accepted, secrets...) }
}

// WithIdleTimeout ends a session that has seen no request for d, from one
// second to the lifetime; 14 days by default, or the lifetime if that is less. Activity is recorded once per
// touch interval, so that the session of a visitor who left ends between d
// less that interval and d.
func WithIdleTimeout(d time.Duration) Option {
	return func(c *config) { c.idle = d }
}

// WithAnonymousIdleTimeout is the idle timeout of sessions without a user,
// which bots cause too; by default that of all.
func WithAnonymousIdleTimeout(d time.Duration) Option {
	return func(c *config) { c.anonIdle = d }
}

// WithLifetime ends a session when d has passed since the sign-in or, without
// one, its creation, whatever its activity: one second to 400 days, 30 days by
// default. Browsers keep no cookie for longer (RFC 6265bis, section 5.5).
func WithLifetime(d time.Duration) Option {
	return func(c *config) { c.lifetime = d }
}

// WithTouchInterval sets how often activity is written to the store: at least
// zero (at each request) and less than the idle timeout; by default a tenth of
// it, at most one hour. A session with an idle timeout of its own is touched
// at least ten times in it.
func WithTouchInterval(d time.Duration) Option {
	return func(c *config) { c.touch = d }
}

// WithStoreTimeout bounds what a request waits for the store, once to load and
// once to commit: ten milliseconds to ten minutes, 5 seconds by default.
func WithStoreTimeout(d time.Duration) Option {
	return func(c *config) { c.timeout = d }
}

// WithMaxSize sets the maximum size of a session's encoded data, including the
// names of its keys, in bytes. It must be between 1 and 15 MiB. The default is
// 64 KiB. A change that makes the data larger than that is [ErrTooLarge].
//
// Each request applies the maximum to the data that it has loaded. So n
// concurrent requests that add different keys can store up to n times the
// maximum. Such a session can still be read. The next change that makes it
// grow is refused, and a change that does not make it grow is stored.
func WithMaxSize(bytes int) Option {
	return func(c *config) { c.maxSize = bytes }
}

// WithMaxPerUser bounds the live sessions of a user, 1 to 10,000: a sign-in
// ends those least recently seen beyond n. Of sign-ins at the same instant one
// more may stay, until the next. Unbounded by default.
func WithMaxPerUser(n int) Option {
	return func(c *config) {
		c.maxPerUser = n
		if n < 1 || n > 10_000 {
			c.addError("WithMaxPerUser(%d): want 1 to 10000", n)
		}
	}
}

// WithClientInfo keeps the client's IP address and User-Agent (at most 256
// bytes each) with the session, as of its creation and each sign-in, for lists
// of devices. It is personal data.
func WithClientInfo() Option {
	return func(c *config) { c.clientInfo = true }
}

// WithTrustedProxies sets the addresses of the reverse proxies whose headers
// count: X-Forwarded-For or the header of [WithForwardedHeader], X-Forwarded-Proto
// and X-Forwarded-Prefix. They count only if the immediate peer is a trusted proxy.
// The default is no trusted proxy.
func WithTrustedProxies(prefixes ...netip.Prefix) Option {
	return func(c *config) {
		c.proxies = append(c.proxies, prefixes...)
		if slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return !p.IsValid() }) {
			c.addError("WithTrustedProxies: a prefix is invalid; use netip.MustParsePrefix(\"10.0.0.0/8\")")
		}
	}
}

// WithForwardedHeader sets the header from which the client's address is taken if
// the immediate peer is a trusted proxy: Forwarded (RFC 7239) or the name of a
// header whose value is a list of addresses, such as X-Real-Ip. The default is
// X-Forwarded-For. Choose a header that every trusted proxy sets or appends to.
// Proxies pass other headers through as the client sent them, so those do not
// count. With Forwarded, the protocol too is taken from it, and otherwise from
// X-Forwarded-Proto.
func WithForwardedHeader(name string) Option {
	return func(c *config) {
		c.forwarded = http.CanonicalHeaderKey(name)
		if !isToken(name) {
			c.addError("WithForwardedHeader(%q): want the name of a header, such as Forwarded or X-Real-Ip", name)
		}
	}
}

// WithCodec sets the codec that encodes values. The default is
// [encoding/json]. The new codec cannot decode values that another codec wrote.
func WithCodec(codec Codec) Option {
	return func(c *config) {
		c.codec = codec
		if codec == nil {
			c.addError("WithCodec(nil): leave the option out for JSON")
		}
	}
}

// WithEncryption encrypts each value with AES-256-GCM before it reaches the
// store, with a key that is derived from the secret of [New] and the session's
// ID. User names, the names of keys, times and client information are not
// encrypted. A value grows by 34 bytes.
//
// The option governs writing only, so that it can be switched on and off while
// the app runs: plain values stay readable and are encrypted when they are next
// written, or at the next sign-in. A value that an accepted secret has encrypted
// is encrypted anew at the next sign-in. Whoever loses the secrets loses the
// values.
func WithEncryption() Option {
	return func(c *config) { c.encryption = true }
}

// WithLogger sets where faults are logged, [slog.Default] by default. No log
// line holds a token.
func WithLogger(log *slog.Logger) Option {
	return func(c *config) {
		c.log = log
		if log == nil {
			c.addError("WithLogger(nil): use slog.New(slog.DiscardHandler) for silence")
		}
	}
}

// WithErrorHandler sets the function that answers a request whose session could
// not be loaded or saved. The headers of w are as they were before the handler. If
// answer sets no status, the status is that of [HTTPStatus]. The response is sent
// when answer returns. By default it is a line of text with the status of
// HTTPStatus, Cache-Control: no-store and, if a retry helps, Retry-After. The error
// has been logged before.
//
// r is the request that Wrap received. Its context has no session of this Manager,
// unless [NewContext] has put one there, so the error handler must not call
// FromContext.
func WithErrorHandler(answer func(w http.ResponseWriter, r *http.Request, err error)) Option {
	return func(c *config) {
		c.answer = answer
		if answer == nil {
			c.addError("WithErrorHandler(nil): leave the option out for the default")
		}
	}
}

// WithObserver calls f at each [Event], in the request's goroutine: for
// metrics, tracing and audit logs.
func WithObserver(f func(context.Context, Event)) Option {
	return func(c *config) {
		c.observe = f
		if f == nil {
			c.addError("WithObserver(nil): leave the option out")
		}
	}
}

// WithCookieName names the cookie. The default is __Host-session, with a
// domain or a path __Secure-session, and with [DangerouslyAllowHTTP] session.
//
// A deploy that changes the name signs everybody out. This includes a deploy
// that adds or removes [WithCookieDomain], [WithCookiePath] or
// [DangerouslyAllowHTTP] while the name is the default one.
func WithCookieName(name string) Option {
	return func(c *config) { c.cookie.name = name; c.cookie.named = true }
}

// WithCookieDomain sends the cookie to a domain and all its subdomains. By
// default it goes to the very host that set it. The option changes the default
// name of the cookie, see [WithCookieName].
func WithCookieDomain(domain string) Option {
	return func(c *config) {
		c.cookie.domain = domain
		if domain == "" {
			c.addError("WithCookieDomain(\"\"): leave the option out for the host alone")
		}
	}
}

// WithCookiePath sets the cookie's Path attribute, at most 1,024 bytes. Browsers
// send the cookie only with requests for this path and the paths below it. The
// default is "/". The path does not protect the cookie from other pages of the
// same origin. A request that comes without the cookie from outside the path
// cannot start a session unless it signs in: a change gets [ErrOutsidePath]. If a
// proxy removes a prefix from the path, name the proxy in [WithTrustedProxies]
// and let it send the prefix in X-Forwarded-Prefix. A path
// other than "/" changes the default name of the cookie, see [WithCookieName].
func WithCookiePath(path string) Option {
	return func(c *config) { c.cookie.path = path }
}

// WithSameSite sets whether requests from other sites carry the cookie:
// [http.SameSiteLaxMode], the default (on following links alone),
// [http.SameSiteStrictMode] (never) or [http.SameSiteNoneMode] (always; such
// an app must check the Origin of what changes something).
//
// A request that comes without the cookie because of this attribute reads as
// anonymous. SignIn signs a user in there and can store values with it. Any
// other change is [ErrCrossSite], because the new cookie would replace the
// visitor's session. With Lax this concerns forms that another site posts,
// such as the result of OpenID Connect with response_mode=form_post, of SAML
// or of 3-D Secure. With Strict it also concerns pages that a visitor reaches
// by a link on another site.
func WithSameSite(s http.SameSite) Option {
	return func(c *config) { c.cookie.sameSite = s }
}

// WithPartitioned gives each top-level site that embeds this one a cookie of
// its own (CHIPS).
func WithPartitioned() Option {
	return func(c *config) { c.cookie.partitioned = true }
}

// WithBrowserSession leaves out the cookie's Max-Age, so that the browser
// drops it when it ends. Sessions to which SetTimeouts gave limits of their
// own ("remember me") keep it.
func WithBrowserSession() Option {
	return func(c *config) { c.cookie.browserSession = true }
}

// DangerouslyAllowHTTP leaves out the cookie's Secure attribute, for a
// development machine whose browser (Safari) does not accept secure cookies
// over http://localhost. Anyone on the network can read such a cookie. The
// option changes the default name of the cookie, see [WithCookieName].
func DangerouslyAllowHTTP() Option {
	return func(c *config) { c.cookie.secure = false }
}
