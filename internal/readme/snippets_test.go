package readme_test

import (
	"net/http"
	"net/http/httptest"

	"github.com/holdfast-go/session"
)

// The blocks of the documentation are in files named after their pages. This file
// has the helpers of their tests.

const secret = "a secret of a test, of 32 bytes."

// do runs f as a handler and returns the response.
func do(m *session.Manager, cookies []*http.Cookie, f http.HandlerFunc) *http.Response {
	r := httptest.NewRequest(http.MethodPost, "https://example.com/?remember=yes", nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	m.Wrap(f).ServeHTTP(w, r)
	return w.Result()
}

func login(_ http.ResponseWriter, r *http.Request) {
	session.FromContext(r.Context()).SignIn("ann")
}
