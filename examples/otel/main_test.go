package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	v1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/holdfast-go/session/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m)) }

// collected are the spans that a collector has received.
type collected struct {
	mu    sync.Mutex
	spans []*v1.Span
}

func (c *collected) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var req collector.ExportTraceServiceRequest
	if proto.Unmarshal(body, &req) != nil {
		http.Error(w, "not a trace", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range req.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
}

// parentOf returns the name of the parent of the first span with a name.
func (c *collected) parentOf(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.spans, func(s *v1.Span) bool { return s.Name == name })
	if i < 0 {
		return ""
	}
	j := slices.IndexFunc(c.spans, func(s *v1.Span) bool { return string(s.SpanId) == string(c.spans[i].ParentSpanId) })
	if j < 0 {
		return ""
	}
	return c.spans[j].Name
}

func TestProgram(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "otel")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	spans := &collected{}
	otlp := httptest.NewServer(spans)
	defer otlp.Close()
	uri, err := url.Parse(testserver.Get(t).URI)
	require.NoError(t, err)
	uri.Path = "/" + testserver.Collection(t).Database().Name()

	app, metrics := address(t), address(t)
	ctx, stop := context.WithCancel(t.Context())
	program := exec.CommandContext(ctx, binary)
	program.Env = []string{
		"MONGO_URI=" + uri.String(), "SESSION_SECRET=kb3pHcgEbCzUFKqY7LmDP2nXvQs9rTwA", "OTEL_EXPORTER_OTLP_ENDPOINT=" + otlp.URL,
		"ADDR=" + app, "METRICS_ADDR=" + metrics,
	}
	program.Stderr = os.Stderr
	require.NoError(t, program.Start())
	defer program.Wait()
	defer stop()

	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client := &http.Client{Jar: secureJar{jar}, Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(t require.TestingT, address string) string {
		resp, err := client.Get("http://" + address)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(body)
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) { get(c, app) }, 30*time.Second, 50*time.Millisecond)
	require.Equal(t, "visit 2\n", get(t, app))

	text := get(t, metrics+"/metrics")
	for _, want := range []string{
		"holdfast_session_created_total{", "holdfast_session_store_operation_duration_seconds_bucket{",
		"holdfast_session_count{", "db_client_connection_",
	} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, strings.Split(uri.Path, "/")[1]+".http_sessions")

	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.NotEmpty(c, spans.parentOf("session load"))
		assert.Equal(c, spans.parentOf("session load"), spans.parentOf("session commit"))
	}, 30*time.Second, 50*time.Millisecond)
}

// secureJar is a jar that treats localhost as secure, as browsers do.
type secureJar struct{ http.CookieJar }

func https(u *url.URL) *url.URL {
	secure := *u
	secure.Scheme = "https"
	return &secure
}

func (j secureJar) SetCookies(u *url.URL, c []*http.Cookie) { j.CookieJar.SetCookies(https(u), c) }
func (j secureJar) Cookies(u *url.URL) []*http.Cookie       { return j.CookieJar.Cookies(https(u)) }

// address returns a free address.
func address(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}
