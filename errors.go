package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
)

// Errors returned by methods of [Session], [Manager] and [Key]. Test for them with
// [errors.Is]. [HTTPStatus] returns the status of the response to each.
var (
	// ErrNotFound is returned when the session has ended or never existed. A
	// store returns it when there is no record with the ID.
	ErrNotFound = errors.New("session: session not found")

	// ErrConflict is returned when other requests kept changing the same value
	// until the store timeout. A store returns it when a guard does not hold,
	// or from Insert when the record exists. Nothing was stored.
	ErrConflict = errors.New("session: changed by another request")

	// ErrSuperseded is returned when another request has renewed the token. Its
	// response carries the new cookie. Nothing was stored.
	ErrSuperseded = errors.New("session: token was renewed by another request")

	// ErrCrossSite is returned when a request from another site would start a
	// session although the browser may have withheld the cookie of an existing
	// one because of its SameSite attribute. Nothing was stored.
	ErrCrossSite = errors.New("session: cross-site request without a session cookie cannot start a session")

	// ErrOutsidePath is returned when a request came without the cookie from a
	// path to which browsers do not send it (see [WithCookiePath]) and would have
	// replaced the visitor's session. Nothing was stored.
	ErrOutsidePath = errors.New("session: request outside the cookie's path cannot start a session")

	// ErrRevoked is returned by a sign-in during which the user's sessions were
	// revoked. No session was created.
	ErrRevoked = errors.New("session: sessions of the user were revoked during the sign-in")

	// ErrUncertain is returned when the store did not reply to a write and it
	// cannot be determined whether the write was applied. It was applied once or
	// not at all.
	ErrUncertain = errors.New("session: unknown whether the write was applied")

	// ErrUnavailable is returned when the store failed or did not reply within
	// the store timeout. It wraps the store's error.
	ErrUnavailable = errors.New("session: store unavailable")

	// ErrTooLarge is returned when the session's data would exceed [WithMaxSize]
	// or the store's own limit. Nothing was stored.
	ErrTooLarge = errors.New("session: data too large")

	// ErrUndeliverable is returned when a change needs a new cookie and the
	// response has begun, the connection is hijacked or the client is gone.
	// Nothing was stored.
	ErrUndeliverable = errors.New("session: new cookie cannot be delivered")

	errSign = errors.New("session: cannot sign the cookie")
)

// misuseError is an invalid call. The program caused it, and not the client,
// the store or another request.
type misuseError struct {
	what string // name of the method or the key
	at   string // file and line of the call; empty if not known
	err  error
}

// misuse returns the error of an invalid call, with its file and line.
func misuse(what string, err error) error { return &misuseError{what, callSite(), err} }

func (e *misuseError) Error() string {
	text := fmt.Sprintf("session: %s: %v", e.what, e.err)
	if e.at != "" {
		text += " (" + e.at + ")"
	}
	return text
}

func (e *misuseError) Unwrap() error { return e.err }

// HTTPStatus returns the status of the response to an error of this package:
//
//   - 409 Conflict for [ErrNotFound], [ErrConflict], [ErrSuperseded] and
//     [ErrRevoked]
//   - 403 Forbidden for [ErrCrossSite] and [ErrOutsidePath]
//   - 503 Service Unavailable for [ErrUnavailable] and [ErrUncertain]
//   - 500 Internal Server Error for every other error, also of other packages
//
// It returns 200 for nil.
func HTTPStatus(err error) int {
	if err == nil {
		return http.StatusOK
	}
	is := func(target error) bool { return errors.Is(err, target) }
	var misuse *misuseError
	switch {
	case errors.As(err, &misuse), is(ErrTooLarge), is(ErrUndeliverable):
		return http.StatusInternalServerError
	case is(ErrCrossSite), is(ErrOutsidePath):
		return http.StatusForbidden
	case is(ErrNotFound), is(ErrConflict), is(ErrSuperseded), is(ErrRevoked):
		return http.StatusConflict
	case is(ErrUnavailable), is(ErrUncertain):
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// wrapStoreError wraps an error of the store with ErrUnavailable. It does not
// change errors of this package.
func (m *Manager) wrapStoreError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var misuse *misuseError
	is := func(target error) bool { return errors.Is(err, target) }
	switch {
	case is(ErrUncertain) && ctx.Err() != nil:
		return fmt.Errorf("%w: no reply within %v", err, m.timeout)
	case HTTPStatus(err) != http.StatusInternalServerError, errors.As(err, &misuse), is(ErrTooLarge), is(ErrUndeliverable), is(errSign):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("%w: no reply within %v: %w", ErrUnavailable, m.timeout, err)
	default:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}

// needsReadBack reports whether the store may have applied a write although it
// returned err. A conflict is included, because a driver may have sent the
// write twice.
func needsReadBack(err error) bool {
	return errors.Is(err, ErrConflict) || errors.Is(err, ErrUncertain)
}

// callSite returns the file and line of the nearest caller outside this
// package.
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
