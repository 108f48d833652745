package memstore

import (
	"context"
	"net/http"
	"testing"

	"github.com/holdfast-go/session"
)

// WithSession begins a session in m, lets change fill it, and adds its cookie to
// r. It returns r. So a test can call a handler as a visitor who is already
// signed in:
//
//	r := memstore.WithSession(t, sessions, httptest.NewRequest("GET", "/cart", nil), func(s *session.Session) {
//		s.SignIn("ann")
//		cart.Set(s, items)
//	})
//	sessions.Wrap(handler).ServeHTTP(w, r)
//
// The Manager may have any store. The test fails if change stores nothing or the
// session cannot be saved.
func WithSession(t testing.TB, m *session.Manager, r *http.Request, change func(s *session.Session)) *http.Request {
	t.Helper()
	ctx := context.WithoutCancel(r.Context())
	s, err := m.Load(ctx, nil)
	if err != nil {
		t.Fatalf("memstore: cannot begin a session: %v", err)
	}
	change(s)
	if err := s.Save(ctx); err != nil {
		t.Fatalf("memstore: cannot save the session: %v", err)
	}
	cookie := s.Cookie()
	if cookie == nil {
		t.Fatal("memstore: the session stores nothing, so it has no cookie; sign a user in or set a value")
	}
	r.AddCookie(cookie)
	return r
}

// Fail makes all operations of the store return err until it is called with nil,
// so that a test can see what an outage does to a handler. Records stay.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
}
