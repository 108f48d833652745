package session_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/memstore"
	"github.com/holdfast-go/session/mongostore"
)

const (
	secret = "an example secret of 32 bytes or more"
	host   = "__Host-session"

	color session.Key[string] = "color"
	shape session.Key[string] = "shape"
)

var background = context.Background()

// eachStore runs a test with the memory store and with the server.
func eachStore(t *testing.T, f func(t *testing.T, store session.Store)) {
	t.Run("memstore", func(t *testing.T) { f(t, memstore.New()) })
	t.Run("mongostore", func(t *testing.T) { f(t, newMongo(t)) })
}

func newMongo(t testing.TB) *mongostore.Store {
	t.Helper()
	return openMongo(t, testserver.Collection(t))
}

func openMongo(t testing.TB, coll *mongo.Collection, opts ...mongostore.Option) *mongostore.Store {
	t.Helper()
	store, err := mongostore.OpenCollection(background, coll, append(opts, mongostore.WithLogger(slog.New(slog.DiscardHandler)))...)
	require.NoError(t, err)
	t.Cleanup(func() { store.Close(background) })
	return store
}

// logs collects log output.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logs) option() session.Option {
	return session.WithLogger(slog.New(slog.NewTextHandler(l, nil)))
}

func newManager(t testing.TB, store session.Store, opts ...session.Option) *session.Manager {
	t.Helper()
	m, err := session.New(store, secret, append(sender.options(new(logs).option()), opts...)...)
	require.NoError(t, err)
	return m
}

// handler is the code of one request.
type handler func(w http.ResponseWriter, r *http.Request, s *session.Session)

// app is a server whose requests run handlers registered with add.
type app struct {
	*httptest.Server
	m   *session.Manager
	mu  sync.Mutex
	do  map[string]handler
	seq int
}

func newApp(t testing.TB, m *session.Manager, around ...func(http.Handler) http.Handler) *app {
	t.Helper()
	a := &app{m: m, do: map[string]handler{}}
	h := m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		do := a.do[r.Header.Get("X-Do")]
		a.mu.Unlock()
		do(w, r, m.FromContext(r.Context()))
	}))
	for _, wrap := range around {
		h = wrap(h)
	}
	a.Server = httptest.NewUnstartedServer(h)
	a.Config.ErrorLog = discard()
	a.Start()
	t.Cleanup(a.Close)
	return a
}

func (a *app) add(do handler) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seq++
	name := fmt.Sprint(a.seq)
	a.do[name] = do
	return name
}

// visitor is a client with a cookie jar.
type visitor struct {
	t testing.TB
	http.Client
}

func newVisitor(t testing.TB) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	// With keep-alive, the transport would repeat a request forever if a failed
	// assertion ended its handler.
	v := &visitor{t, http.Client{Jar: jar, Timeout: time.Minute, Transport: sender.client(t, &http.Transport{DisableKeepAlives: true})}}
	v.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(v.CloseIdleConnections)
	return v
}

// answer is a response with its body. If there was no response, err is set.
type answer struct {
	*http.Response
	body string
	err  error
}

func (v *visitor) send(method, url string, header ...string) answer {
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		return answer{err: err}
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := v.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res, string(body), err}
}

// do sends a request that runs do, and requires a complete response.
func (v *visitor) do(a *app, do handler, header ...string) answer {
	v.t.Helper()
	res := v.try(a, do, header...)
	require.NoError(v.t, res.err)
	return res
}

// try is like do, but the connection may be cut.
func (v *visitor) try(a *app, do handler, header ...string) answer {
	return v.send("GET", a.URL, append(header, "X-Do", a.add(do))...)
}

// see returns the user and the values seen by a request.
func (v *visitor) see(a *app) (user string, n int, c string) {
	v.t.Helper()
	res := v.do(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		user, n, c = s.User(), visits.GetOr(s, 0), color.GetOr(s, "")
	})
	require.Equal(v.t, http.StatusOK, res.StatusCode, res.body)
	return user, n, c
}

func (v *visitor) user(a *app) string {
	v.t.Helper()
	user, _, _ := v.see(a)
	return user
}

func (v *visitor) login(a *app, user string) answer {
	v.t.Helper()
	res := v.do(a, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.SignIn(user) })
	require.Equal(v.t, http.StatusOK, res.StatusCode, res.body)
	return res
}

// cookies returns the Cookie header that the visitor's browser would send.
func (v *visitor) cookies(a *app) string {
	u := must(http.NewRequest("GET", a.URL, nil)).URL
	var pairs []string
	for _, c := range v.Jar.Cookies(u) {
		pairs = append(pairs, c.String())
	}
	return strings.Join(pairs, "; ")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// bare returns a client without a jar.
func bare(t testing.TB) *visitor {
	v := newVisitor(t)
	v.Jar = nil
	return v
}

// setCookie returns the cookie of a name set by the response, or nil.
func (a answer) setCookie(name string) *http.Cookie {
	for _, c := range a.Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// clock is a clock moved by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func nothing(http.ResponseWriter, *http.Request, *session.Session) {}

type ctxT = context.Context

// documents counts the documents of a mongostore that are sessions and not
// markers.
func documents(t testing.TB, store session.Store) int {
	t.Helper()
	n, err := store.(*mongostore.Store).Collection().CountDocuments(background, map[string]any{"verifier": map[string]any{"$exists": true}})
	require.NoError(t, err)
	return int(n)
}

var (
	errDown     = errors.New("down")
	jsonMarshal = json.Marshal
)

func discard() *log.Logger { return slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) }
