package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session/memstore"
)

type visitor struct {
	t    *testing.T
	base string
	*http.Client
}

func signedIn(t *testing.T) *visitor {
	srv := httptest.NewServer(memstore.NewManager().Wrap(handler(time.Millisecond)))
	t.Cleanup(srv.Close)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	v := &visitor{t, srv.URL, &http.Client{Jar: jar, Transport: srv.Client().Transport, Timeout: 20 * time.Second}}
	v.post("/login")
	return v
}

func (v *visitor) post(path string) {
	v.t.Helper()
	resp, err := v.Post(v.base+path, "", nil)
	require.NoError(v.t, err)
	resp.Body.Close()
	require.Equal(v.t, http.StatusOK, resp.StatusCode)
}

func (v *visitor) get(path string) *http.Response {
	v.t.Helper()
	resp, err := v.Get(v.base + path)
	require.NoError(v.t, err)
	v.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// stream opens an event stream and returns a function that reads its next
// non-empty line.
func (v *visitor) stream() func() string {
	v.t.Helper()
	resp := v.get("/events")
	require.Equal(v.t, "text/event-stream", resp.Header.Get("Content-Type"))
	lines := bufio.NewScanner(resp.Body)
	return func() string {
		for lines.Scan() {
			if text := lines.Text(); text != "" {
				return text
			}
		}
		return "closed"
	}
}

func TestEvents_ChangesOfOtherRequests(t *testing.T) {
	v := signedIn(t)
	next := v.stream()
	require.Equal(t, "data: 0", next())
	for i := 1; i <= 3; i++ {
		v.post("/visits")
		require.Equal(t, fmt.Sprintf("data: %d", i), next())
	}
	v.post("/logout")
	require.Equal(t, "event: ended", next())
	require.Equal(t, "data:", next())
	require.Equal(t, "closed", next())
}

func TestEvents_EndAfterRenewal(t *testing.T) {
	v := signedIn(t)
	next := v.stream()
	require.Equal(t, "data: 0", next())
	v.post("/renew")
	require.Equal(t, "closed", next())
	require.Equal(t, "data: 0", v.stream()(), "with the new cookie")
}

// lines upgrades a connection.
func (v *visitor) lines() (say func(string) string) {
	v.t.Helper()
	u, err := url.Parse(v.base)
	require.NoError(v.t, err)
	conn, err := net.Dial("tcp", u.Host)
	require.NoError(v.t, err)
	v.t.Cleanup(func() { conn.Close() })
	require.NoError(v.t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	r := httptest.NewRequest(http.MethodGet, "/draft", nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "lines")
	for _, c := range v.Jar.Cookies(u) {
		r.AddCookie(c)
	}
	require.NoError(v.t, r.Write(conn))
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, r)
	require.NoError(v.t, err)
	require.Equal(v.t, http.StatusSwitchingProtocols, resp.StatusCode)
	return func(text string) string {
		_, err := io.WriteString(conn, text+"\n")
		require.NoError(v.t, err)
		answer, err := in.ReadString('\n')
		require.NoError(v.t, err)
		return strings.TrimSpace(answer)
	}
}

func TestDrafts_SaveEachLine(t *testing.T) {
	v := signedIn(t)
	say := v.lines()
	for _, text := range []string{"Dear", "Dear all,"} {
		require.Equal(t, "saved", say(text))
		body, err := io.ReadAll(v.get("/saved").Body)
		require.NoError(t, err)
		require.Equal(t, text, string(body), "acknowledged, so another request sees it")
	}
	v.post("/logout")
	require.Equal(t, "ended", say("too late"))
}

func TestHandler_Anonymous(t *testing.T) {
	v := signedIn(t)
	v.post("/logout")
	require.Equal(t, http.StatusForbidden, v.get("/events").StatusCode)
	require.Equal(t, http.StatusForbidden, v.get("/draft").StatusCode)
}
