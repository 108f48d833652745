package memstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

const items = session.Key[[]string]("cart")

func cart(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	fmt.Fprint(w, s.User(), items.GetOr(s, nil))
}

func TestWithSession(t *testing.T) {
	sessions := memstore.NewManager()
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

// The request and the cookie also serve an http.Client of a real server.
func TestCookie_OverASocket(t *testing.T) {
	sessions := memstore.NewManager()
	server := httptest.NewServer(sessions.Wrap(http.HandlerFunc(cart)))
	defer server.Close()
	fill := func(s *session.Session) {
		s.SignIn("ann")
		items.Set(s, []string{"tea", "milk"})
	}
	send := func(client *http.Client, r *http.Request) string {
		resp, err := client.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(body)
	}
	request := func() *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
		require.NoError(t, err)
		return r
	}
	assert.Equal(t, "ann[tea milk]", send(server.Client(), memstore.WithSession(t, sessions, request(), fill)))

	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	address, err := url.Parse(server.URL)
	require.NoError(t, err)
	jar.SetCookies(address, []*http.Cookie{memstore.Cookie(t, sessions, fill)})
	client := &http.Client{Jar: jar}
	for range 2 {
		assert.Equal(t, "ann[tea milk]", send(client, request()))
	}
}

// The store of the Manager sees the context of the request.
func TestWithSession_Context(t *testing.T) {
	type tenant struct{}
	store := memstore.New()
	var seen any
	store.FailFunc(func(ctx context.Context, _ session.EventKind) error {
		seen = ctx.Value(tenant{})
		return nil
	})
	r := httptest.NewRequestWithContext(context.WithValue(t.Context(), tenant{}, "blue"), "GET", "https://example.com/", nil)
	memstore.WithSession(t, newManager(t, store), r, func(s *session.Session) { items.Set(s, nil) })
	assert.Equal(t, "blue", seen)
}

// stopped is a testing.TB whose Fatal stops the goroutine and keeps the message.
type stopped struct {
	testing.TB
	message string
}

func (t *stopped) Fatal(args ...any) {
	t.message = fmt.Sprint(args...)
	panic(t)
}

func (t *stopped) Fatalf(format string, args ...any) { t.Fatal(fmt.Sprintf(format, args...)) }

func TestCookie_Fatal(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*session.Session)
		want   string
	}{
		{"nothing set", func(*session.Session) {}, "memstore: session without a cookie, because change set nothing; sign a user in or set a value"},
		{"an invalid call", func(s *session.Session) { s.SignIn("") }, "memstore: cannot save session: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tb := &stopped{TB: t}
			assert.Panics(t, func() { memstore.Cookie(tb, memstore.NewManager(), tc.change) })
			assert.Contains(t, tb.message, tc.want)
		})
	}
}

func newManager(t *testing.T, store session.Store, opts ...session.Option) *session.Manager {
	t.Helper()
	m, err := session.New(store, "an example secret of 32 bytes or more", opts...)
	require.NoError(t, err)
	return m
}

func TestStore_FailFunc(t *testing.T) {
	ops := []session.EventKind{session.EventLoad, session.EventInsert, session.EventUpdate, session.EventDelete, session.EventList}
	call := func(store *memstore.Store, op session.EventKind, id session.ID) error {
		var err error
		switch op {
		case session.EventLoad:
			_, err = store.Load(t.Context(), id)
		case session.EventInsert:
			err = store.Insert(t.Context(), &session.Record{Info: session.Info{ID: session.ID{2}}})
		case session.EventUpdate:
			err = store.Update(t.Context(), id, &session.Change{Set: map[string]session.Value{"k": {Version: 1}}})
		case session.EventDelete:
			err = store.Delete(t.Context(), id)
		case session.EventList:
			_, err = store.List(t.Context(), "ann")
		}
		return err
	}
	for _, failing := range ops {
		t.Run(string(failing), func(t *testing.T) {
			store, id := memstore.New(), session.ID{1}
			require.NoError(t, store.Insert(t.Context(), &session.Record{Info: session.Info{ID: id, User: "ann"}}))
			down := errors.New("down")
			var seen []session.EventKind
			store.FailFunc(func(_ context.Context, op session.EventKind) error {
				seen = append(seen, op)
				if op == failing {
					return down
				}
				return nil
			})
			assert.Equal(t, down, call(store, failing, id))
			store.FailFunc(nil)
			assert.Equal(t, []session.EventKind{failing}, seen)
			rec, err := store.Load(t.Context(), id)
			require.NoError(t, err)
			assert.Empty(t, rec.Values, "a failed operation must change nothing")
			assert.Equal(t, 1, store.Len(), "a failed operation must change nothing")
			assert.Len(t, seen, 1, "FailFunc(nil) ends the calls")
		})
	}
	t.Run("no failure", func(t *testing.T) {
		store, id := memstore.New(), session.ID{1}
		require.NoError(t, store.Insert(t.Context(), &session.Record{Info: session.Info{ID: id, User: "ann"}}))
		var seen []session.EventKind
		store.FailFunc(func(_ context.Context, op session.EventKind) error {
			seen = append(seen, op)
			return nil
		})
		for _, op := range ops {
			assert.NoError(t, call(store, op, id), op)
		}
		assert.Equal(t, ops, seen)
	})
}

// f may call methods of the store, so a test can make a rival write at one moment.
func TestStore_FailFunc_CallsTheStore(t *testing.T) {
	store := memstore.New()
	rival := &session.Record{Info: session.Info{ID: session.ID{1}}}
	var once sync.Once
	store.FailFunc(func(ctx context.Context, _ session.EventKind) (err error) {
		once.Do(func() {
			store.FailFunc(nil)
			err = store.Insert(ctx, rival)
		})
		return err
	})
	assert.ErrorIs(t, store.Insert(t.Context(), rival), session.ErrConflict)
}

// A store that does not reply keeps a request for the store timeout.
func TestStore_FailFunc_NoReply(t *testing.T) {
	for name, f := range map[string]func(context.Context, session.EventKind) error{
		"an error when ctx ends": func(ctx context.Context, _ session.EventKind) error {
			<-ctx.Done()
			return ctx.Err()
		},
		"no error": func(ctx context.Context, _ session.EventKind) error {
			<-ctx.Done()
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New()
				sessions := newManager(t, store, session.WithStoreTimeout(3*time.Second))
				r := memstore.WithSession(t, sessions, httptest.NewRequest("GET", "https://example.com/", nil), func(s *session.Session) {
					s.SignIn("ann")
				})
				store.FailFunc(f)
				w, start := httptest.NewRecorder(), time.Now()
				sessions.Wrap(http.HandlerFunc(cart)).ServeHTTP(w, r)
				assert.Equal(t, http.StatusServiceUnavailable, w.Code)
				assert.Equal(t, 3*time.Second, time.Since(start), "in the bubble's time")
			})
		})
	}
}

func TestStore_Fail(t *testing.T) {
	store := memstore.New()
	sessions := newManager(t, store)
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
