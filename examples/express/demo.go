package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/express"
	"github.com/holdfast-go/session/internal/devmongo/devserver"
	"github.com/holdfast-go/session/mongostore"
)

// demo is the balancer. It sends /express/ to the Express app, and /go/ to the Go app.
type demo struct {
	ctx    context.Context // ends the Express app
	dir    string          // of the Express app
	env    []string        // of the Express app
	client *mongo.Client
	store  *mongostore.Store // nil until it is open
	db     *mongo.Database
	beside http.Handler // the Go app while Express runs
	after  http.Handler // the Go app without Express

	mu      sync.RWMutex
	express *node // nil if Express is retired
	proxy   http.Handler
}

func newDemo(ctx context.Context, server *devserver.Server, dir string) (_ *demo, err error) {
	client, err := mongo.Connect(options.Client().ApplyURI(server.URI))
	if err != nil {
		return nil, err
	}
	name := "express_" + rand.Text()[:8]
	d := &demo{ctx: ctx, dir: dir, client: client, db: client.Database(name)}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	secret := rand.Text() + rand.Text()
	secrets, err := json.Marshal([]string{secret})
	if err != nil {
		return nil, err
	}
	d.env = []string{"MONGO_URI=" + server.URI, "DATABASE=" + name, "SECRETS=" + string(secrets), "STORE=keywise"}
	if !server.TTL {
		d.env = append(d.env, "AUTO_REMOVE=interval") // connect-mongo creates a TTL index otherwise
	}
	if d.express, err = startNode(ctx, dir, d.env...); err != nil {
		return nil, err
	}
	d.proxy = proxyTo(d.express.url)

	quiet := slog.New(slog.DiscardHandler) // about the missing TTL index
	old, err := openExpress(ctx, d.db.Collection("sessions"), secret, express.WithRollback(), express.WithLogger(quiet))
	if err != nil {
		return nil, err
	}
	d.store, err = mongostore.OpenCollection(ctx, d.db.Collection("http_sessions"), mongostore.WithLogger(quiet))
	if err != nil {
		return nil, err
	}
	sessions, err := session.New(d.store, rand.Text()+rand.Text(), session.DangerouslyAllowHTTP())
	if err != nil {
		return nil, err
	}
	d.beside, d.after = beside(old), instead(old, sessions)
	return d, nil
}

// close ends the Express app and removes the database of the demo.
func (d *demo) close() {
	_ = d.retire()
	ctx := context.WithoutCancel(d.ctx)
	if d.store != nil {
		_ = d.store.Close(ctx)
	}
	_ = d.db.Drop(ctx) // the server may be gone already
	_ = d.client.Disconnect(ctx)
}

func proxyTo(target string) http.Handler {
	u, err := url.Parse(target)
	if err != nil {
		panic(err) // shop.js printed it
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u); r.SetXForwarded() }}
}

// retire ends the Express app. From then on the Go app serves its visitors.
func (d *demo) retire() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.express != nil {
		d.express.stop()
		d.express = nil
	}
	return nil
}

// bringBack starts the Express app again. The sessions of Express are still there, see express.WithRollback.
func (d *demo) bringBack() (err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.express != nil {
		return nil
	}
	if d.express, err = startNode(d.ctx, d.dir, d.env...); err == nil {
		d.proxy = proxyTo(d.express.url)
	}
	return err
}

func (d *demo) control(f func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := f(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		d.servePhase(w, r)
	}
}

func (d *demo) servePhase(w http.ResponseWriter, _ *http.Request) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]bool{"express": d.express != nil})
}

func (d *demo) serveExpress(w http.ResponseWriter, r *http.Request) {
	d.mu.RLock()
	defer d.mu.RUnlock() // retire waits for the requests in progress
	if d.express == nil {
		http.Error(w, "Express is retired.", http.StatusGone)
		return
	}
	d.proxy.ServeHTTP(w, r)
}

func (d *demo) serveGo(w http.ResponseWriter, r *http.Request) {
	d.mu.RLock()
	h := d.after
	if d.express != nil {
		h = d.beside
	}
	d.mu.RUnlock()
	h.ServeHTTP(w, r)
}
