package memstore_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// A unit test of a handler needs no database and no configuration.
func ExampleNewManager() {
	login := func(w http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignIn("ann")
	}
	hello := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s", session.FromContext(r.Context()).User())
	}
	sessions := memstore.NewManager()

	answer := httptest.NewRecorder()
	sessions.Wrap(http.HandlerFunc(login)).ServeHTTP(answer, httptest.NewRequest("POST", "https://example.com/login", nil))

	r := httptest.NewRequest("GET", "https://example.com/", nil)
	for _, cookie := range answer.Result().Cookies() {
		r.AddCookie(cookie)
	}
	answer = httptest.NewRecorder()
	sessions.Wrap(http.HandlerFunc(hello)).ServeHTTP(answer, r)
	fmt.Println(answer.Body)
	// Output: hello ann
}
