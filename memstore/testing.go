package memstore

import (
	"context"
	"net/http"
	"testing"

	"github.com/holdfast-go/session"
)

// WithSession begins a session in m, calls change to fill it, saves it, and adds
// its cookie to r. It returns r. A test uses it to call a handler with a visitor
// who is already signed in:
//
//	r := memstore.WithSession(t, sessions, httptest.NewRequest("GET", "/cart", nil), func(s *session.Session) {
//		s.SignIn("ann")
//		cart.Set(s, items)
//	})
//	sessions.Wrap(handler).ServeHTTP(w, r)
//
// r may also be a request for an [http.Client]. The Manager may use any store, and
// WithSession does the I/O of that store. It calls t.Fatal if change sets nothing or
// if the session cannot be saved.
func WithSession(t testing.TB, m *session.Manager, r *http.Request, change func(s *session.Session)) *http.Request {
	t.Helper()
	r.AddCookie(begin(r.Context(), t, m, change))
	return r
}

// Cookie is like [WithSession], but returns the cookie. A test uses it for several
// requests of one visitor, for the jar of an [http.Client] and for a browser.
//
// The session has no client's address and no User-Agent, even if m has
// [session.WithClientInfo].
func Cookie(t testing.TB, m *session.Manager, change func(s *session.Session)) *http.Cookie {
	t.Helper()
	return begin(t.Context(), t, m, change)
}

func begin(ctx context.Context, t testing.TB, m *session.Manager, change func(s *session.Session)) *http.Cookie {
	t.Helper()
	ctx = context.WithoutCancel(ctx)
	s, err := m.Load(ctx, nil)
	if err != nil {
		t.Fatalf("memstore: cannot begin session: %v", err)
	}
	change(s)
	if err := s.Save(ctx); err != nil {
		t.Fatalf("memstore: cannot save session: %v", err)
	}
	cookie := s.Cookie()
	if cookie == nil {
		t.Fatal("memstore: session without a cookie, because change set nothing; sign a user in or set a value")
	}
	return cookie
}

// Fail makes all operations of the store return err, until Fail is called with
// nil. A test uses it to check a handler during an outage. Records are kept. Fail
// replaces the function of [Store.FailFunc].
func (s *Store) Fail(err error) {
	if err == nil {
		s.FailFunc(nil)
		return
	}
	s.FailFunc(func(context.Context, session.EventKind) error { return err })
}

// FailFunc makes the store call f before each operation, until FailFunc is called
// with nil. If f returns an error, the operation returns it and does nothing. op is
// [session.EventLoad], [session.EventInsert], [session.EventUpdate],
// [session.EventDelete] or, also for Count and All, [session.EventList]. A test uses
// FailFunc to fail some operations only, such as all writes.
//
// f may block to simulate a slow store. It should then return an error when ctx
// ends, because the store timeout of the Manager ends it. f is called by several
// goroutines at once if operations overlap.
func (s *Store) FailFunc(f func(ctx context.Context, op session.EventKind) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = f
}
