package session

import "context"

// scope is a context that holds a session, and those of the managers around
// it.
type scope struct {
	context.Context
	s     *Session
	outer *scope
}

type scopeKey struct{}

func (c *scope) Value(key any) any {
	if key == (scopeKey{}) {
		return c
	}
	return c.Context.Value(key)
}

func scopeOf(ctx context.Context) *scope {
	c, _ := ctx.Value(scopeKey{}).(*scope)
	return c
}

// NewContext returns a context from which FromContext gets s, for code that
// loaded it with [Manager.Load] or [Manager.LoadID], and for tests. If a request
// with this context reaches [Manager.Wrap], Wrap commits the session. Otherwise
// the caller must call Save.
func NewContext(ctx context.Context, s *Session) context.Context {
	return &scope{ctx, s, scopeOf(ctx)}
}

// FromContext returns the session of the request that ctx belongs to. It panics if
// the handler is not wrapped by [Manager.Wrap], or if several Managers wrap it. In
// the second case use [Manager.FromContext].
func FromContext(ctx context.Context) *Session {
	s, ok := TryFromContext(ctx)
	if !ok {
		panic("session: no session in this context: wrap the handler with Manager.Wrap, and pass the context of the request that the handler got")
	}
	return s
}

// TryFromContext is FromContext for code that also runs outside Wrap. It
// still panics if several Managers wrap the request.
func TryFromContext(ctx context.Context) (*Session, bool) {
	c := scopeOf(ctx)
	if c == nil {
		return nil, false
	}
	if c.outer != nil && c.outer.s.m != c.s.m {
		panic("session: two managers wrap this request: use the FromContext method of the one that is meant")
	}
	return c.s, true
}

// FromContext returns the session of m, for requests that several Managers wrap. It
// panics if there is none.
func (m *Manager) FromContext(ctx context.Context) *Session {
	if s := scopeOf(ctx).of(m); s != nil {
		return s
	}
	panic("session: no session of this manager in this context: wrap the handler with its Wrap")
}

// of returns the session of m, or nil if there is none.
func (c *scope) of(m *Manager) *Session {
	for ; c != nil; c = c.outer {
		if c.s.m == m {
			return c.s
		}
	}
	return nil
}
