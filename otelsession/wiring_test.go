package otelsession_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/mongostore"
	"github.com/holdfast-go/session/otelsession"
)

// docs/how-to/monitor.md

// serve returns the program of the page.
func serve(ctx context.Context, t *testing.T, uri string, app http.Handler) (http.Handler, error) {
	exporter, err := prometheus.New()
	if err != nil {
		return nil, err
	}
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(exporter)))
	store, err := mongostore.Open(ctx, uri, mongostore.WithClientOptions(func(o *options.ClientOptions) {
		o.SetPoolMonitor(otelsession.PoolMonitor())
	}))
	if err != nil {
		return nil, err
	}
	sessions, err := session.New(store, secret, otelsession.Instrument()...)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.Handler()) // outside Wrap, and not for everybody
	mux.Handle("/", sessions.Wrap(app))
	t.Cleanup(func() { store.Close(ctx) })
	return mux, nil
}

func job(store session.Inspector) error {
	count, err := otelsession.CountSessions(store)
	if err != nil {
		return err
	}
	defer count.Unregister()
	return nil
}

func TestDocumentation_Program(t *testing.T) {
	before := otel.GetMeterProvider()
	t.Cleanup(func() { otel.SetMeterProvider(before) })
	h, err := serve(background, t, testserver.Get(t).URI, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignIn("ann")
	}))
	require.NoError(t, err)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	get := func(path string) string {
		res, err := http.Get(server.URL + path)
		require.NoError(t, err)
		defer res.Body.Close()
		require.Equal(t, http.StatusOK, res.StatusCode)
		return string(must(io.ReadAll(res.Body)))
	}
	get("/")
	text := get("/metrics")
	require.Contains(t, text, "holdfast_session_sign_ins_total{")
	require.Contains(t, text, "db_client_connection_use_time_seconds_count{")
	store := openMongo(t, newTelemetry())
	t.Cleanup(func() { store.Close(background) })
	require.NoError(t, job(store))
}
