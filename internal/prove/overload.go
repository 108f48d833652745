package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/holdfast-go/session/internal/faultmongo"
)

const (
	crowdSize     = 2000
	maxGoroutines = 4*crowdSize + 1000
	maxHeap       = 256 << 20
	maxRecovery   = 5 * time.Second
)

// proveOverload sends many requests to an app whose server needs two seconds
// for each command.
func proveOverload(ctx context.Context, r *run) error {
	server, err := r.server("--standalone")
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	proxy, err := faultmongo.Start(faultmongo.Config{Backend: server.Addr, KeepBook: true, Seed: r.seed})
	if err != nil {
		return err
	}
	defer proxy.Close()
	dir, err := r.folder("overload")
	if err != nil {
		return err
	}
	app, err := startApp(appConfig{
		URI: proxy.View("app").URI(), Secret: newSecret(), Timeout: storeTimeout, Log: filepath.Join(dir, "log"), Pool: 100,
	})
	if err != nil {
		return err
	}
	defer app.kill()
	o := &overload{run: r, app: app, client: newClient(new(trace))}
	in := o.client.ask("POST", app.url, "/login?user=ann", "")
	if !ok(in) {
		return fmt.Errorf("the sign-in returned %d: %s", in.status, in.body)
	}
	o.cookie = in.cookie
	if err := o.press(ctx, proxy); err != nil {
		return err
	}
	return o.judge(ctx)
}

type overload struct {
	*run
	app    *process
	client *client
	cookie string

	mu        sync.Mutex
	statuses  map[int]int
	slowest   time.Duration
	peak      usage
	recovered time.Duration
}

// press keeps 2,000 requests running while every command takes two seconds.
// Then it waits until a second passes without a failure.
func (o *overload) press(ctx context.Context, proxy *faultmongo.Proxy) error {
	o.statuses = make(map[int]int)
	slow := proxy.Inject(faultmongo.Fault{Kind: faultmongo.Delay, For: 2 * time.Second})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range crowdSize {
		wg.Go(func() { o.insist(stop) })
	}
	end := time.Now().Add(time.Duration(o.size(30, 8)) * time.Second)
	for time.Now().Before(end) && ctx.Err() == nil {
		if err := o.look(); err != nil {
			return err
		}
		pause(ctx, 500*time.Millisecond)
	}
	close(stop)
	slow.Remove()
	ended := time.Now()
	o.recovered = o.recovery(ended)
	wg.Wait()
	return ctx.Err()
}

// insist sends the next request a second after each response.
func (o *overload) insist(stop <-chan struct{}) {
	for {
		a := o.client.ask("GET", o.app.url, "/me", o.cookie)
		o.mu.Lock()
		o.statuses[a.status]++
		o.slowest = max(o.slowest, a.took)
		o.mu.Unlock()
		select {
		case <-stop:
			return
		case <-time.After(time.Second):
		}
	}
}

func (o *overload) look() error {
	u, err := o.app.usage()
	if err != nil {
		return err
	}
	o.peak.Slowest = u.Slowest
	o.peak.Goroutines = max(o.peak.Goroutines, u.Goroutines)
	o.peak.Heap = max(o.peak.Heap, u.Heap)
	return nil
}

// recovery returns the time between the end of the delay and 20 successful
// requests in a row.
func (o *overload) recovery(ended time.Time) time.Duration {
	good := 0
	for time.Since(ended) < 30*time.Second {
		if good == 0 {
			o.recovered = time.Since(ended)
		}
		if ok(o.client.ask("GET", o.app.url, "/me", o.cookie)) {
			good++
		} else {
			good = 0
		}
		if good == 20 {
			return o.recovered
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(ended)
}

func (o *overload) judge(ctx context.Context) error {
	if err := o.look(); err != nil {
		return err
	}
	o.client.http.CloseIdleConnections()
	after := usage{Goroutines: maxGoroutines}
	for range 100 {
		u, err := o.app.usage()
		if err != nil {
			return err
		}
		if after = u; after.Goroutines < 300 {
			break
		}
		pause(ctx, 100*time.Millisecond)
	}
	o.say("%d requests at a time, every command delayed by 2s, 100 connections: statuses %v, slowest %v in the app, %v for the client", crowdSize, o.statuses, o.peak.Slowest.Round(time.Millisecond), o.slowest.Round(time.Millisecond))
	o.say("at most %d goroutines and %.1f MB; afterwards %d goroutines, %.1f MB", o.peak.Goroutines, mega(o.peak.Heap), after.Goroutines, mega(after.Heap))
	o.say("recovered %v after the end of the delay", o.recovered.Round(time.Millisecond))
	f := new(failures)
	for status, n := range o.statuses {
		if status != http.StatusOK && status != http.StatusServiceUnavailable {
			f.add("%d responses with status %d", n, status)
		}
	}
	if o.peak.Slowest > storeTimeout+slack {
		f.add("a response took %v", o.peak.Slowest)
	}
	if o.peak.Goroutines > maxGoroutines || o.peak.Heap > maxHeap {
		f.add("%d goroutines, %d bytes", o.peak.Goroutines, o.peak.Heap)
	}
	if after.Goroutines >= 300 {
		f.add("%d goroutines left", after.Goroutines)
	}
	if o.recovered > maxRecovery {
		f.add("recovery took %v", o.recovered)
	}
	return f.err()
}

func mega(b uint64) float64 { return float64(b) / (1 << 20) }
