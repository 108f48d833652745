package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
)

// Errors to branch on with [errors.Is]. [HTTPStatus] maps them, and all
// others, to a status.
var (
	// ErrNotFound: the session has ended, or never was.
	ErrNotFound = errors.New("session: not found: it has ended or never was; sign in again")

	// ErrConflict: another request changed the same thing first, or, from
	// Store.Insert, the record exists. Nothing was stored.
	ErrConflict = errors.New("session: conflict: another request changed the session first; load it again and retry")

	// ErrSuperseded: the token was renewed by another request, whose answer
	// carries the new one. Nothing was stored.
	ErrSuperseded = errors.New("session: the token has been renewed by another request; retry with the new cookie")

	// ErrCrossSite: a request from another site came without the cookie
	// that its SameSite attribute withholds, and would have replaced the
	// visitor's real session. Nothing was stored.
	ErrCrossSite = errors.New("session: a cross-site request cannot start a session; send it from the site itself or set WithSameSite(http.SameSiteNoneMode)")

	// ErrOutsidePath is returned when a request came without the cookie from a
	// path to which browsers do not send it (see [WithCookiePath]) and would have
	// replaced the visitor's session. Nothing was stored.
	ErrOutsidePath = errors.New("session: request outside the cookie's path cannot start a session")

	// ErrRevoked: the user's sessions were revoked while this sign-in was
	// under way. It left no session.
	ErrRevoked = errors.New("session: the user's sessions were revoked during this sign-in; sign in again")

	// ErrUncertain: the store's reply was lost, and nothing tells whether
	// the write was applied. It was applied once or not at all.
	ErrUncertain = errors.New("session: the store's reply was lost, the write may or may not have been applied; read it back")

	// ErrTooLarge: the session's data would exceed WithMaxSize, or what the
	// store can hold. Nothing was stored.
	ErrTooLarge = errors.New("session: the data is too large; store it elsewhere and keep a reference, or raise WithMaxSize")

	// ErrUndeliverable: the change needs a new cookie, which can no longer
	// reach the client. Nothing was stored.
	ErrUndeliverable = errors.New("session: the new cookie cannot be delivered; change the session before the response begins, and call Save and Cookie before a Hijack")
)

// misuseError is what the program did wrong, as opposed to the client, the
// store or another request.
type misuseError struct {
	what string
	at   string // file and line of the call; empty if not known
	err  error
}

func misuse(what string, err error) error { return &misuseError{what, callSite(), err} }

func (e *misuseError) Error() string {
	text := fmt.Sprintf("session: %s: %v", e.what, e.err)
	if e.at != "" {
		text += " (" + e.at + ")"
	}
	return text
}

func (e *misuseError) Unwrap() error { return e.err }

// HTTPStatus returns the status that an error of this package is answered
// with: 409 for a session that has ended or was changed by another request,
// 403 for [ErrCrossSite] and [ErrOutsidePath], 500 for a fault of the program, and 503 for
// everything else, which is the store's. It is 200 for nil.
func HTTPStatus(err error) int {
	is := func(target error) bool { return errors.Is(err, target) }
	var misuse *misuseError
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &misuse), is(ErrTooLarge), is(ErrUndeliverable):
		return http.StatusInternalServerError
	case is(ErrCrossSite), is(ErrOutsidePath):
		return http.StatusForbidden
	case is(ErrNotFound), is(ErrConflict), is(ErrSuperseded), is(ErrRevoked):
		return http.StatusConflict
	default:
		return http.StatusServiceUnavailable
	}
}

// explain makes of a store's error one to answer and to log.
func (m *Manager) explain(ctx context.Context, err error) error {
	switch {
	case err == nil || HTTPStatus(err) != http.StatusServiceUnavailable:
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("session: the store did not answer within %v: %w", m.timeout, err)
	default:
		return fmt.Errorf("session: the store failed: %w", err)
	}
}

func isLost(err error) bool { return errors.Is(err, ErrConflict) || errors.Is(err, ErrUncertain) }

// callSite returns file:line of the nearest caller outside this package.
func callSite() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "github.com/holdfast-go/session.") {
			return fmt.Sprintf("%s:%d", f.File, f.Line)
		}
		if !more {
			return "unknown"
		}
	}
}
