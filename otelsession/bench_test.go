package otelsession_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
	"github.com/holdfast-go/session/otelsession"
)

// BenchmarkInstrument compares requests in process with and without telemetry. The
// two take turns, so a busy machine changes both. It reports the ratio of their
// medians:
//
//	go test -C otelsession -run - -bench Instrument -count 5
func BenchmarkInstrument(b *testing.B) {
	metrics := otelsession.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())))
	traces := func(s sdktrace.Sampler) otelsession.Option {
		return otelsession.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(s)))
	}
	for _, with := range []struct {
		name string
		opts []session.Option
	}{
		{"nothing", nil}, // the noise of the comparison
		{"global", otelsession.Instrument()},
		{"metrics", otelsession.Instrument(metrics, traces(sdktrace.NeverSample()))},
		{"metrics and traces", otelsession.Instrument(metrics, traces(sdktrace.AlwaysSample()))},
	} {
		for name, do := range map[string]handler{"read": nothing, "write": set} {
			b.Run(name+"/"+with.name, func(b *testing.B) {
				off, on := requests(b, nil, do), requests(b, with.opts, do)
				const turn = 20
				var took [2][]float64 // nanoseconds of a request in each turn
				for b.Loop() {
					for i, serve := range []func(){off, on} {
						start := time.Now()
						for range turn {
							serve()
						}
						took[i] = append(took[i], float64(time.Since(start))/turn)
					}
				}
				without, with := median(took[0]), median(took[1])
				b.ReportMetric(without, "off-ns")
				b.ReportMetric(with, "on-ns")
				b.ReportMetric(with/without, "on/off")
			})
		}
	}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// prepared is a store that loads one record and changes nothing.
type prepared struct {
	session.Store
	rec *session.Record
}

func (s prepared) Load(context.Context, session.ID) (*session.Record, error) { return s.rec, nil }
func (s prepared) Update(context.Context, session.ID, *session.Change) error { return nil }

// requests returns a function that serves one request of a signed-in user.
func requests(b *testing.B, opts []session.Option, do handler) func() {
	store := memstore.New()
	cookie := memstore.Cookie(b, must(session.New(store, secret)), func(s *session.Session) { s.SignIn("ann") })
	id := must(store.List(background, "ann"))[0].ID
	m, err := session.New(prepared{store, must(store.Load(background, id))}, secret, append(opts, session.WithLogger(slog.New(slog.DiscardHandler)))...)
	require.NoError(b, err)
	h := m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { do(w, session.FromContext(r.Context())) }))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(cookie)
	return func() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
}
