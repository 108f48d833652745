package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

func TestHome(t *testing.T) {
	sessions := memstore.NewManager()
	r := httptest.NewRequest("GET", "https://example.com/", nil)
	r = memstore.WithSession(t, sessions, r, func(s *session.Session) { visits.Set(s, 6) })
	w := httptest.NewRecorder()
	sessions.Wrap(http.HandlerFunc(home)).ServeHTTP(w, r)
	if got := w.Body.String(); got != "Visit 7\n" {
		t.Errorf("got %q", got)
	}
}
