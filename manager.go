package session

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"sync"
)

// Manager loads, saves and ends sessions. Create one with [New]. A Manager is
// immutable and safe for concurrent use. It needs no closing, and starts goroutines
// only while [Session.Ended] is waited for.
type Manager struct {
	config
	store Store
	keys  []keys // the first one signs, renews and encrypts; all of them verify and decrypt
	locks keyLocks
	types typeWatch
	waits waits

	warnedInsecure sync.Once
}

// New returns a Manager for the sessions in store. It does no I/O.
//
// The Manager signs cookies with keys derived from secret. The secret must
// have at least 32 bytes and must be the same on all replicas. New returns one
// error with every problem of its arguments and options.
func New(store Store, secret string, opts ...Option) (*Manager, error) {
	m := &Manager{config: defaults(), store: store, waits: waits{store: store}}
	if isNil(store) {
		m.addError("New: the store is nil; open one with mongostore.Open, and look at its error")
	}
	for i, opt := range opts {
		if opt == nil {
			m.addError("New: option %d is nil", i+1)
			continue
		}
		opt(&m.config)
	}
	m.addKeys("New: the secret (often the environment variable SESSION_SECRET)", secret)
	for i, accepted := range m.accepted {
		if accepted != "" {
			m.addKeys(fmt.Sprintf("WithAcceptedSecrets: secret %d", i+1), accepted)
		}
	}
	if err := m.complete(); err != nil {
		return nil, err
	}
	if m.observe != nil || m.tracer != nil {
		m.store = observed{m.store, m}
	}
	return m, nil
}

// isNil reports whether store is nil or holds a nil pointer, as after an
// ignored error of mongostore.Open.
func isNil(store Store) bool {
	if store == nil {
		return true
	}
	v := reflect.ValueOf(store)
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan:
		return v.IsNil()
	}
	return false
}

// addKeys derives the keys of a secret, or records an error.
func (m *Manager) addKeys(what, secret string) {
	k, err := deriveKeys(secret)
	if err != nil {
		m.addError("%s %w", what, err)
		return
	}
	m.keys = append(m.keys, k)
}

// Load returns the session to which one of the cookies belongs, or an
// anonymous one. Use it without a request, for example if a message contains
// the cookie's value (see [Manager.CookieName]). Cookies with other names or
// without a valid signature are ignored. Call [Session.Save] to store changes
// and then send [Session.Cookie].
//
// Load needs the cookies only. So it reads no header of [WithTokenHeader],
// records no client information, and cannot know whether a browser withheld
// the cookie. [Manager.LoadRequest] does all three.
//
// Load does not observe the end of ctx. It passes the values of ctx to the
// store, and the store timeout bounds it.
//
// Load returns an error that wraps [ErrUnavailable] if the store cannot tell
// whether there is a session. The Session is nil then.
func (m *Manager) Load(ctx context.Context, cookies []*http.Cookie) (*Session, error) {
	m.mustBeMade()
	s := &Session{m: m, admitted: m.now()}
	var values []string
	for _, c := range cookies {
		if c.Name == m.cookie.name {
			values = append(values, c.Value)
		}
	}
	if err := m.admitTraced(ctx, s, len(values), m.verifiedTokens(nil, values)); err != nil {
		return nil, err
	}
	return s, nil
}

// LoadRequest returns the session that [Manager.Wrap] would give to the handler
// of r. Use it without Wrap, as in a gateway. Call [Session.Save] to store
// changes and then [Session.SetHeader], before the response begins. To let a
// Wrap behind the gateway do both, put the session into the context with
// [NewContext].
//
// LoadRequest passes the values of the request's context to the store, but does
// not observe its end. It returns an error that wraps [ErrUnavailable] if the
// store cannot tell whether there is a session. The Session is nil then.
func (m *Manager) LoadRequest(r *http.Request) (*Session, error) {
	m.mustBeMade()
	s := &Session{m: m, request: r, admitted: m.now()}
	if err := s.admitRequest(r); err != nil {
		return nil, err
	}
	return s, nil
}

// CookieName returns the name of the session cookie. The default depends on
// other options (see [WithCookieName]).
func (m *Manager) CookieName() string { return m.cookie.name }

// LoadID returns the session with an ID, for a job or other code without the
// cookie. The session has no token, so SignIn, Renew and SetTimeouts are
// invalid calls. Call [Session.Save] to store changes. Neither LoadID nor this
// Save counts as activity.
//
// LoadID does not observe the end of ctx. It passes the values of ctx to the
// store, and the store timeout bounds it.
//
// LoadID returns [ErrNotFound] if the session has ended, and an error that
// wraps [ErrUnavailable] if the store fails. The Session is nil then.
func (m *Manager) LoadID(ctx context.Context, id ID) (*Session, error) {
	m.mustBeMade()
	ctx, stop := m.storeContext(ctx)
	defer stop.release()
	rec, err := m.store.Load(ctx, id)
	if err != nil {
		return nil, m.wrapStoreError(ctx, err)
	}
	s := &Session{m: m, admitted: m.now(), standing: job, rec: rec}
	if !m.isLive(&rec.Info, s.admitted) {
		return nil, ErrNotFound
	}
	return s, nil
}

// mustBeMade panics if m is nil or zero, as after an ignored error of New.
func (m *Manager) mustBeMade() {
	if m == nil || m.store == nil {
		panic("session: nil or zero Manager; create it with session.New and check the error")
	}
}
