package otelsession_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
	"github.com/holdfast-go/session/otelsession"
)

// point is one value of a metric.
type point struct {
	attrs attribute.Set
	n     int64 // sum of a counter, or number of the values of a histogram
}

// points returns the values of a metric and its type, as in the reference.
func points(t testing.TB, m metricdata.Metrics) (kind string, all []point, bounds []float64) {
	t.Helper()
	switch d := m.Data.(type) {
	case metricdata.Sum[int64]:
		kind = "counter"
		if !d.IsMonotonic {
			kind = "updowncounter"
		}
		for _, p := range d.DataPoints {
			all = append(all, point{p.Attributes, p.Value})
		}
	case metricdata.Gauge[int64]:
		kind = "gauge"
		for _, p := range d.DataPoints {
			all = append(all, point{p.Attributes, p.Value})
		}
	case metricdata.Histogram[float64]:
		kind = "histogram"
		for _, p := range d.DataPoints {
			all, bounds = append(all, point{p.Attributes, int64(p.Count)}), p.Bounds
		}
	case metricdata.Histogram[int64]:
		kind = "histogram"
		for _, p := range d.DataPoints {
			all, bounds = append(all, point{p.Attributes, int64(p.Count)}), p.Bounds
		}
	default:
		t.Fatalf("%s: %T", m.Name, m.Data)
	}
	return kind, all, bounds
}

// documented is a row of the table of metrics.
type documented struct {
	kind, unit string
	values     map[attribute.Key][]string
}

// reference returns the table of a section in the reference.
func reference(t testing.TB, section string) map[string]documented {
	t.Helper()
	data := must(os.ReadFile("../docs/reference/events-and-logs.md"))
	_, text, ok := strings.Cut(string(data), "\n## "+section+"\n")
	require.True(t, ok)
	text, _, _ = strings.Cut(text, "\n## ")
	code := regexp.MustCompile("`([^`]+)`")
	rows := map[string]documented{}
	for line := range strings.Lines(text) {
		cells := strings.Split(line, "|")
		if len(cells) < 6 || !strings.HasPrefix(line, "| `") {
			continue
		}
		row := documented{kind: strings.TrimSpace(cells[2]), unit: strings.Trim(strings.TrimSpace(cells[3]), "`"), values: map[attribute.Key][]string{}}
		for part := range strings.SplitSeq(cells[4], ";") {
			names := code.FindAllStringSubmatch(part, -1)
			if len(names) == 0 {
				continue
			}
			key := attribute.Key(names[0][1])
			row.values[key] = []string{}
			for _, value := range names[1:] {
				row.values[key] = append(row.values[key], value[1])
			}
		}
		rows[strings.Trim(strings.TrimSpace(cells[1]), "`")] = row
	}
	return rows
}

// Every metric of the reference is emitted, with its type, its unit and all values
// of its attributes. There is no other one.
func TestInstrument_MetricsOfTheReference(t *testing.T) {
	store, c := memstore.New(), newTelemetry()
	a := newApp(t, store, append(otelsession.Instrument(c.opts...), session.WithMaxPerUser(1))...)
	count, err := otelsession.CountSessions(store, c.opts...)
	require.NoError(t, err)
	everything(t, a, store)
	found := c.metrics(t)
	require.NoError(t, count.Unregister())

	rows := reference(t, "Metrics")
	require.Len(t, rows, 12)
	for name := range found {
		assert.Contains(t, rows, name)
	}
	for name, row := range rows {
		require.Contains(t, found, name)
		m := found[name]
		kind, all, _ := points(t, m)
		assert.Equal(t, row.kind, kind, name)
		assert.Equal(t, row.unit, m.Unit, name)
		assert.NotEmpty(t, m.Description, name)
		got := map[attribute.Key][]string{}
		for _, p := range all {
			for _, kv := range p.attrs.ToSlice() {
				if !slices.Contains(got[kv.Key], kv.Value.AsString()) {
					got[kv.Key] = append(got[kv.Key], kv.Value.AsString())
				}
			}
		}
		assert.Len(t, got, len(row.values), name)
		for key, values := range row.values {
			assert.Subset(t, values, got[key], "%s, %s", name, key)
			if key == "holdfast.session.outcome" || key == "holdfast.session.operation" || key == "error.type" {
				continue // see TestInstrument_Counts and TestErrorType
			}
			assert.ElementsMatch(t, values, got[key], "%s, %s", name, key)
		}
	}
}

func TestInstrument_Counts(t *testing.T) {
	store, c := memstore.New(), newTelemetry()
	a := newApp(t, store, append(otelsession.Instrument(c.opts...), session.WithMaxPerUser(1))...)
	everything(t, a, store)
	found := c.metrics(t)
	counts := func(name string) map[string]int64 {
		t.Helper()
		_, all, _ := points(t, found[name])
		n := map[string]int64{}
		for _, p := range all {
			var values []string
			for _, kv := range p.attrs.ToSlice() {
				values = append(values, kv.Value.AsString())
			}
			n[strings.Join(values, " ")] = p.n
		}
		return n
	}
	require.Equal(t, map[string]int64{"": 6}, counts("holdfast.session.created"))
	require.Equal(t, map[string]int64{"": 5}, counts("holdfast.session.sign_ins"))
	require.Equal(t, map[string]int64{"": 1}, counts("holdfast.session.sign_outs"))
	require.Equal(t, map[string]int64{"": 2}, counts("holdfast.session.renewals"))
	require.Equal(t, map[string]int64{"sign_out": 1, "revoked": 2, "evicted": 1, "expired": 1}, counts("holdfast.session.ended"),
		"two requests with the expired token count once")
	require.Equal(t, map[string]int64{"": 2}, counts("holdfast.session.lost_changes"))
	require.Equal(t, map[string]int64{"": 0}, counts("holdfast.session.store.operation.active"))
	require.Equal(t, map[string]int64{
		"none": 14, "current": 8, "forged": 1, "superseded": 1, "stale": 1, "expired": 2, "not_found": 1, "unavailable": 1,
	}, counts("holdfast.session.admissions"))
	commits := counts("holdfast.session.commit.duration")
	for _, outcome := range reference(t, "Metrics")["holdfast.session.commit.duration"].values["holdfast.session.outcome"] {
		if outcome != "outside_path" {
			require.NotZero(t, commits[outcome], outcome)
		}
	}
	operations := counts("holdfast.session.store.operation.duration")
	for _, want := range []string{"load ok", "load not_found", "insert ok", "insert too_large", "update ok", "update conflict", "delete ok", "list ok"} {
		require.NotZero(t, operations[want], want)
	}
	for _, want := range []string{"_OTHER load error", "uncertain insert uncertain", "timeout insert error"} {
		require.NotZero(t, operations[want], want)
	}
}

func TestInstrument_Buckets(t *testing.T) {
	store, c := memstore.New(), newTelemetry()
	a := newApp(t, store, otelsession.Instrument(c.opts...)...)
	a.send(t, "", set)
	found := c.metrics(t)
	for name, want := range map[string][]float64{
		"holdfast.session.store.operation.duration": {.001, .005, .01, .05, .1, .5, 1, 5, 10},
		"holdfast.session.commit.duration":          {.001, .005, .01, .05, .1, .5, 1, 5, 10},
		"holdfast.session.size":                     {256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536},
	} {
		_, _, bounds := points(t, found[name])
		require.Equal(t, want, bounds, name)
	}
}

func TestInstrument_Spans(t *testing.T) {
	store, c := memstore.New(), newTelemetry()
	a := newApp(t, store, otelsession.Instrument(c.opts...)...)
	spans := func(cookie string, do handler, header ...string) (texts []string) {
		t.Helper()
		c.spans.Reset()
		a.send(t, cookie, do, header...)
		for _, s := range c.spans.Ended() {
			require.Equal(t, trace.SpanKindInternal, s.SpanKind())
			require.Equal(t, otelsession.ScopeName, s.InstrumentationScope().Name)
			text := s.Name()
			for _, kv := range s.Attributes() {
				text += fmt.Sprintf(" %s=%s", strings.TrimPrefix(string(kv.Key), "holdfast.session."), kv.Value.AsString())
			}
			if s.Status().Code == codes.Error {
				text += " !"
				require.Empty(t, s.Status().Description)
			}
			require.Empty(t, s.Events())
			texts = append(texts, text)
		}
		return texts
	}
	ann := a.send(t, "", signIn("ann"))
	require.Empty(t, spans("", nothing), "no cookie")
	require.Equal(t, []string{"session load result=forged"}, spans(a.m.CookieName()+"=forged", nothing))
	require.Equal(t, []string{"session load result=current"}, spans(ann, nothing))
	require.Equal(t, []string{"session load result=current", "session commit outcome=stored"}, spans(ann, set))
	require.Equal(t, []string{"session commit outcome=stored"}, spans("", set))
	require.Equal(t, []string{"session commit outcome=cross_site"}, spans("", set, "Sec-Fetch-Site", "cross-site"))
	store.FailFunc(failing(map[session.EventKind]error{session.EventUpdate: errDown}))
	require.Equal(t, []string{"session load result=current", "session commit outcome=error error.type=unavailable !"}, spans(ann, set))
	store.Fail(errDown)
	require.Equal(t, []string{"session load result=unavailable error.type=unavailable !"}, spans(ann, nothing))
}

// No metric and no span has a session ID, a user, a client's address or agent, a
// key, a value or the text of an error.
func TestInstrument_NothingPrivate(t *testing.T) {
	store, c := memstore.New(), newTelemetry()
	a := newApp(t, store, append(otelsession.Instrument(c.opts...), session.WithMaxPerUser(1), session.WithClientInfo())...)
	var ids []string
	var tokens []string
	everything(t, a, store)
	eve := a.send(t, "", signIn("eve"))
	for info, err := range store.All(background, session.Filter{}) {
		require.NoError(t, err)
		ids = append(ids, info.ID.String())
	}
	_, token, _ := strings.Cut(eve, "=")
	tokens = append(tokens, token)
	text := fmt.Sprintf("%+v", c.metrics(t))
	for _, s := range c.spans.Ended() {
		text += fmt.Sprintf("%s %+v %+v %+v\n", s.Name(), s.Attributes(), s.Status(), s.Events())
	}
	require.NotEmpty(t, ids)
	for _, private := range slices.Concat(ids, tokens, []string{"ann", "bob", "eve", "agent-of", "127.0.0.1", "favourite", "scarlet", "down"}) {
		assert.NotContains(t, strings.ReplaceAll(text, "description", ""), private)
	}
}

// An app without providers uses the global ones, which do nothing by default.
func TestInstrument_GlobalProviders(t *testing.T) {
	store := memstore.New()
	a := newApp(t, store, append(otelsession.Instrument(), session.WithMaxPerUser(1))...)
	everything(t, a, store)
	require.NotEmpty(t, a.send(t, "", signIn("ann")))
}

func TestCountSessions(t *testing.T) {
	store, c := memstore.New(), newTelemetry()
	a := newApp(t, store)
	a.send(t, "", signIn("ann"))
	a.send(t, "", signIn("ann"))
	a.send(t, "", set)
	a.send(t, "", signIn("bob"))
	a.edit(t, "bob", &session.Change{ExpiresAt: must(store.List(background, "bob"))[0].CreatedAt})
	must(a.m.RevokeAll(background, "joe")) // leaves a marker
	count, err := otelsession.CountSessions(store, c.opts...)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"user": 2, "anonymous": 1}, c.count(t))
	require.NoError(t, count.Unregister())
	require.NotContains(t, c.metrics(t), "holdfast.session.count")
}

// count returns the values of holdfast.session.count.
func (c *telemetry) count(t *testing.T) map[string]int64 {
	t.Helper()
	kind, all, _ := points(t, c.metrics(t)["holdfast.session.count"])
	require.Equal(t, "gauge", kind)
	n := map[string]int64{}
	for _, p := range all {
		value, _ := p.attrs.Value("holdfast.session.kind")
		n[value.AsString()] = p.n
	}
	return n
}

// Sessions are counted once per minute, however often the metrics are collected. A
// failed count is repeated at the next collection.
func TestCountSessions_OncePerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c := memstore.New(), newTelemetry()
		m := must(session.New(store, secret))
		begin := func() { memstore.Cookie(t, m, func(s *session.Session) { s.SignIn("ann") }) }
		count := must(otelsession.CountSessions(store, c.opts...))
		defer count.Unregister()

		store.Fail(errDown)
		var all metricdata.ResourceMetrics
		require.ErrorIs(t, c.reader.Collect(background, &all), errDown)
		store.Fail(nil)
		begin()
		require.Equal(t, map[string]int64{"user": 1, "anonymous": 0}, c.count(t))
		begin()
		time.Sleep(time.Minute - time.Nanosecond)
		require.Equal(t, map[string]int64{"user": 1, "anonymous": 0}, c.count(t))
		time.Sleep(time.Nanosecond)
		require.Equal(t, map[string]int64{"user": 2, "anonymous": 0}, c.count(t))
	})
}
