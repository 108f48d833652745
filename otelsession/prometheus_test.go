package otelsession_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/event"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
	"github.com/holdfast-go/session/otelsession"
)

const monitoring = "../docs/monitoring"

// scrape returns what a Prometheus endpoint exports after everything has happened.
func scrape(t *testing.T) string {
	t.Helper()
	registry := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	require.NoError(t, err)
	opt := otelsession.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(exporter)))

	store := memstore.New()
	a := newApp(t, store, append(otelsession.Instrument(opt), session.WithMaxPerUser(1))...)
	_, err = otelsession.CountSessions(store, opt)
	require.NoError(t, err)
	everything(t, a, store)
	lifeOfPool(otelsession.PoolMonitor(opt))

	endpoint := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer endpoint.Close()
	res, err := http.Get(endpoint.URL)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	return string(must(io.ReadAll(res.Body)))
}

// lifeOfPool sends the events of a pool with one connection.
func lifeOfPool(m *event.PoolMonitor) {
	for _, e := range []event.PoolEvent{
		{Type: event.ConnectionPoolCreated, PoolOptions: &event.MonitorPoolOptions{MaxPoolSize: 100}},
		{Type: event.ConnectionCheckOutStarted},
		{Type: event.ConnectionReady, ConnectionID: 1},
		{Type: event.ConnectionCheckedOut, ConnectionID: 1},
		{Type: event.ConnectionCheckOutStarted},
		{Type: event.ConnectionCheckOutFailed, Reason: event.ReasonTimedOut},
		{Type: event.ConnectionCheckedIn, ConnectionID: 1},
	} {
		e.Address = "db.example:27017"
		m.Event(&e)
	}
}

var sample = regexp.MustCompile(`(?m)^([a-z_]+)(?:\{(.*)\})? \S+$`)

// series returns the labels of each exported metric.
func series(text string) map[string]map[string][]string {
	found := map[string]map[string][]string{}
	label := regexp.MustCompile(`([a-z_]+)="([^"]*)"`)
	for _, m := range sample.FindAllStringSubmatch(text, -1) {
		if found[m[1]] == nil {
			found[m[1]] = map[string][]string{}
		}
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			found[m[1]][l[1]] = append(found[m[1]][l[1]], l[2])
		}
	}
	return found
}

// A counter is exported before its first event, so that Prometheus sees the first
// increase.
func TestInstrument_CountersBeginAtZero(t *testing.T) {
	c := newTelemetry()
	otelsession.Instrument(c.opts...)
	found := c.metrics(t)
	for name, row := range reference(t, "Metrics") {
		if row.kind != "counter" {
			continue
		}
		_, all, _ := points(t, found[name])
		want := 1
		for _, values := range row.values {
			want = len(values)
		}
		require.Len(t, all, want, name)
		for _, p := range all {
			require.Zero(t, p.n, name)
		}
	}
}

func TestPrometheus_Endpoint(t *testing.T) {
	text := scrape(t)
	for _, want := range []string{
		`holdfast_session_admissions_total{holdfast_session_result="stale",`,
		`holdfast_session_store_operation_duration_seconds_bucket{error_type="timeout",holdfast_session_operation="insert",holdfast_session_outcome="error",`,
		`holdfast_session_commit_duration_seconds_count{holdfast_session_outcome="stored",`,
		`holdfast_session_size_bytes_bucket{`,
		`holdfast_session_sign_ins_total{`, `holdfast_session_created_total{`, `holdfast_session_lost_changes_total{`,
		`holdfast_session_ended_total{holdfast_session_reason="evicted",`,
		`holdfast_session_store_operation_active{`,
		`holdfast_session_count{holdfast_session_kind="user",`,
		`db_client_connection_count{db_client_connection_pool_name="db.example:27017",db_client_connection_state="idle",`,
	} {
		assert.Contains(t, text, want)
	}
}

// expressions returns the queries of the dashboard and of the alerts.
func expressions(t *testing.T) (queries []string) {
	t.Helper()
	var dashboard any
	require.NoError(t, json.Unmarshal(must(os.ReadFile(filepath.Join(monitoring, "grafana.json"))), &dashboard))
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if expr, ok := v["expr"].(string); ok {
				queries = append(queries, expr)
			}
			for _, child := range v {
				walk(child)
			}
		case []any:
			for _, child := range v {
				walk(child)
			}
		}
	}
	walk(dashboard)
	require.Greater(t, len(queries), 10)
	alerts := string(must(os.ReadFile(filepath.Join(monitoring, "alerts.yml"))))
	for _, m := range regexp.MustCompile(`(?m)^ +expr: (.+)$`).FindAllStringSubmatch(alerts, -1) {
		queries = append(queries, m[1])
	}
	return queries
}

var (
	metricName = regexp.MustCompile(`\b((?:holdfast|db_client)_[a-z_]+)(\{[^}]*\})?`)
	matcher    = regexp.MustCompile(`([a-z_]+)(=~|!~|!=|=)"([^"]*)"`)
	grouping   = regexp.MustCompile(`\bby ?\(([^)]*)\)`)
)

// Each metric, label and value in a query of the dashboard and of the alerts is in
// the scrape.
func TestPrometheus_QueriesMatchTheScrape(t *testing.T) {
	found := series(scrape(t))
	target := []string{"job", "instance", "le"} // labels that Prometheus adds, and those of buckets
	for _, query := range expressions(t) {
		var labels []string
		names := 0
		without := grouping.ReplaceAllString(query, "")
		for _, m := range metricName.FindAllStringSubmatch(without, -1) {
			if strings.HasPrefix(m[1], "holdfast_session_operation") || strings.HasPrefix(m[1], "db_client_connection_pool") {
				continue // a label
			}
			names++
			require.Contains(t, found, m[1], query)
			for label := range found[m[1]] {
				labels = append(labels, label)
			}
			for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
				if slices.Contains(target, l[1]) {
					continue
				}
				require.Contains(t, found[m[1]], l[1], query)
				for value := range strings.SplitSeq(l[3], "|") {
					if value != "" && !strings.ContainsAny(value, ".*+$") {
						require.Contains(t, found[m[1]][l[1]], value, query)
					}
				}
			}
		}
		require.NotZero(t, names, query)
		for _, m := range grouping.FindAllStringSubmatch(query, -1) {
			for label := range strings.SplitSeq(m[1], ",") {
				label = strings.TrimSpace(label)
				require.True(t, slices.Contains(labels, label) || slices.Contains(target, label), "%s: no label %s", query, label)
			}
		}
	}
}

// The dashboard shows every metric of the reference.
func TestPrometheus_DashboardIsComplete(t *testing.T) {
	dashboard := string(must(os.ReadFile(filepath.Join(monitoring, "grafana.json"))))
	for _, section := range []string{"Metrics", "Metrics of the connection pool"} {
		for name := range reference(t, section) {
			require.Contains(t, dashboard, strings.ReplaceAll(name, ".", "_"), name)
		}
	}
}

// promtool checks the rules, and that each of them fires and is silent when it
// should be.
func TestPrometheus_Alerts(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	require.NoError(t, err, "install it: apt-get install prometheus")
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = monitoring
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	rules := string(must(os.ReadFile(filepath.Join(monitoring, "alerts.yml"))))
	tests := string(must(os.ReadFile(filepath.Join(monitoring, "alerts_test.yml"))))
	for _, m := range regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(rules, -1) {
		require.GreaterOrEqual(t, strings.Count(tests, "alertname: "+m[1]+"\n"), 2, "%s has no test in which it fires, and one in which it does not", m[1])
	}
}
