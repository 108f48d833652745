package express

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-go/session"
)

// Option sets an option of [Open].
type Option func(*config)

type config struct {
	cookieName string
	accepted   []string
	user       func(context.Context, *Session) (string, error)
	properties []property
	rollback   bool
	delay      time.Duration
	timeout    time.Duration
	log        *slog.Logger
	answer     func(http.ResponseWriter, *http.Request, error)
	now        func() time.Time
	errs       []error
}

// property is a property that Move takes along.
type property struct {
	name string
	copy func(raw json.RawMessage, to *session.Session) error
}

func defaults() config {
	return config{
		cookieName: "connect.sid", user: passportUser, delay: 30 * time.Second, timeout: 5 * time.Second,
		log: slog.Default(), answer: session.DefaultErrorHandler, now: time.Now,
	}
}

func (c *config) addError(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("express: "+format, args...))
}

// WithCookieName sets the name of the cookie of Express, its option name. The
// default is connect.sid.
func WithCookieName(name string) Option {
	return func(c *config) {
		if c.cookieName = name; name == "" || strings.ContainsAny(name, "=; \t\r\n") {
			c.addError("WithCookieName(%q): want the name of a cookie; leave the option out for connect.sid", name)
		}
	}
}

// WithAcceptedSecrets adds secrets with which Express signs or has signed its
// cookies. Empty strings are skipped. The default is no further secret.
func WithAcceptedSecrets(secrets ...string) Option {
	return func(c *config) { c.accepted = append(c.accepted, secrets...) }
}

// WithUser sets the function that returns the user of an Express session, or "" if
// nobody is signed in. It must return the ID with which the app calls
// [session.Session.SignIn]. The default returns passport.user if it is a string or
// a number.
//
// If f returns an error that wraps [session.ErrRevoked], the Express session counts
// as absent. So f can refuse sessions that began before a change of password. An
// error that wraps [ErrDamaged] is also logged. With any other error the request
// fails with the status of [session.HTTPStatus].
func WithUser(f func(ctx context.Context, s *Session) (string, error)) Option {
	return func(c *config) {
		if c.user = f; f == nil {
			c.addError("WithUser(nil): leave the option out for passport.user")
		}
	}
}

// WithProperty makes [Sessions.Move] take along a property of the Express session
// as the value of a key. The JSON text of Express is decoded into T, so numbers
// keep their digits if T does, as int64, json.Number and json.RawMessage do.
//
// If the property does not fit into T, Move logs an error, leaves it out and keeps
// the Express session.
func WithProperty[T any](from Key[T], to session.Key[T]) Option {
	return func(c *config) {
		if from == "" || to == "" {
			c.addError("WithProperty(%q, %q): want two names", from, to)
		}
		c.properties = append(c.properties, property{string(from), func(raw json.RawMessage, s *session.Session) error {
			var v T
			if err := json.Unmarshal(raw, &v); err != nil {
				return fmt.Errorf("it does not fit into %T", v) // the error of json quotes the value
			}
			to.Set(s, v)
			return nil
		}})
	}
}

// WithRollback keeps the Express sessions of visitors that have moved, and their
// cookies, so the app can go back to Express. A sign-out still ends both sessions.
// By default Move removes them.
func WithRollback() Option {
	return func(c *config) { c.rollback = true }
}

// WithRemovalDelay sets the minimum time between a move and the removal of the
// Express session. Requests sent without the new cookie, before the browser had
// it, find the new session by the Express session. d must be at least zero. The
// default is 30 seconds.
func WithRemovalDelay(d time.Duration) Option {
	return func(c *config) {
		if c.delay = d; d < 0 {
			c.addError("WithRemovalDelay(%v): want at least 0", d)
		}
	}
}

// WithStoreTimeout limits the time for which a request waits for the store of
// Express. d must be at least ten milliseconds and at most ten minutes. The default
// is 5 seconds.
func WithStoreTimeout(d time.Duration) Option {
	return func(c *config) {
		if c.timeout = d; d < 10*time.Millisecond || d > 10*time.Minute {
			c.addError("WithStoreTimeout(%v): want 10ms to 10m", d)
		}
	}
}

// WithLogger sets the logger. The default is [slog.Default]. No message contains an
// ID or a value of an Express session.
func WithLogger(log *slog.Logger) Option {
	return func(c *config) {
		if c.log = log; log == nil {
			c.addError("WithLogger(nil): use slog.New(slog.DiscardHandler) for silence")
		}
	}
}

// WithErrorHandler sets the function that responds to a request of
// [Sessions.Move] if a store failed. The default is [session.DefaultErrorHandler].
func WithErrorHandler(answer func(w http.ResponseWriter, r *http.Request, err error)) Option {
	return func(c *config) {
		if c.answer = answer; answer == nil {
			c.addError("WithErrorHandler(nil): leave the option out for session.DefaultErrorHandler")
		}
	}
}

// passportUser returns passport.user, which must be a string or a number.
func passportUser(_ context.Context, s *Session) (string, error) {
	raw, ok := s.JSON("passport", "user")
	if !ok || string(raw) == "null" {
		return "", nil
	}
	switch raw[0] {
	case '"':
		var user string
		err := json.Unmarshal(raw, &user)
		return user, err
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return string(raw), nil
	}
	return "", fmt.Errorf("%w: its passport.user is neither a string nor a number; set WithUser", ErrDamaged)
}
