package otelsession_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
	"github.com/holdfast-go/session/otelsession"
)

const (
	secret = "an example secret of 32 bytes or more"
	color  = session.Key[string]("favourite")
)

var (
	background = context.Background()
	errDown    = errors.New("down")
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// handler is the code of one request.
type handler func(w http.ResponseWriter, s *session.Session)

func nothing(http.ResponseWriter, *session.Session) {}

func signIn(user string) handler {
	return func(_ http.ResponseWriter, s *session.Session) { s.SignIn(user) }
}

func set(_ http.ResponseWriter, s *session.Session) { color.Set(s, "scarlet") }

func renew(_ http.ResponseWriter, s *session.Session) { s.Renew() }

// app is a server whose requests run handlers.
type app struct {
	*httptest.Server
	m     *session.Manager
	store session.Store
	mu    sync.Mutex
	do    []handler
}

func newApp(t testing.TB, store session.Store, opts ...session.Option) *app {
	t.Helper()
	a := &app{store: store}
	m, err := session.New(store, secret, append(opts, session.WithLogger(slog.New(slog.DiscardHandler)), session.WithStoreTimeout(50*time.Millisecond))...)
	require.NoError(t, err)
	a.m = m
	a.Server = httptest.NewServer(m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var i int
		_, _ = fmt.Sscan(r.Header.Get("X-Do"), &i)
		a.mu.Lock()
		do := a.do[i]
		a.mu.Unlock()
		do(w, session.FromContext(r.Context()))
	})))
	a.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(a.Close)
	return a
}

// send sends a request with a Cookie header, which runs do. It returns the Cookie
// header of the next request.
func (a *app) send(t testing.TB, cookie string, do handler, header ...string) string {
	t.Helper()
	a.mu.Lock()
	a.do = append(a.do, do)
	i := len(a.do) - 1
	a.mu.Unlock()
	req := must(http.NewRequestWithContext(background, http.MethodGet, a.URL, nil))
	req.Header.Set("X-Do", fmt.Sprint(i))
	req.Header.Set("User-Agent", "agent-of-ann")
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	req.Close = true // otherwise the transport would repeat a request whose connection is cut
	res, err := a.Client().Do(req)
	if err != nil {
		return cookie // the connection was cut
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	for _, c := range res.Cookies() {
		if c.Value == "" {
			return ""
		}
		cookie = c.Name + "=" + c.Value
	}
	return cookie
}

// edit changes the record of a user's only session.
func (a *app) edit(t testing.TB, user string, ch *session.Change) {
	t.Helper()
	infos := must(a.store.List(background, user))
	require.Len(t, infos, 1)
	require.NoError(t, a.store.Update(background, infos[0].ID, ch))
}

// telemetry collects what an app emits.
type telemetry struct {
	reader *metric.ManualReader
	spans  *tracetest.SpanRecorder
	opts   []otelsession.Option
	traces *trace.TracerProvider
}

func newTelemetry() *telemetry {
	c := &telemetry{reader: metric.NewManualReader(), spans: tracetest.NewSpanRecorder()}
	c.traces = trace.NewTracerProvider(trace.WithSpanProcessor(c.spans))
	c.opts = []otelsession.Option{
		otelsession.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(c.reader))),
		otelsession.WithTracerProvider(c.traces),
	}
	return c
}

// metrics collects the metrics of our scope by name.
func (c *telemetry) metrics(t testing.TB) map[string]metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, c.reader.Collect(background, &all))
	found := map[string]metricdata.Metrics{}
	for _, scope := range all.ScopeMetrics {
		require.Equal(t, otelsession.ScopeName, scope.Scope.Name)
		for _, m := range scope.Metrics {
			found[m.Name] = m
		}
	}
	return found
}

// failing is a hook of memstore that fails operations of these kinds.
func failing(errs map[session.EventKind]error) func(context.Context, session.EventKind) error {
	return func(_ context.Context, op session.EventKind) error { return errs[op] }
}

// everything drives each step of the library, so that every metric has every value
// of its attributes.
func everything(t testing.TB, a *app, store *memstore.Store) {
	t.Helper()
	past := time.Now().Add(-time.Minute)

	// Admissions: none, current, forged, superseded, stale, expired, not_found,
	// unavailable.
	ann := a.send(t, "", signIn("ann"))
	a.send(t, ann, nothing)
	a.send(t, a.m.CookieName()+"=forged", nothing)
	old := ann
	ann = a.send(t, ann, renew)
	a.send(t, old, nothing)
	a.edit(t, "ann", &session.Change{RenewedAt: past})
	a.send(t, old, nothing)
	a.edit(t, "ann", &session.Change{ExpiresAt: past})
	a.send(t, ann, nothing)
	a.send(t, ann, nothing)
	must(a.m.RevokeAll(background, "ann")) // of an expired session
	a.send(t, ann, nothing)
	store.Fail(errDown)
	a.send(t, ann, nothing)
	store.Fail(nil)

	// Ends: sign_out, revoked, evicted.
	bob := a.send(t, "", signIn("bob"))
	a.send(t, bob, func(_ http.ResponseWriter, s *session.Session) { s.SignOut() })
	a.send(t, "", signIn("bob"))
	a.edit(t, "bob", &session.Change{SignedInAt: past})
	a.send(t, "", signIn("bob")) // evicts the other one
	must(a.m.RevokeAll(background, "bob"))

	// Outcomes of commits.
	a.send(t, "", set)
	eve := a.send(t, "", signIn("eve"))
	store.FailFunc(failing(map[session.EventKind]error{session.EventUpdate: session.ErrNotFound}))
	a.send(t, eve, set)
	store.FailFunc(failing(map[session.EventKind]error{session.EventUpdate: session.ErrConflict}))
	a.send(t, eve, renew)
	store.FailFunc(failing(map[session.EventKind]error{session.EventInsert: session.ErrUncertain, session.EventLoad: errDown}))
	a.send(t, "", set)
	store.FailFunc(failing(map[session.EventKind]error{session.EventInsert: session.ErrTooLarge}))
	a.send(t, "", set)
	store.FailFunc(failing(map[session.EventKind]error{session.EventInsert: fmt.Errorf("slow: %w", context.DeadlineExceeded)}))
	a.send(t, "", set)
	store.FailFunc(failing(map[session.EventKind]error{session.EventInsert: errDown}))
	a.send(t, "", set)
	store.FailFunc(nil)
	a.send(t, eve, func(_ http.ResponseWriter, s *session.Session) {
		eve = a.send(t, eve, renew)
		s.Renew()
	})
	a.send(t, "", func(_ http.ResponseWriter, s *session.Session) {
		s.SignIn("joe")
		store.FailFunc(func(_ context.Context, op session.EventKind) error {
			if op == session.EventLoad { // the read of the revocations, after the insert
				store.FailFunc(nil)
				must(a.m.RevokeAll(background, "joe"))
			}
			return nil
		})
	})
	a.send(t, "", set, "Sec-Fetch-Site", "cross-site")
	a.send(t, "", func(_ http.ResponseWriter, s *session.Session) { color.Set(s, strings.Repeat("x", 1<<20)) })
	a.send(t, "", func(w http.ResponseWriter, s *session.Session) {
		_, _ = io.WriteString(w, "begun")
		s.SignIn("joe")
	})

	// A change after the handler has returned.
	var late *session.Session
	a.send(t, eve, func(_ http.ResponseWriter, s *session.Session) { late = s })
	color.Set(late, "blue")
}
