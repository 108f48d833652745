package otelsession_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/memstore"
	"github.com/holdfast-go/session/mongostore"
	"github.com/holdfast-go/session/otelsession"
)

// commandSpans returns a monitor that makes a span of each command, as
// instrumentations of the driver do. It gets the store's context.
func commandSpans(tracer trace.Tracer) *event.CommandMonitor {
	var open sync.Map // of int64, the request's ID, to trace.Span
	end := func(e event.CommandFinishedEvent) {
		if span, ok := open.LoadAndDelete(e.RequestID); ok {
			span.(trace.Span).End()
		}
	}
	return &event.CommandMonitor{
		Started: func(ctx context.Context, e *event.CommandStartedEvent) {
			_, span := tracer.Start(ctx, e.CommandName, trace.WithSpanKind(trace.SpanKindClient))
			open.Store(e.RequestID, span)
		},
		Succeeded: func(_ context.Context, e *event.CommandSucceededEvent) { end(e.CommandFinishedEvent) },
		Failed:    func(_ context.Context, e *event.CommandFailedEvent) { end(e.CommandFinishedEvent) },
	}
}

// openMongo opens a store whose client has a command monitor and a pool monitor.
func openMongo(t *testing.T, c *telemetry) *mongostore.Store {
	t.Helper()
	coll := testserver.Collection(t)
	store, err := mongostore.Open(background, testserver.Get(t).URI,
		mongostore.WithDatabase(coll.Database().Name()), mongostore.WithCollection(coll.Name()),
		mongostore.WithClientOptions(func(o *options.ClientOptions) {
			o.SetMonitor(commandSpans(c.traces.Tracer("driver")))
			o.SetPoolMonitor(otelsession.PoolMonitor(c.opts...))
		}))
	require.NoError(t, err)
	return store
}

// A driver's span is a child of ours, which is a child of the request's.
func TestInstrument_DriverSpans(t *testing.T) {
	c := newTelemetry()
	store := openMongo(t, c)
	t.Cleanup(func() { store.Close(background) })
	m, err := session.New(store, secret, otelsession.Instrument(c.opts...)...)
	require.NoError(t, err)
	tracer := c.traces.Tracer("server")
	wrapped := m.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		color.Set(session.FromContext(r.Context()), "scarlet")
	}))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, span := tracer.Start(r.Context(), "GET /")
		defer span.End()
		wrapped.ServeHTTP(w, r.WithContext(ctx))
	}))
	t.Cleanup(server.Close)
	cookie := memstore.Cookie(t, m, func(s *session.Session) { s.SignIn("ann") })
	c.spans.Reset()
	req := must(http.NewRequest(http.MethodGet, server.URL, nil))
	req.AddCookie(cookie)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	server.Close() // the span of the request has ended

	byID := map[trace.SpanID]sdktrace.ReadOnlySpan{}
	for _, s := range c.spans.Ended() {
		byID[s.SpanContext().SpanID()] = s
	}
	var paths []string
	for _, s := range c.spans.Ended() {
		path := s.Name()
		for up, ok := byID[s.Parent().SpanID()]; ok; up, ok = byID[up.Parent().SpanID()] {
			path = up.Name() + " > " + path
		}
		paths = append(paths, path)
	}
	require.ElementsMatch(t, []string{
		"GET /", "GET / > session load", "GET / > session load > find", "GET / > session commit", "GET / > session commit > update",
	}, paths)
}

// Each metric of the reference is emitted for a pool of a server.
func TestPoolMonitor(t *testing.T) {
	c := newTelemetry()
	store := openMongo(t, c)
	a := newApp(t, store)
	for range 3 {
		a.send(t, "", signIn("ann"))
	}
	found := c.metrics(t)
	rows := reference(t, "Metrics of the connection pool")
	require.Len(t, rows, 7)
	for name, row := range rows {
		if name == "db.client.connection.timeouts" {
			continue // see TestPoolMonitor_Counts
		}
		require.Contains(t, found, name)
		m := found[name]
		kind, all, _ := points(t, m)
		require.Equal(t, row.kind, kind, name)
		require.Equal(t, row.unit, m.Unit, name)
		for _, p := range all {
			require.Equal(t, len(row.values), p.attrs.Len(), name)
			for key := range row.values {
				require.True(t, p.attrs.HasValue(key), "%s has no %s", name, key)
			}
		}
	}
	require.Equal(t, int64(0), sum(t, found["db.client.connection.count"], "used"))
	require.NotZero(t, sum(t, found["db.client.connection.count"], "idle"))
	require.NotZero(t, sum(t, found["db.client.connection.use_time"], ""))

	require.NoError(t, store.Close(background))
	found = c.metrics(t)
	for _, name := range []string{"db.client.connection.count", "db.client.connection.max", "db.client.connection.pending_requests"} {
		_, all, _ := points(t, found[name])
		for _, p := range all {
			require.Zero(t, p.n, "%s after Close", name)
		}
	}
}

// sum adds the values of a metric in a state.
func sum(t *testing.T, m metricdata.Metrics, state string) (n int64) {
	t.Helper()
	_, all, _ := points(t, m)
	for _, p := range all {
		if v, ok := p.attrs.Value("db.client.connection.state"); !ok || v == attribute.StringValue(state) {
			n += p.n
		}
	}
	return n
}

// The states of connections follow the events of the driver.
func TestPoolMonitor_Counts(t *testing.T) {
	c := newTelemetry()
	m := otelsession.PoolMonitor(c.opts...)
	send := func(kind string, id int64, reason string) {
		m.Event(&event.PoolEvent{Type: kind, Address: "db.example:27017", ConnectionID: id, Reason: reason, PoolOptions: &event.MonitorPoolOptions{MaxPoolSize: 100}})
	}
	check := func(idle, used, pending, limit, timeouts int64) {
		t.Helper()
		found := c.metrics(t)
		require.Equal(t, idle, sum(t, found["db.client.connection.count"], "idle"), "idle")
		require.Equal(t, used, sum(t, found["db.client.connection.count"], "used"), "used")
		require.Equal(t, pending, sum(t, found["db.client.connection.pending_requests"], ""), "pending")
		require.Equal(t, limit, sum(t, found["db.client.connection.max"], ""), "max")
		if timeouts > 0 {
			require.Equal(t, timeouts, sum(t, found["db.client.connection.timeouts"], ""), "timeouts")
		}
	}
	send(event.ConnectionPoolCreated, 0, "")
	send(event.ConnectionCheckOutStarted, 0, "")
	send(event.ConnectionReady, 1, "")
	check(1, 0, 1, 100, 0)
	send(event.ConnectionCheckedOut, 1, "")
	check(0, 1, 0, 100, 0)
	send(event.ConnectionReady, 2, "")
	send(event.ConnectionCheckOutStarted, 0, "")
	send(event.ConnectionCheckOutFailed, 0, event.ReasonTimedOut)
	check(1, 1, 0, 100, 1)
	send(event.ConnectionCheckOutStarted, 0, "")
	send(event.ConnectionCheckOutFailed, 0, event.ReasonConnectionErrored)
	check(1, 1, 0, 100, 1)
	send(event.ConnectionClosed, 3, event.ReasonError) // it was never ready
	check(1, 1, 0, 100, 1)
	send(event.ConnectionClosed, 2, event.ReasonIdle)
	check(0, 1, 0, 100, 1)
	send(event.ConnectionCheckedIn, 1, "")
	check(1, 0, 0, 100, 1)
	send(event.ConnectionCheckOutStarted, 0, "")
	send(event.ConnectionCheckedOut, 1, "")
	send(event.ConnectionClosed, 1, event.ReasonError)
	send(event.ConnectionPoolClosed, 0, "")
	check(0, 0, 0, 0, 1)
}
