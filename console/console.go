package console

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/holdfast-go/session"
)

// Access is the right of an operator in a [Console].
type Access int

// The rights. NoAccess is the zero value.
const (
	NoAccess   Access = iota // no page
	ReadOnly                 // all pages, but no session can be ended
	FullAccess               // all pages, and sessions can be ended
)

// Authorize returns the name and the right of the person who sent a request. The
// Console calls it for each request before anything else. The name appears on the
// pages and in the log when the operator ends a session. It may be empty.
type Authorize func(r *http.Request) (operator string, access Access)

// storeTimeout limits the time of a store call that the Manager does not make.
const storeTimeout = 5 * time.Second

// Console is a handler with pages for operators. Create it with [New]. It is safe
// for concurrent use.
//
// It may be mounted under any path that ends with a slash, with or without
// [http.StripPrefix]. It reads only the last segment of the path, and all its links
// are relative.
//
// A request that changes something must have the header Sec-Fetch-Site:
// same-origin. Browsers send it over HTTPS and to localhost. The Console refuses
// any other such request with status 403.
type Console struct {
	sessions  *session.Manager
	store     session.Store
	authorize Authorize
	recorder  *Recorder
	log       *slog.Logger
}

// New returns a Console for the sessions of a Manager. store is the store of the
// Manager. The Console reads the names of a session's keys from it. New does no I/O.
//
// authorize decides who may use the Console. It is required, and there is no
// default. New returns an error if an argument is nil.
func New(sessions *session.Manager, store session.Store, authorize Authorize, opts ...Option) (*Console, error) {
	var errs []error
	if sessions == nil {
		errs = append(errs, errors.New("console: New without a Manager; pass the one of session.New"))
	}
	if store == nil {
		errs = append(errs, errors.New("console: New without a store; pass the store of the Manager"))
	}
	if authorize == nil {
		errs = append(errs, errors.New("console: New without authorize; pass a function that decides who may use the console"))
	}
	o, err := optionsOf(opts)
	if err = errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return &Console{sessions: sessions, store: store, authorize: authorize, recorder: o.recorder, log: o.log}, nil
}
