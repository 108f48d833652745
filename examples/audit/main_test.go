package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// lines collects the audit log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// take returns the lines since the last call, without their time and session.
func (l *lines) take(t *testing.T) (texts []string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		var e struct{ Msg, Reason, Session, User, IP, Agent string }
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		require.NotEmpty(t, e.Session)
		require.Equal(t, "127.0.0.1", e.IP)
		texts = append(texts, strings.Join([]string{e.Msg, e.Reason, e.User, e.Agent}, " "))
	}
	l.buf.Reset()
	return texts
}

type browser struct {
	t     *testing.T
	base  string
	agent string
	http.Client
}

func (b *browser) post(path, user string) {
	b.t.Helper()
	req, err := http.NewRequest(http.MethodPost, b.base+path, strings.NewReader(url.Values{"user": {user}}.Encode()))
	require.NoError(b.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", b.agent)
	resp, err := b.Do(req)
	require.NoError(b.t, err)
	resp.Body.Close()
	require.Equal(b.t, http.StatusOK, resp.StatusCode)
}

func TestAudit(t *testing.T) {
	log, events := new(lines), make(chan session.Event, 10)
	sessions := memstore.NewManager(session.WithClientInfo(),
		session.WithObserver(audit(slog.New(slog.NewJSONHandler(log, nil)))), session.WithObserver(signIns(events)))
	srv := httptest.NewServer(sessions.Wrap(handler(sessions)))
	t.Cleanup(srv.Close)
	open := func(agent string) *browser {
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		return &browser{t, srv.URL, agent, http.Client{Jar: jar}}
	}
	phone, laptop := open("phone"), open("laptop")

	phone.post("/login", "ann")
	require.Equal(t, []string{"created sign_in ann phone", "signed_in sign_in ann phone"}, log.take(t))
	laptop.post("/login", "ann")
	require.Equal(t, []string{"created sign_in ann laptop", "signed_in sign_in ann laptop"}, log.take(t))
	phone.post("/login", "ann")
	require.Equal(t, []string{"signed_in sign_in ann phone"}, log.take(t))
	phone.post("/logout", "")
	require.Equal(t, []string{"signed_out sign_out ann phone"}, log.take(t))
	laptop.post("/logout-everywhere", "")
	require.Equal(t, []string{"revoked revoke_all ann laptop"}, log.take(t))
}

// The user gets a mail if no other session has the browser.
func TestMailNewDevices(t *testing.T) {
	signedIn, events := make(chan session.Event, 10), make(chan session.Event)
	sessions := memstore.NewManager(session.WithClientInfo(), session.WithObserver(signIns(signedIn)))
	srv := httptest.NewServer(sessions.Wrap(handler(sessions)))
	t.Cleanup(srv.Close)
	var agents []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		mailNewDevices(context.Background(), sessions, events, func(e session.Event) { agents = append(agents, e.UserAgent) })
	}()
	for _, agent := range []string{"phone", "laptop", "phone"} {
		(&browser{t, srv.URL, agent, http.Client{}}).post("/login", "ann")
		events <- <-signedIn
	}
	close(events)
	<-done
	require.Equal(t, []string{"laptop"}, agents)
}

// A full channel does not stop the request.
func TestSignIns_FullChannel(t *testing.T) {
	observe := signIns(make(chan session.Event))
	observe(context.Background(), session.Event{Kind: session.EventSignedIn})
}
