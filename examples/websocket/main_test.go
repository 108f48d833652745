package main

import (
	"context"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// browser is a client with cookies.
type browser struct {
	t    *testing.T
	base string
	*http.Client
}

func signedIn(t *testing.T, m *session.Manager) *browser {
	t.Helper()
	srv := httptest.NewServer(m.Wrap(handler()))
	t.Cleanup(srv.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t, srv.URL, &http.Client{Jar: jar, Transport: srv.Client().Transport}}
	b.post("/login")
	return b
}

func (b *browser) post(path string) {
	b.t.Helper()
	resp, err := b.Post(b.base+path, "", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: status %d", path, resp.StatusCode)
	}
}

func (b *browser) dial(ctx context.Context) *websocket.Conn {
	b.t.Helper()
	conn, _, err := websocket.Dial(ctx, b.base+"/echo", &websocket.DialOptions{HTTPClient: b.Client})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.CloseNow() })
	return conn
}

func say(ctx context.Context, t *testing.T, conn *websocket.Conn, text string) {
	t.Helper()
	if err := conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
	_, got, err := conn.Read(ctx)
	if err != nil || string(got) != text {
		t.Fatalf("the answer is %q, error %v; want %q", got, err, text)
	}
}

func TestEcho_ClosesWithTheSession(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	store := memstore.New()
	m, err := session.New(store, "a secret of at least 32 bytes for tests")
	if err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func(*browser){
		"sign-out": func(b *browser) { b.post("/logout") },
		"sign-in":  func(b *browser) { b.post("/login") }, // renews the token
		"revocation": func(*browser) {
			if _, err := m.RevokeAll(ctx, "ann"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := signedIn(t, m)
			one, two := b.dial(ctx), b.dial(ctx)
			say(ctx, t, one, "hello")
			say(ctx, t, two, "hi")
			end(b)
			for _, conn := range []*websocket.Conn{one, two} {
				_, _, err := conn.Read(ctx)
				if websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
					t.Fatalf("after %s: %v, want a close with status %d", name, err, websocket.StatusPolicyViolation)
				}
			}
		})
	}
}

func TestEcho_Anonymous(t *testing.T) {
	b := signedIn(t, memstore.NewManager())
	b.post("/logout")
	_, resp, err := websocket.Dial(t.Context(), b.base+"/echo", &websocket.DialOptions{HTTPClient: b.Client})
	if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Fatalf("error %v, want status 403", err)
	}
}
