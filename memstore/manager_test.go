package memstore_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

const visits = session.Key[int]("visits")

// home is a typical handler of a program.
func home(w http.ResponseWriter, r *http.Request) {
	n, err := visits.Update(r.Context(), session.FromContext(r.Context()), func(n int) int { return n + 1 })
	if err != nil {
		http.Error(w, err.Error(), session.HTTPStatus(err))
		return
	}
	fmt.Fprint(w, n)
}

func TestNewManager_ServesAHandler(t *testing.T) {
	h := memstore.NewManager().Wrap(http.HandlerFunc(home))
	r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
	for _, want := range []string{"1", "2", "3"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Body.String(); got != want {
			t.Fatalf("the visit is number %s, want %s", got, want)
		}
		for _, c := range w.Result().Cookies() {
			r.AddCookie(c)
		}
	}
}

func TestNewManager_SharesNothing(t *testing.T) {
	serve := func(cookies ...*http.Cookie) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest(http.MethodGet, "https://example.com/", nil), httptest.NewRecorder()
		for _, c := range cookies {
			r.AddCookie(c)
		}
		memstore.NewManager().Wrap(http.HandlerFunc(home)).ServeHTTP(w, r)
		return w
	}
	if got := serve(serve().Result().Cookies()...).Body.String(); got != "1" {
		t.Errorf("another manager's cookie gave visit %s, want 1", got)
	}
}

func TestNewManager_InvalidOptions(t *testing.T) {
	defer func() {
		text := fmt.Sprint(recover())
		for _, option := range []string{"WithIdleTimeout", "WithMaxSize"} {
			if !strings.Contains(text, option) {
				t.Errorf("the panic does not name %s: %s", option, text)
			}
		}
	}()
	memstore.NewManager(session.WithIdleTimeout(-time.Hour), session.WithMaxSize(-1))
}
