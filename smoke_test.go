package session_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/mongostore"
)

const visits session.Key[int] = "visits"

func TestSmoke(t *testing.T) {
	store, err := mongostore.OpenCollection(background, testserver.Collection(t))
	require.NoError(t, err)
	t.Cleanup(func() { store.Close(background) })
	m := newManager(t, store)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		n, err := visits.Update(r.Context(), s, func(n int) int { return n + 1 })
		fmt.Fprint(w, n, err, s.User())
	})
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SetUser("ann")
		http.Redirect(w, r, "/", 303)
	})
	mux.HandleFunc("/logout", func(w http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).Destroy()
		fmt.Fprint(w, "bye")
	})
	site := serve(t, m.Wrap(mux))
	v := newVisitor(t)
	a := v.get(site.URL)
	t.Log(a.body, a.Header)
	t.Log(v.get(site.URL).body)
	a = v.get(site.URL + "/login")
	t.Log(a.body, a.Header)
	a = v.get(site.URL + "/logout")
	t.Log(a.body, a.Header)
	t.Log(v.get(site.URL).body)
}
