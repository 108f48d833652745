package main

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// proveShutdown shuts apps down while visitors send requests, and closes a
// store in use.
func proveShutdown(ctx context.Context, r *run) error {
	c, server, err := r.mortals(ctx, "shutdown", "--standalone")
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	times := r.size(50, 5)
	f := new(failures)
	err = c.endApps(ctx, server.URI, fmt.Sprintf("http.Server.Shutdown and Close under load, %d times, no goroutine left", times), times,
		func(a *replaceable) error { return a.stop() })
	if err != nil {
		f.add("%v", err)
	}
	if err := r.closeStore(ctx, server.URI, f); err != nil {
		return err
	}
	return f.err()
}

// closeStore closes the store during requests.
func (r *run) closeStore(ctx context.Context, uri string, f *failures) error {
	rounds := r.size(30, 5)
	var answered, failed int64
	for range rounds {
		secret := newSecret()
		before := runtime.NumGoroutine()
		s, err := siteOn(ctx, uri, secret)
		if err != nil {
			return err
		}
		c := newClient(new(trace))
		in := c.ask("POST", s.url, "/login?user=ann", "")
		var done, maybe, stopped atomic.Int64
		time.AfterFunc(150*time.Millisecond, func() {
			closed, cancel := context.WithCancel(ctx)
			cancel() // running operations fail immediately
			_ = s.store.Close(closed)
			_ = s.coll.Database().Client().Disconnect(closed)
			stopped.Store(1)
		})
		parallel(8, 8, func(int) {
			for stopped.Load() == 0 {
				switch a := c.ask("POST", s.url, "/count", in.cookie); {
				case ok(a):
					done.Add(1)
				case a.uncertain:
					maybe.Add(1)
				}
			}
		})
		s.close()
		c.http.CloseIdleConnections()
		if left := goroutinesAbove(before); left > 0 {
			f.add("%d goroutines left after Close", left)
		}
		count, err := countOf(ctx, uri, secret, in.cookie)
		if err != nil {
			return err
		}
		if count < done.Load() || count > done.Load()+maybe.Load() {
			f.add("the counter is %d, want %d to %d", count, done.Load(), done.Load()+maybe.Load())
		}
		answered += done.Load()
		failed += maybe.Load()
	}
	r.say("the store closed under 8 users, %d times: %d acknowledged changes, all stored; %d with ErrUncertain", rounds, answered, failed)
	return nil
}

func countOf(ctx context.Context, uri, secret, cookie string) (int64, error) {
	s, err := siteOn(ctx, uri, secret)
	if err != nil {
		return 0, err
	}
	defer s.close()
	a := newClient(new(trace)).ask("GET", s.url, "/me", cookie)
	if !ok(a) {
		return 0, fmt.Errorf("status %d: %s", a.status, a.body)
	}
	return int64(a.Count), nil
}

// goroutinesAbove waits until the number of goroutines is at most before, and
// returns the difference.
func goroutinesAbove(before int) (more int) {
	for range 300 {
		if more = runtime.NumGoroutine() - before; more <= 0 {
			return 0
		}
		time.Sleep(10 * time.Millisecond)
	}
	return more
}
