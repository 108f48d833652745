package session

import "context"

// scope is a context with a session. outer is the scope of a Manager around
// this one.
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

// scopeOf returns the innermost scope of ctx, or nil.
func scopeOf(ctx context.Context) *scope {
	c, _ := ctx.Value(scopeKey{}).(*scope)
	return c
}

// NewContext returns a copy of ctx with the session s. FromContext returns s
// from it. Use it for a session from [Manager.Load] or [Manager.LoadID], and
// in tests. If a request with this context reaches [Manager.Wrap], Wrap
// commits the session. Otherwise the caller must call Save.
func NewContext(ctx context.Context, s *Session) context.Context {
	return &scope{ctx, s, scopeOf(ctx)}
}

// FromContext returns the session of the request to which ctx belongs. It
// panics if no [Manager.Wrap] and no [NewContext] has put a session into ctx.
//
// It also panics if sessions of several Managers are in ctx. So it begins to
// panic in existing handlers when a second Manager is added around them. Use
// [Manager.FromContext] in this case.
func FromContext(ctx context.Context) *Session {
	s, ok := TryFromContext(ctx)
	if !ok {
		panic("session: no session in this context: wrap the handler with Manager.Wrap, and pass the context of its request")
	}
	return s
}

// TryFromContext is like [FromContext] for code that also runs outside Wrap.
// It reports false if there is no session in ctx. It panics if sessions of
// several Managers are in ctx.
func TryFromContext(ctx context.Context) (*Session, bool) {
	c := scopeOf(ctx)
	if c == nil {
		return nil, false
	}
	if c.outer != nil && c.outer.s.m != c.s.m {
		panic("session: two managers wrap this request: use the FromContext method of the Manager that you mean")
	}
	return c.s, true
}

// FromContext returns the session of m for the request to which ctx belongs.
// Use it if several Managers wrap the request. It panics if there is no
// session of m in ctx.
func (m *Manager) FromContext(ctx context.Context) *Session {
	if s := scopeOf(ctx).of(m); s != nil {
		return s
	}
	panic("session: no session of this manager in this context: wrap the handler with its Wrap")
}

// of returns the session of m in c or around it, or nil. c may be nil.
func (c *scope) of(m *Manager) *Session {
	for ; c != nil; c = c.outer {
		if c.s.m == m {
			return c.s
		}
	}
	return nil
}
