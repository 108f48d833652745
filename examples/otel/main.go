// Command otel exports the metrics of its sessions to Prometheus and their spans to an OTLP collector.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
	"github.com/holdfast-go/session/otelsession"
)

const visits session.Key[int] = "visits"

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	stop, err := telemetry(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = stop(ctx) }()
	store, err := mongostore.Open(ctx, os.Getenv("MONGO_URI"), mongostore.WithClientOptions(func(o *options.ClientOptions) {
		o.SetPoolMonitor(otelsession.PoolMonitor())
	}))
	if err != nil {
		return err
	}
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"), otelsession.Instrument()...)
	if err != nil {
		return err
	}
	count, err := otelsession.CountSessions(store) // in one replica only
	if err != nil {
		return err
	}
	defer func() { _ = count.Unregister() }()

	// Metrics have an address of their own, which visitors cannot reach.
	failed := make(chan error, 2)
	serve := func(addr string, h http.Handler) {
		failed <- (&http.Server{Addr: addr, Handler: h, ReadHeaderTimeout: 10 * time.Second}).ListenAndServe()
	}
	addr, metrics := cmp.Or(os.Getenv("ADDR"), "localhost:8080"), cmp.Or(os.Getenv("METRICS_ADDR"), "localhost:9090")
	log.Printf("open http://%s and http://%s/metrics", addr, metrics)
	go serve(metrics, promhttp.Handler())
	go serve(addr, handler(sessions))
	return <-failed
}

// telemetry sets the global providers. The exporter of spans reads the usual variables, such as
// OTEL_EXPORTER_OTLP_ENDPOINT.
func telemetry(ctx context.Context) (stop func(context.Context) error, err error) {
	scraped, err := prometheus.New()
	if err != nil {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, err
	}
	meters := metric.NewMeterProvider(metric.WithReader(scraped))
	tracers := trace.NewTracerProvider(trace.WithBatcher(exporter, trace.WithBatchTimeout(time.Second)))
	otel.SetMeterProvider(meters)
	otel.SetTracerProvider(tracers)
	return func(ctx context.Context) error { return errors.Join(tracers.Shutdown(ctx), meters.Shutdown(ctx)) }, nil
}

// handler returns the app. otelhttp is outside Wrap, so its span is the parent of the spans of the session.
func handler(sessions *session.Manager) http.Handler {
	app := http.NewServeMux()
	app.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		visits.Set(s, visits.GetOr(s, 0)+1)
		fmt.Fprintf(w, "visit %d\n", visits.GetOr(s, 0))
	})
	return otelhttp.NewHandler(http.NewCrossOriginProtection().Handler(sessions.Wrap(app)), "app")
}
