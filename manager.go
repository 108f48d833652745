package session

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"sync"
)

// Manager gives handlers their sessions. It is immutable, safe for concurrent
// use, runs no goroutine and needs no closing. Make one with [New].
type Manager struct {
	config
	store Store
	keys  []keys // the first one signs, renews and encrypts; all of them verify and decrypt
	locks keyLocks
	types typeWatch

	warnedInsecure sync.Once
}

// New returns a Manager that keeps sessions in store and signs cookies with a
// secret of at least 32 bytes, the same on all replicas. It does no I/O. The
// error names every fault in its arguments.
func New(store Store, secret string, opts ...Option) (*Manager, error) {
	m := &Manager{config: defaults(), store: store}
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
	if m.observe != nil {
		m.store = observed{m.store, m.observe}
	}
	return m, nil
}

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

func (m *Manager) addKeys(what, secret string) {
	k, err := deriveKeys(secret)
	if err != nil {
		m.addError("%s %w", what, err)
		return
	}
	m.keys = append(m.keys, k)
}

// Load returns the session that one of the cookies belongs to, or an anonymous
// one. It is for use without [Manager.Wrap], as in a gateway, or if a header
// carries the cookie's value; see [Manager.CookieName]. Call [Session.Save] to
// store changes, and then send [Session.Cookie].
//
// Load returns an error that wraps [ErrUnavailable] if the store cannot tell
// whether there is a session.
func (m *Manager) Load(ctx context.Context, cookies []*http.Cookie) (*Session, error) {
	m.mustBeMade()
	s := &Session{m: m, admitted: m.now()}
	var values []string
	for _, c := range cookies {
		if c.Name == m.cookie.name {
			values = append(values, c.Value)
		}
	}
	if err := m.admit(ctx, s, m.verifiedTokens(nil, values)); err != nil {
		return nil, err
	}
	return s, nil
}

// CookieName returns the name of the session cookie. The default depends on
// other options; see [WithCookieName].
func (m *Manager) CookieName() string { return m.cookie.name }

// LoadID returns a stored session for a job, without its token: SignIn, Renew
// and SetTimeouts are faults, and nothing counts as activity. Call Save to
// store changes. The error is [ErrNotFound] where the session has ended.
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

func (m *Manager) mustBeMade() {
	if m == nil || m.store == nil {
		panic("session: a Manager must be made with session.New, and its error looked at")
	}
}
