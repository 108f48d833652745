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
// The Manager may use any store, and WithSession does the I/O of that store. It
// calls t.Fatal if change sets nothing or if the session cannot be saved.
func WithSession(t testing.TB, m *session.Manager, r *http.Request, change func(s *session.Session)) *http.Request {
	t.Helper()
	ctx := context.WithoutCancel(r.Context())
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
	r.AddCookie(cookie)
	return r
}

// Fail makes all operations of the store return err, until Fail is called with
// nil. A test uses it to check a handler during an outage. Records are kept.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
}
