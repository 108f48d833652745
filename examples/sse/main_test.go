package main

import (
	"bufio"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session/memstore"
)

// device is a browser of ann.
type device struct {
	t    *testing.T
	base string
	*http.Client
}

func site(t *testing.T) *httptest.Server {
	m := memstore.NewManager()
	srv := httptest.NewServer(m.Wrap(handler(m)))
	t.Cleanup(srv.Close)
	return srv
}

func signedIn(t *testing.T, srv *httptest.Server) *device {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	d := &device{t, srv.URL, &http.Client{Jar: jar, Transport: srv.Client().Transport, Timeout: 30 * time.Second}}
	d.post("/login")
	return d
}

func (d *device) post(path string) {
	d.t.Helper()
	resp, err := d.Post(d.base+path, "", nil)
	require.NoError(d.t, err)
	resp.Body.Close()
	require.Equal(d.t, http.StatusOK, resp.StatusCode)
}

// stream opens an event stream and reads its first event. It returns a function that
// reads the others to the end and returns their lines, except those with the time.
func (d *device) stream() (rest func() []string) {
	d.t.Helper()
	resp, err := d.Get(d.base + "/events")
	require.NoError(d.t, err)
	d.t.Cleanup(func() { resp.Body.Close() })
	require.Equal(d.t, "text/event-stream", resp.Header.Get("Content-Type"))
	lines := bufio.NewScanner(resp.Body)
	require.True(d.t, lines.Scan())
	require.True(d.t, strings.HasPrefix(lines.Text(), "data: "))
	return func() (rest []string) {
		for lines.Scan() {
			if text := lines.Text(); text != "" && !strings.HasPrefix(text, "data: ") {
				rest = append(rest, text)
			}
		}
		require.NoError(d.t, lines.Err())
		return rest
	}
}

func TestEvents_EndWithTheSession(t *testing.T) {
	srv := site(t)
	laptop, phone := signedIn(t, srv), signedIn(t, srv)
	rest := laptop.stream()
	laptop.post("/logout")
	require.Equal(t, []string{"event: ended", "data:"}, rest())

	laptop.post("/login")
	rest = laptop.stream()
	phone.post("/logout-everywhere")
	require.Equal(t, []string{"event: ended", "data:"}, rest(), "by another device")
}

func TestEvents_EndAfterRenewal(t *testing.T) {
	laptop := signedIn(t, site(t))
	rest := laptop.stream()
	laptop.post("/renew")
	require.Empty(t, rest(), "without an event, so that an EventSource reconnects")
	rest = laptop.stream()
	laptop.post("/logout")
	require.Equal(t, []string{"event: ended", "data:"}, rest())
}

func TestEvents_Anonymous(t *testing.T) {
	srv := site(t)
	resp, err := srv.Client().Get(srv.URL + "/events")
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
}
