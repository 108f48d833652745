package session_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

const secret = "an example secret of 32 bytes or more"

// newManager returns a manager that logs to the test.
func newManager(t testing.TB, store session.Store, opts ...session.Option) *session.Manager {
	t.Helper()
	log := slog.New(slog.NewTextHandler(testWriter{t}, nil))
	m, err := session.New(store, secret, append([]session.Option{session.WithLogger(log)}, opts...)...)
	require.NoError(t, err)
	return m
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", b)
	return len(b), nil
}

// site is an app on a socket.
type site struct {
	*httptest.Server
	t testing.TB
}

func serve(t testing.TB, h http.Handler) *site {
	t.Helper()
	s := &site{httptest.NewServer(h), t}
	t.Cleanup(s.Close)
	return s
}

// visitor is a client with a cookie jar.
type visitor struct {
	t testing.TB
	http.Client
}

func newVisitor(t testing.TB) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	v := &visitor{t, http.Client{Jar: jar, Timeout: 30 * time.Second, Transport: &http.Transport{}}}
	t.Cleanup(v.CloseIdleConnections)
	return v
}

// answer is a response, read.
type answer struct {
	*http.Response
	body string
}

func (v *visitor) get(url string, header ...string) answer {
	v.t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	require.NoError(v.t, err)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := v.Do(req)
	require.NoError(v.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(v.t, err)
	return answer{res, string(body)}
}

// cookie returns the one that a response sets, nil if none.
func (a answer) cookie(name string) *http.Cookie {
	for _, c := range a.Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

const host = "__Host-session"

var background = context.Background()

// mem is a memory store that counts.
func mem(t testing.TB) *memstore.Store {
	t.Helper()
	return memstore.New()
}
