package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

// site is an app in this process, for figures that inspect its state.
type site struct {
	*app
	url      string
	uri      string // URI of the database
	coll     *mongo.Collection
	store    *mongostore.Store
	finds    atomic.Int64
	commands atomic.Int64 // all commands sent by the driver, including finds
	logged   *journal
	close    func()
}

// siteOn returns a site using a database, with further options of the manager.
func siteOn(ctx context.Context, uri, secret string, opts ...session.Option) (*site, error) {
	s := &site{app: new(app), uri: uri, logged: new(journal)}
	client, err := mongo.Connect(options.Client().ApplyURI(uri).SetMonitor(&event.CommandMonitor{
		Started: func(_ context.Context, e *event.CommandStartedEvent) {
			s.commands.Add(1)
			if e.CommandName == "find" {
				s.finds.Add(1)
			}
		},
	}))
	if err != nil {
		return nil, err
	}
	s.coll = client.Database("app").Collection("http_sessions")
	log := slog.New(slog.NewTextHandler(s.logged, nil))
	s.store, err = mongostore.OpenCollection(ctx, s.coll, mongostore.WithExpiry(mongostore.ExpiryNone), mongostore.WithLogger(log))
	if err != nil {
		disconnect(client)
		return nil, err
	}
	opts = append([]session.Option{
		session.WithLogger(log), session.DangerouslyAllowHTTP(), session.WithErrorHandler(answerError),
		session.WithObserver(func(_ context.Context, e session.Event) { countCall(&s.ops, e) }),
	}, opts...)
	if s.sessions, err = session.New(s.store, secret, opts...); err != nil {
		disconnect(client)
		return nil, err
	}
	server := httptest.NewUnstartedServer(s.handler())
	server.Config.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelError)
	server.Start()
	s.url = server.URL
	s.close = func() {
		server.Close()
		_ = s.store.Close(ctx)
		disconnect(client)
	}
	return s, nil
}

// withSite starts a server and a site for the duration of f.
func (r *run) withSite(ctx context.Context, f func(*site) error, opts ...session.Option) error {
	server, err := r.server("--standalone")
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	s, err := siteOn(ctx, server.URI, newSecret(), opts...)
	if err != nil {
		return err
	}
	defer s.close()
	return f(s)
}

// dial is for requests that an http.Client refuses to send.
func (s *site) dial() (net.Conn, error) {
	return net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
}

// journal keeps a log in memory.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(b)
}

func (j *journal) count(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return bytes.Count(j.b.Bytes(), []byte(text))
}

// parallel calls f(0) to f(n-1) from a number of workers.
func parallel(n, workers int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

// rate returns the number of events per second since a time.
func rate(n int, since time.Time) float64 { return float64(n) / time.Since(since).Seconds() }

// ok reports whether a request succeeded.
func ok(a answer) bool { return a.status == http.StatusOK }
