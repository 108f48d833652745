package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/express"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/mongostore"
)

const (
	secret   = "keyboard cat"
	goSecret = "the secret of the Go app, 32 bytes"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m)) }

// site is an Express app and a Go app behind one balancer.
type site struct {
	t        *testing.T
	db       *mongo.Database
	old      *express.Sessions
	sessions *session.Manager
	url      string

	mu    sync.RWMutex // held by requests for reading
	paths map[string]http.Handler
}

type setup struct {
	store     string   // STORE of shop.js
	secrets   []string // of Express; by default only secret
	env       []string // of Express
	accepted  []string // further secrets of Express that Go accepts
	mongo     []express.MongoOption
	options   []express.Option
	goSecrets []string // of Go; by default only goSecret
	db        *mongo.Database
}

// newSite starts an Express app. Its balancer sends /express/ there and /go/ to a Go app beside it.
func newSite(t *testing.T, c setup) *site {
	t.Helper()
	s := &site{t: t, db: c.db}
	if s.db == nil {
		s.db = testserver.Collection(t).Database()
	}
	store, err := express.NewMongoStore(s.db.Collection("sessions"), c.mongo...)
	require.NoError(t, err)
	opts := append([]express.Option{
		express.WithProperty(oldCart, cart), express.WithAcceptedSecrets(c.accepted...), express.WithLogger(slog.New(slog.DiscardHandler)),
	}, c.options...)
	s.old, err = express.Open(t.Context(), store, secret, opts...)
	require.NoError(t, err)
	own, err := mongostore.OpenCollection(t.Context(), s.db.Collection("http_sessions"), mongostore.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = own.Close(context.Background()) })
	if c.goSecrets == nil {
		c.goSecrets = []string{goSecret}
	}
	s.sessions, err = session.New(own, c.goSecrets[0], session.WithAcceptedSecrets(c.goSecrets[1:]...), session.DangerouslyAllowHTTP())
	require.NoError(t, err)
	s.paths = map[string]http.Handler{"express": proxyTo(startShop(t, s.db.Name(), c)), "go": beside(s.old)}

	srv := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

// startShop starts an Express app for a test, and returns its URL.
func startShop(t *testing.T, database string, c setup) string {
	t.Helper()
	dir, err := findNode(t.Context())
	require.NoError(t, err)
	if c.secrets == nil {
		c.secrets = []string{secret}
	}
	secrets, err := json.Marshal(c.secrets)
	require.NoError(t, err)
	server := testserver.Get(t)
	env := append([]string{"MONGO_URI=" + server.URI, "DATABASE=" + database, "SECRETS=" + string(secrets), "STORE=" + c.store, "TEST_ROUTES=1"}, c.env...)
	if !server.TTL {
		env = append(env, "AUTO_REMOVE=interval")
	}
	n, err := startNode(context.Background(), dir, env...)
	require.NoError(t, err)
	t.Cleanup(n.stop)
	return n.url
}

// serve sends a request to the app that its first segment names. The path for /shop/ is the one of that app.
func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	name, _, _ := strings.Cut(r.URL.Path[1:], "/")
	s.paths[name].ServeHTTP(w, r)
}

// shop returns a handler that serves /shop/ as the path of an app.
func (s *site) shop(app string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.URL.Path = "/" + app + strings.TrimPrefix(r.URL.Path, "/shop")
		s.paths[app].ServeHTTP(w, r)
	})
}

// route changes the balancer when no request is in progress.
func (s *site) route(name string, h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paths[name] = h
}

// retire gives all visitors to the Go app.
func (s *site) retire() {
	s.route("go", instead(s.old, s.sessions))
	s.route("shop", s.shop("go"))
}

func (s *site) documents() int {
	s.t.Helper()
	n, err := s.db.Collection("sessions").CountDocuments(s.t.Context(), bson.D{})
	require.NoError(s.t, err)
	return int(n)
}

// visitor is a browser.
type visitor struct {
	site   *site
	client *http.Client
}

func (s *site) visitor() *visitor {
	jar, _ := cookiejar.New(nil)
	return &visitor{s, &http.Client{Jar: jar}}
}

// try sends a request.
func (v *visitor) try(method, path string) (status int, body string, err error) {
	r, err := http.NewRequest(method, v.site.url+path, nil)
	if err != nil {
		return 0, "", err
	}
	res, err := v.client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// post sends a POST that must succeed.
func (v *visitor) post(path string) {
	v.site.t.Helper()
	status, body, err := v.try(http.MethodPost, path)
	require.NoError(v.site.t, err)
	require.Less(v.site.t, status, 300, body)
}

// state returns the visitor as an app knows him.
func (v *visitor) state(app string) state {
	v.site.t.Helper()
	got, err := v.tryState(app)
	require.NoError(v.site.t, err)
	return got
}

func (v *visitor) tryState(app string) (got state, err error) {
	status, body, err := v.try(http.MethodGet, "/"+app+"/state")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d: %s", status, body)
	}
	if err == nil {
		err = json.Unmarshal([]byte(body), &got)
	}
	got.Language = ""
	return got, err
}

func (v *visitor) cookies() (names []string) {
	u, _ := url.Parse(v.site.url)
	for _, c := range v.client.Jar.Cookies(u) {
		names = append(names, c.Name)
	}
	return names
}

// thief returns a visitor with a copy of the cookies of v, who does not get the later ones.
func (v *visitor) thief() *visitor {
	u, _ := url.Parse(v.site.url)
	return &visitor{v.site, &http.Client{Jar: copied(v.client.Jar.Cookies(u))}}
}

type copied []*http.Cookie

func (c copied) Cookies(*url.URL) []*http.Cookie     { return c }
func (c copied) SetCookies(*url.URL, []*http.Cookie) {}
