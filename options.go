package session

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

// Option sets an option of [New]. New checks all options and returns one error
// with every problem.
type Option func(*config)

type config struct {
	accepted   []string
	idle       time.Duration
	anonIdle   time.Duration
	lifetime   time.Duration
	touch      time.Duration
	timeout    time.Duration
	poll       time.Duration
	maxSize    int
	maxPerUser int
	clientInfo bool
	proxies    []netip.Prefix
	forwarded  string // canonical name of a header
	codec      Codec
	log        *slog.Logger
	answer     func(http.ResponseWriter, *http.Request, error)
	observe    func(context.Context, Event)
	tracer     Tracer
	cookie     cookieConfig
	header     headerConfig
	encryption bool
	now        func() time.Time
	errs       []error
}

// derived marks a duration whose default follows from other options.
const derived = -1

func defaults() config {
	return config{
		idle:     derived,
		anonIdle: derived,
		lifetime: 30 * 24 * time.Hour,
		touch:    derived,
		timeout:  5 * time.Second,
		poll:     time.Second,
		maxSize:  64 << 10,
		codec:    jsonCodec{},
		log:      slog.Default(),
		answer:   DefaultErrorHandler,

		forwarded: "X-Forwarded-For",
		cookie:    cookieConfig{path: "/", sameSite: http.SameSiteLaxMode, secure: true},
		now:       time.Now,
	}
}

// WithAcceptedSecrets adds earlier or future secrets. The Manager accepts
// their cookies and decrypts their values. It signs new cookies with the
// secret of [New]. Each secret has at least 32 bytes. Empty strings are
// skipped, so an unset environment variable is allowed. The default is no
// further secret.
//
// To replace a secret, deploy three times. First accept the new secret. Then
// sign with it and accept the old one. Remove the old secret when the longest
// lifetime has passed.
func WithAcceptedSecrets(secrets ...string) Option {
	return func(c *config) { c.accepted = append(c.accepted, secrets...) }
}

// WithIdleTimeout ends a session d after its last request. d must be at least
// one second and at most the lifetime. The default is 14 days, or the lifetime
// if it is shorter. Activity is recorded once per touch interval, so a session
// can end earlier than d by up to this interval.
func WithIdleTimeout(d time.Duration) Option {
	return func(c *config) { c.idle = d }
}

// WithAnonymousIdleTimeout sets the idle timeout of sessions without a user,
// which bots also create. d must be at least one second and at most the
// lifetime. The default is the idle timeout of [WithIdleTimeout].
func WithAnonymousIdleTimeout(d time.Duration) Option {
	return func(c *config) { c.anonIdle = d }
}

// WithLifetime ends a session d after its last sign-in, or after its creation
// if nobody has signed in. Activity does not extend it. d must be at least one
// second and at most 400 days, because browsers keep no cookie for longer (RFC
// 6265bis, section 5.5). The default is 30 days.
func WithLifetime(d time.Duration) Option {
	return func(c *config) { c.lifetime = d }
}

// WithTouchInterval sets the minimum time between two writes of a session's
// activity. It must be at least zero, which writes with every request, and
// less than the idle timeout. The default is a tenth of the idle timeout, at
// most one hour. For a session with a different idle timeout, the interval is
// at most a tenth of its own timeout.
func WithTouchInterval(d time.Duration) Option {
	return func(c *config) { c.touch = d }
}

// WithMaxSize sets the maximum size of a session's encoded data in bytes,
// including the names of its keys. It must be between 1 and 15 MiB. The
// default is 64 KiB. A change is refused with [ErrTooLarge] if the data would
// exceed the maximum and the change makes it grow.
//
// Each request applies the maximum to the data as it was loaded. So n
// concurrent requests with different keys can store up to n times the maximum.
// Such a session can still be read. The next change is refused if it makes the
// data grow, and stored otherwise.
func WithMaxSize(bytes int) Option {
	return func(c *config) { c.maxSize = bytes }
}

// WithMaxPerUser sets the maximum number of live sessions of a user, between 1
// and 10,000. A sign-in ends the least recently seen sessions beyond n. If a
// user signs in several times within the same millisecond, more than n sessions
// can remain until the next sign-in. The default is no maximum.
func WithMaxPerUser(n int) Option {
	return func(c *config) {
		c.maxPerUser = n
		if n < 1 || n > 10_000 {
			c.addError("WithMaxPerUser(%d): want 1 to 10000", n)
		}
	}
}

// WithClientInfo stores the client's IP address and its User-Agent (at most
// 256 bytes) with the session, for a list of devices. They are recorded when a
// session is created and at each sign-in. They are personal data. The default
// is to store neither. See [WithTrustedProxies] for clients behind a proxy.
func WithClientInfo() Option {
	return func(c *config) { c.clientInfo = true }
}

// WithTrustedProxies sets the addresses of trusted reverse proxies. The
// Manager reads X-Forwarded-For (or the header of [WithForwardedHeader]),
// X-Forwarded-Proto and X-Forwarded-Prefix only if the immediate peer is a
// trusted proxy. The default is no trusted proxy.
func WithTrustedProxies(prefixes ...netip.Prefix) Option {
	return func(c *config) {
		c.proxies = append(c.proxies, prefixes...)
		if slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return !p.IsValid() }) {
			c.addError("WithTrustedProxies: a prefix is invalid; use netip.MustParsePrefix(\"10.0.0.0/8\")")
		}
	}
}

// WithForwardedHeader sets the header with the client's address, which the
// Manager reads if the immediate peer is a trusted proxy. It is Forwarded (RFC
// 7239) or a header whose value is a list of addresses, such as X-Real-Ip. The
// default is X-Forwarded-For.
//
// Choose a header to which every trusted proxy writes. Proxies pass other
// headers through as the client sent them, so the Manager ignores these. The
// protocol comes from Forwarded if this is the header, and otherwise from
// X-Forwarded-Proto.
func WithForwardedHeader(name string) Option {
	return func(c *config) {
		c.forwarded = http.CanonicalHeaderKey(name)
		if !isToken(name) {
			c.addError("WithForwardedHeader(%q): want the name of a header, such as Forwarded or X-Real-Ip", name)
		}
	}
}

// WithCodec sets the codec for values. The default is [encoding/json]. A new
// codec cannot decode values of another codec.
func WithCodec(codec Codec) Option {
	return func(c *config) {
		c.codec = codec
		if codec == nil {
			c.addError("WithCodec(nil): leave the option out for JSON")
		}
	}
}

// WithEncryption encrypts each value with AES-256-GCM before it reaches the
// store. The key is derived from the secret of [New] and the session's ID.
// User names, the names of keys, times and client information are not
// encrypted. A value grows by 34 bytes. The default is no encryption.
//
// The option affects only writing, so it can be switched on and off while the
// app runs. Plain values stay readable. They are encrypted by the next write
// or sign-in. A value encrypted with an accepted secret is encrypted with the
// current one at the next sign-in. If the secrets are lost, the values are
// lost too.
func WithEncryption() Option {
	return func(c *config) { c.encryption = true }
}

// WithLogger sets the logger for errors and warnings. The default is
// [slog.Default]. No log line contains a token.
func WithLogger(log *slog.Logger) Option {
	return func(c *config) {
		c.log = log
		if log == nil {
			c.addError("WithLogger(nil): use slog.New(slog.DiscardHandler) for silence")
		}
	}
}

// WithErrorHandler sets the function that responds to a request whose session
// could not be loaded or saved. The default is [DefaultErrorHandler].
//
// The headers of w are as they were before the handler ran. The response is
// sent when answer returns. Its status is the one of [HTTPStatus] unless
// answer sets another one. The Manager has already logged the error if the
// status is at least 500.
//
// r is the request as Wrap received it. Its context has no session of this
// Manager, except one from [NewContext], so answer must not call FromContext.
func WithErrorHandler(answer func(w http.ResponseWriter, r *http.Request, err error)) Option {
	return func(c *config) {
		c.answer = answer
		if answer == nil {
			c.addError("WithErrorHandler(nil): leave the option out for the default")
		}
	}
}

// WithCookieName sets the name of the cookie, a token of RFC 9110. The default
// is session with [DangerouslyAllowHTTP], otherwise __Secure-session with a
// domain or a path, and otherwise __Host-session.
//
// A deploy with a different name signs everybody out. If the name is the
// default, this happens when a deploy adds or removes [WithCookieDomain],
// [WithCookiePath] or DangerouslyAllowHTTP.
func WithCookieName(name string) Option {
	return func(c *config) { c.cookie.name = name; c.cookie.named = true }
}

// WithCookieDomain sets the cookie's Domain attribute, so that browsers send
// it to this domain and all its subdomains. The default is no attribute, and
// browsers send the cookie only to the host that set it. The option changes
// the default name of the cookie (see [WithCookieName]).
func WithCookieDomain(domain string) Option {
	return func(c *config) {
		c.cookie.domain = domain
		if domain == "" {
			c.addError("WithCookieDomain(\"\"): leave the option out to send the cookie only to the host that set it")
		}
	}
}

// WithCookiePath sets the cookie's Path attribute, at most 1,024 bytes.
// Browsers send the cookie only with requests for this path and the paths
// below it. The default is "/". The path does not protect the cookie from
// other pages of the same origin.
//
// A request from outside the path comes without the cookie. It cannot start a
// session unless it signs in, and other changes return [ErrOutsidePath]. If a
// proxy removes a prefix from the path, name the proxy in [WithTrustedProxies]
// and let it send the prefix in X-Forwarded-Prefix.
//
// A path other than "/" changes the default name of the cookie (see
// [WithCookieName]).
func WithCookiePath(path string) Option {
	return func(c *config) { c.cookie.path = path }
}

// WithSameSite sets the cookie's SameSite attribute, which controls whether
// browsers send it with requests from other sites. [http.SameSiteLaxMode], the
// default, sends it only when the visitor follows a link.
// [http.SameSiteStrictMode] never sends it. [http.SameSiteNoneMode] always
// sends it, so the app must check the Origin of every request with side
// effects.
//
// A request without the cookie because of this attribute is anonymous. SignIn
// signs a user in there and can store values with it. Any other change returns
// [ErrCrossSite], because the new cookie would replace the visitor's session.
// With Lax this concerns forms that another site posts, such as the result of
// OpenID Connect with response_mode=form_post, of SAML or of 3-D Secure. With
// Strict it also concerns links on another site.
func WithSameSite(s http.SameSite) Option {
	return func(c *config) { c.cookie.sameSite = s }
}

// WithPartitioned sets the cookie's Partitioned attribute (CHIPS). If other
// sites embed this one, browsers keep a separate cookie for each of them. The
// default is no attribute.
func WithPartitioned() Option {
	return func(c *config) { c.cookie.partitioned = true }
}

// WithBrowserSession omits the cookie's Max-Age, so browsers drop the cookie
// when they are closed. The cookie keeps its Max-Age if [Session.SetTimeouts]
// has set timeouts for the session ("remember me"). By default every cookie
// has a Max-Age.
func WithBrowserSession() Option {
	return func(c *config) { c.cookie.browserSession = true }
}

// DangerouslyAllowHTTP omits the cookie's Secure attribute. It is for
// development machines, if a browser such as Safari does not accept secure
// cookies over http://localhost. Anyone on the network can read such a cookie.
// The option changes the default name of the cookie (see [WithCookieName]).
func DangerouslyAllowHTTP() Option {
	return func(c *config) { c.cookie.secure = false }
}
