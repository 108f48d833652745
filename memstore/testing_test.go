package memstore_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

const items = session.Key[[]string]("cart")

func TestWithSession(t *testing.T) {
	sessions := memstore.NewManager()
	cart := func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		fmt.Fprint(w, s.User(), items.GetOr(s, nil))
	}
	r := memstore.WithSession(t, sessions, httptest.NewRequest("GET", "https://example.com/cart", nil), func(s *session.Session) {
		s.SignIn("ann")
		items.Set(s, []string{"tea", "milk"})
	})
	w := httptest.NewRecorder()
	sessions.Wrap(http.HandlerFunc(cart)).ServeHTTP(w, r)
	if got := w.Body.String(); got != "ann[tea milk]" {
		t.Errorf("the handler saw %q", got)
	}
}

func TestStore_Fail(t *testing.T) {
	store := memstore.New()
	sessions, err := session.New(store, "an example secret of 32 bytes or more")
	if err != nil {
		t.Fatal(err)
	}
	r := memstore.WithSession(t, sessions, httptest.NewRequest("GET", "https://example.com/", nil), func(s *session.Session) {
		s.SignIn("ann")
	})
	status := func() int {
		w := httptest.NewRecorder()
		sessions.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
		return w.Code
	}
	store.Fail(errors.New("down"))
	if got := status(); got != http.StatusServiceUnavailable {
		t.Errorf("in the outage the status is %d, want 503", got)
	}
	store.Fail(nil)
	if got := status(); got != http.StatusOK {
		t.Errorf("after the outage the status is %d, want 200", got)
	}
	if infos, err := sessions.List(t.Context(), "ann"); err != nil || len(infos) != 1 {
		t.Errorf("after the outage ann has the sessions %v, %v", infos, err)
	}
}
