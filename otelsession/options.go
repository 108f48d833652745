package otelsession

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// ScopeName is the name of the instrumentation scope.
const ScopeName = "github.com/holdfast-go/session/otelsession"

// Option sets an option of [Instrument], [CountSessions] or [PoolMonitor].
type Option func(*config)

type config struct {
	traces  trace.TracerProvider
	metrics metric.MeterProvider
}

// WithTracerProvider sets the provider of the tracer. The default is the global
// one, as returned by [otel.GetTracerProvider].
func WithTracerProvider(p trace.TracerProvider) Option {
	return func(c *config) { c.traces = p }
}

// WithMeterProvider sets the provider of the meter. The default is the global one,
// as returned by [otel.GetMeterProvider].
func WithMeterProvider(p metric.MeterProvider) Option {
	return func(c *config) { c.metrics = p }
}

// newConfig applies the options. A nil provider counts as none.
func newConfig(opts []Option) config {
	var c config
	for _, o := range opts {
		o(&c)
	}
	if c.traces == nil {
		c.traces = otel.GetTracerProvider()
	}
	if c.metrics == nil {
		c.metrics = otel.GetMeterProvider()
	}
	return c
}

func (c *config) meter() metric.Meter { return c.metrics.Meter(ScopeName) }

// must reports an error of an instrument to the handler of OpenTelemetry. The
// instrument works, or does nothing.
func must[T any](instrument T, err error) T {
	if err != nil {
		otel.Handle(err)
	}
	return instrument
}
