package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"time"
)

// Manager gives handlers their sessions. It is immutable, safe for concurrent
// use, runs no goroutine and needs no closing. Make one with [New].
type Manager struct {
	config
	store Store
	keys  []keys // the first one signs and renews, all verify
	locks keyLocks
	types typeWatch
	warn  warnOnce
}

// New returns a Manager that keeps sessions in store and signs cookies with a
// secret of at least 32 bytes, the same on all replicas. It does no I/O. The
// error names every fault in its arguments.
func New(store Store, secret string, opts ...Option) (*Manager, error) {
	m := &Manager{config: defaults(), store: store}
	if isNil(store) {
		m.fault("New: the store is nil; open one with mongostore.Open, and look at its error")
	}
	for i, opt := range opts {
		if opt == nil {
			m.fault("New: option %d is nil", i+1)
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
		m.fault("%s %w", what, err)
		return
	}
	m.keys = append(m.keys, k)
}

// Load returns the session that belongs to one of the cookies, or an
// anonymous one, for use outside HTTP: in gateways, or where a header carries
// the token. Call Save to store changes, then send Cookie. An error is the
// store's: it could not answer.
func (m *Manager) Load(ctx context.Context, cookies []*http.Cookie) (*Session, error) {
	m.mustBeMade()
	s := &Session{m: m, admitted: m.now()}
	var values []string
	for _, c := range cookies {
		if c.Name == m.cookie.name {
			values = append(values, c.Value)
		}
	}
	return s, m.admit(ctx, s, m.tokens(nil, values))
}

// LoadID returns a stored session for a job, without its token: SetUser, Renew
// and SetTimeouts are faults, and nothing counts as activity. Call Save to
// store changes. The error is [ErrNotFound] where the session has ended.
func (m *Manager) LoadID(ctx context.Context, id ID) (*Session, error) {
	m.mustBeMade()
	ctx, stop := m.bounded(ctx)
	defer stop.release()
	rec, err := m.store.Load(ctx, id)
	if err != nil {
		return nil, m.explain(ctx, err)
	}
	s := &Session{m: m, admitted: m.now(), standing: job, rec: rec}
	if !m.live(&rec.Info, s.admitted) {
		return nil, ErrNotFound
	}
	return s, nil
}

// List returns the live sessions of a user, those last seen first.
func (m *Manager) List(ctx context.Context, user string) ([]Info, error) {
	m.mustBeMade()
	ctx, stop := m.bounded(ctx)
	defer stop.release()
	infos, err := m.listLive(ctx, user)
	return infos, m.explain(ctx, err)
}

func (m *Manager) listLive(ctx context.Context, user string) ([]Info, error) {
	if user == "" {
		return nil, nil // anonymous sessions are nobody's
	}
	infos, err := m.store.List(ctx, user)
	if err != nil {
		return nil, err
	}
	now := m.now()
	infos = slices.DeleteFunc(infos, func(i Info) bool { return !m.live(&i, now) })
	slices.SortFunc(infos, func(a, b Info) int { return b.LastSeen.Compare(a.LastSeen) })
	return infos, nil
}

func (m *Manager) mustBeMade() {
	if m == nil || m.store == nil {
		panic("session: a Manager must be made with session.New, and its error looked at")
	}
}

// live judges limits: those in the record and, unless the session has its
// own, those configured now, so that lowering one by a deploy works.
func (m *Manager) live(i *Info, now time.Time) bool {
	if !now.Before(i.Expires) || !now.Before(i.Deadline) {
		return false
	}
	return i.IdleTimeout > 0 ||
		now.Before(i.LastSeen.Add(m.idleTimeout(i))) && now.Before(start(i).Add(m.lifetime))
}

// start is what the lifetime counts from.
func start(i *Info) time.Time {
	if i.LoggedIn.After(i.Created) {
		return i.LoggedIn
	}
	return i.Created
}

func (m *Manager) idleTimeout(i *Info) time.Duration {
	switch {
	case i.IdleTimeout > 0:
		return i.IdleTimeout
	case i.User == "":
		return m.anonIdle
	default:
		return m.idle
	}
}

func (m *Manager) touchInterval(i *Info) time.Duration {
	if idle := m.idleTimeout(i); idle != m.idle {
		return min(m.touch, idle/10)
	}
	return m.touch
}

// expires returns when a session seen now ends without further activity.
func (m *Manager) expires(i *Info, now time.Time) time.Time {
	if e := now.Add(m.idleTimeout(i)); e.Before(i.Deadline) {
		return e
	}
	return i.Deadline
}

// milli returns a time as a store keeps it.
func milli(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// bounded returns a context for store calls that ends with the store timeout
// and not with the request: to cancel an operation closes its connection. It
// has no deadline: with one, the driver of MongoDB repeats a command that
// keeps failing, thousands of times a second.
func (m *Manager) bounded(ctx context.Context) (context.Context, *bound) {
	return within(ctx, m.timeout)
}

// bound is a context that ends after a time, or when it is released. The time
// begins when somebody first waits for its end: a store that has the answer at
// hand does not pay for a timer.
type bound struct {
	context.Context
	cancel context.CancelFunc
	after  time.Duration
	begin  sync.Once
	timer  *time.Timer
}

func within(ctx context.Context, d time.Duration) (context.Context, *bound) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	b := &bound{Context: ctx, cancel: cancel, after: d}
	return b, b
}

func (b *bound) Done() <-chan struct{} {
	b.begin.Do(func() { b.timer = time.AfterFunc(b.after, b.cancel) })
	return b.Context.Done()
}

func (b *bound) Err() error {
	b.Done()
	return b.Context.Err()
}

func (b *bound) release() {
	b.begin.Do(func() {})
	if b.timer != nil {
		b.timer.Stop()
	}
	b.cancel()
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
