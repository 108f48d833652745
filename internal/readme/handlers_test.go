package readme_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// docs/how-to/test-handlers.md

func showCart(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	fmt.Fprintf(w, "%s has %d items", s.User(), len(cart.GetOr(s, nil)))
}

func TestShowCart(t *testing.T) {
	sessions := memstore.NewManager()
	r := httptest.NewRequest("GET", "https://example.com/cart", nil)
	r = memstore.WithSession(t, sessions, r, func(s *session.Session) {
		s.SignIn("ann")
		cart.Set(s, []item{{"tea", 2}, {"milk", 1}})
	})
	w := httptest.NewRecorder()
	sessions.Wrap(http.HandlerFunc(showCart)).ServeHTTP(w, r)
	if got := w.Body.String(); got != "ann has 2 items" {
		t.Errorf("got %q", got)
	}
}

func addTea(_ http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	cart.Set(s, append(cart.GetOr(s, nil), item{"tea", 1}))
}

func TestAddTea(t *testing.T) {
	sessions := memstore.NewManager()
	r := memstore.WithSession(t, sessions, httptest.NewRequest("POST", "https://example.com/cart", nil),
		func(s *session.Session) { s.SignIn("ann") })
	sessions.Wrap(http.HandlerFunc(addTea)).ServeHTTP(httptest.NewRecorder(), r)

	s, err := sessions.Load(t.Context(), r.Cookies())
	if err != nil {
		t.Fatal(err)
	}
	if got := len(cart.GetOr(s, nil)); got != 1 {
		t.Errorf("the cart has %d items, want 1", got)
	}
}

func TestCookieOfTheResponse(t *testing.T) {
	sessions := memstore.NewManager()
	app := sessions.Wrap(http.HandlerFunc(login))

	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest("POST", "https://example.com/login", nil))

	next := httptest.NewRequest("GET", "https://example.com/", nil)
	for _, cookie := range w.Result().Cookies() {
		next.AddCookie(cookie)
	}
	user := ""
	sessions.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		user = session.FromContext(r.Context()).User()
	})).ServeHTTP(httptest.NewRecorder(), next)
	require.Equal(t, "ann", user)
}

// total has a context and no request.
func total(ctx context.Context) (n int) {
	for _, item := range cart.GetOr(session.FromContext(ctx), nil) {
		n += item.Count
	}
	return n
}

func TestTotal(t *testing.T) {
	s, err := memstore.NewManager().Load(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	cart.Set(s, []item{{"tea", 2}, {"milk", 1}})
	if got := total(session.NewContext(t.Context(), s)); got != 3 {
		t.Errorf("got %d, want 3", got)
	}
}

func TestOverASocket(t *testing.T) {
	server := httptest.NewServer(memstore.NewManager().Wrap(http.HandlerFunc(home)))
	defer server.Close()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Transport: server.Client().Transport}
	for range 2 {
		resp, err := client.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	require.Len(t, jar.Cookies(must(t, server.URL)), 1)
}

func TestSignedInClient(t *testing.T) {
	sessions := memstore.NewManager()
	server := httptest.NewServer(sessions.Wrap(http.HandlerFunc(showCart)))
	defer server.Close()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	jar.SetCookies(address, []*http.Cookie{
		memstore.Cookie(t, sessions, func(s *session.Session) { s.SignIn("ann") }),
	})
	resp, err := (&http.Client{Jar: jar}).Get(server.URL)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "ann has 0 items", string(body))
}

func TestOutage(t *testing.T) {
	store := memstore.New()
	sessions, err := session.New(store, "a secret of a test, of 32 bytes.")
	if err != nil {
		t.Fatal(err)
	}
	r := memstore.WithSession(t, sessions, httptest.NewRequest("GET", "https://example.com/cart", nil),
		func(s *session.Session) { s.SignIn("ann") })
	store.Fail(errors.New("connection refused"))
	w := httptest.NewRecorder()
	sessions.Wrap(http.HandlerFunc(showCart)).ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", w.Code)
	}
}

func TestOutage_OfWrites(t *testing.T) {
	store := memstore.New()
	sessions, err := session.New(store, "a secret of a test, of 32 bytes.")
	require.NoError(t, err)
	r := memstore.WithSession(t, sessions, httptest.NewRequest("GET", "https://example.com/cart", nil),
		func(s *session.Session) { s.SignIn("ann") })
	store.FailFunc(func(_ context.Context, op session.EventKind) error {
		if op == session.EventLoad || op == session.EventList {
			return nil
		}
		return errors.New("not primary")
	})
	for want, handler := range map[int]http.HandlerFunc{http.StatusOK: showCart, http.StatusServiceUnavailable: addTea} {
		w := httptest.NewRecorder()
		sessions.Wrap(handler).ServeHTTP(w, r)
		require.Equal(t, want, w.Code)
	}
}

func TestOutage_WithoutReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		sessions, err := session.New(store, "a secret of a test, of 32 bytes.")
		require.NoError(t, err)
		r := memstore.WithSession(t, sessions, httptest.NewRequest("GET", "https://example.com/cart", nil),
			func(s *session.Session) { s.SignIn("ann") })
		store.FailFunc(func(ctx context.Context, _ session.EventKind) error {
			<-ctx.Done()
			return ctx.Err()
		})
		w, start := httptest.NewRecorder(), time.Now()
		sessions.Wrap(http.HandlerFunc(showCart)).ServeHTTP(w, r)
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}

func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sessions := memstore.NewManager(session.WithIdleTimeout(time.Hour))
		r := memstore.WithSession(t, sessions, httptest.NewRequest("GET", "https://example.com/cart", nil),
			func(s *session.Session) { s.SignIn("ann") })
		time.Sleep(time.Hour) // takes no time in a bubble
		w := httptest.NewRecorder()
		sessions.Wrap(http.HandlerFunc(showCart)).ServeHTTP(w, r)
		if got := w.Body.String(); got != " has 0 items" {
			t.Errorf("got %q, want an anonymous visitor", got)
		}
	})
}
