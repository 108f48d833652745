package session_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// stored returns the size of a session's data as WithMaxSize counts it.
func stored(t *testing.T, store session.Store, id session.ID) int {
	t.Helper()
	rec, err := store.Load(background, id)
	require.NoError(t, err)
	n := 0
	for name, v := range rec.Values {
		n += len(name) + len(v.Data)
	}
	return n
}

// Each request compares the maximum with the data it has loaded. So n
// concurrent requests can store n times the maximum, and no more.
func TestWithMaxSize_ConcurrentRequests(t *testing.T) {
	const n, maxSize = 6, 1000
	part := func(i int) (session.Key[string], string) {
		key := session.Key[string](fmt.Sprint("part", i))
		return key, strings.Repeat("x", maxSize-len(key)-len(`""`))
	}
	eachStore(t, func(t *testing.T, store session.Store) {
		m := newManager(t, store, session.WithMaxSize(maxSize))
		a, v := newApp(t, m), newVisitor(t)
		v.login(a, "ann")
		var id session.ID
		request(v, a, func(s *session.Session) { id = s.ID() })

		var loaded, done sync.WaitGroup
		loaded.Add(n)
		for i := range n {
			done.Go(func() {
				key, text := part(i)
				res := v.try(a, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
					loaded.Done()
					loaded.Wait()
					if i%2 == 0 {
						key.Set(s, text)
					} else if _, err := key.Update(r.Context(), s, func(string) string { return text }); err != nil {
						w.WriteHeader(session.HTTPStatus(err))
					}
				})
				if res.err != nil || res.StatusCode != http.StatusOK {
					t.Errorf("request %d: %v", i, res)
				}
			})
		}
		done.Wait()
		require.Equal(t, n*maxSize, stored(t, store, id))

		// The session can be read.
		key, text := part(0)
		request(v, a, func(s *session.Session) { require.Equal(t, text, key.GetOr(s, "")) })
		s, err := m.LoadID(context.Background(), id)
		require.NoError(t, err)

		// The next change to increase the size is refused.
		require.Equal(t, 500, request(v, a, func(s *session.Session) { shape.Set(s, "") }).StatusCode)
		require.Equal(t, 500, request(v, a, func(s *session.Session) { key.Set(s, text+"x") }).StatusCode)
		_, err = key.Update(background, s, func(v string) string { return v + "x" })
		require.ErrorIs(t, err, session.ErrTooLarge)
		require.Equal(t, n*maxSize, stored(t, store, id))

		// A change is stored if it does not increase the size.
		require.Equal(t, 200, request(v, a, func(s *session.Session) { key.Set(s, strings.ToUpper(text)) }).StatusCode)
		require.Equal(t, n*maxSize, stored(t, store, id))
		require.Equal(t, 200, request(v, a, func(s *session.Session) { key.Delete(s) }).StatusCode)
		require.Equal(t, (n-1)*maxSize, stored(t, store, id))
		require.Equal(t, 200, request(v, a, func(s *session.Session) { s.Clear(); shape.Set(s, "round") }).StatusCode)
		require.Equal(t, len(`shape"round"`), stored(t, store, id))
	})
}

func TestWithMaxSize_Lowered(t *testing.T) {
	store := memstore.New()
	a, v := newApp(t, newManager(t, store)), newVisitor(t)
	request(v, a, func(s *session.Session) { color.Set(s, strings.Repeat("x", 2000)) })
	b := newApp(t, newManager(t, store, session.WithMaxSize(1000)))
	cookie := v.cookies(a)
	ask := func(call func(s *session.Session)) int {
		return bare(t).do(b, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { call(s) }, "Cookie", cookie).StatusCode
	}
	require.Equal(t, 500, ask(func(s *session.Session) { shape.Set(s, "round") }))
	require.Equal(t, 200, ask(func(s *session.Session) { color.Set(s, strings.Repeat("x", 1500)) }))
	require.Equal(t, 200, ask(func(s *session.Session) { color.Set(s, "x"); shape.Set(s, "round") }))
}
