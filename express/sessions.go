package express

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/holdfast-go/session"
)

// Sessions gives access to the sessions of an Express app. Create it with [Open].
// It is immutable and safe for concurrent use.
type Sessions struct {
	config
	store   Store
	secrets [][]byte
}

// Open returns the sessions in store. secret is the secret of express-session, or
// the first one if it has several (see [WithAcceptedSecrets]).
//
// Open looks at up to five sessions. If it cannot read any of them, it returns an error
// with the option to set. It also returns an error if the store does not reply within
// the timeout of [WithStoreTimeout]. If there are no sessions, it checks only the
// options.
func Open(ctx context.Context, store Store, secret string, opts ...Option) (*Sessions, error) {
	x := &Sessions{config: defaults(), store: store}
	for i, opt := range opts {
		if opt == nil {
			x.addError("Open: option %d is nil", i+1)
			continue
		}
		opt(&x.config)
	}
	if isNil(store) {
		x.addError("Open: the store is nil; create one with NewMongoStore, and look at its error")
	}
	if secret == "" {
		x.addError("Open: the secret is empty; use the secret of express-session")
	}
	for _, s := range append([]string{secret}, x.accepted...) {
		if s != "" { // anybody can sign with an empty secret
			x.secrets = append(x.secrets, []byte(s))
		}
	}
	if x.errs != nil {
		return nil, errors.Join(x.errs...)
	}
	if err := x.check(ctx); err != nil {
		return nil, err
	}
	return x, nil
}

// check looks at some sessions.
func (x *Sessions) check(ctx context.Context) error {
	sctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(x.timeout, cancel).Stop()
	sample, err := x.store.Sample(sctx)
	if errors.Is(err, errIndex) {
		x.log.WarnContext(ctx, "express: old marks will not be removed", "error", err)
		err = nil
	}
	for _, stored := range sample {
		var s *Session
		if s, err = x.decode("", stored); err == nil {
			_, err = x.user(ctx, s)
		}
		if !errors.Is(err, ErrDamaged) {
			return nil // an error of WithUser may concern only this user
		}
	}
	if err != nil {
		return fmt.Errorf("express: the sessions of Express cannot be read: %w", err)
	}
	return nil
}

// isNil reports whether store is nil or holds a nil pointer, as after an
// ignored error.
func isNil(store Store) bool {
	v := reflect.ValueOf(store)
	return store == nil || v.Kind() == reflect.Pointer && v.IsNil()
}

// storeContext returns the context for the calls of the store. It ends after the
// store timeout, but not with the request, because a visitor who leaves should not
// lose a change. It has no deadline, because with one the driver of MongoDB repeats a
// failing command as fast as it can.
func (x *Sessions) storeContext(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	timer := time.AfterFunc(x.timeout, cancel)
	return ctx, func() { timer.Stop(); cancel() }
}

// Load returns the Express session of a request. If there is no session, Load
// returns a Session without an ID. This includes a cookie without a valid
// signature, an expired session, a session that Go has ended, and one that cannot
// be read, which Load logs.
//
// Load reads the session and its mark with each call. It returns an error that wraps
// [session.ErrUnavailable] if the store failed, or the error of the function of
// [WithUser].
func (x *Sessions) Load(r *http.Request) (*Session, error) {
	id, ok := x.sessionID(r)
	if !ok {
		return &Session{}, nil
	}
	s, err := x.load(r.Context(), id)
	if errors.Is(err, session.ErrNotFound) {
		return &Session{}, nil
	}
	return s, err
}

// load reads a session and determines its user. It returns session.ErrNotFound if
// it does not exist.
func (x *Sessions) load(ctx context.Context, id string) (*Session, error) {
	sctx, cancel := x.storeContext(ctx)
	defer cancel()
	s, err := x.read(sctx, id)
	if err == nil {
		s.user, err = x.user(ctx, s)
	}
	switch {
	case errors.Is(err, ErrDamaged):
		x.log.ErrorContext(ctx, "express: session cannot be read; treating it as absent", "error", err)
		return nil, session.ErrNotFound
	case errors.Is(err, session.ErrRevoked):
		return nil, session.ErrNotFound
	}
	return s, err
}

// read reads a session without its user. It deletes a session that Express has
// stored again after its end.
func (x *Sessions) read(ctx context.Context, id string) (*Session, error) {
	stored, err := x.store.Load(ctx, id)
	if err == nil && stored.Mark == MarkEnded {
		if err = x.store.Delete(ctx, id); err == nil {
			err = session.ErrNotFound
		}
	}
	if errors.Is(err, session.ErrNotFound) || errors.Is(err, ErrDamaged) {
		return nil, err
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return x.decode(id, stored)
}

// end marks a session as ended, and then deletes it.
func (x *Sessions) end(ctx context.Context, id string) error {
	ctx, cancel := x.storeContext(ctx)
	defer cancel()
	if _, err := x.store.Mark(ctx, id, MarkEnded); err != nil {
		return unavailable(err)
	}
	if err := x.store.Delete(ctx, id); err != nil {
		return unavailable(err)
	}
	return nil
}

// unavailable marks the error of a store.
func unavailable(err error) error {
	if errors.Is(err, session.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", session.ErrUnavailable, err)
}
