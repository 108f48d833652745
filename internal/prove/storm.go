package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/session/internal/faultmongo"
	"github.com/holdfast-go/session/internal/faultmongo/realserver"
)

const (
	maxCommands = 40
	maxCPU      = 20 // percent of one core
)

var stormCodes = []int32{
	faultmongo.HostUnreachable, faultmongo.HostNotFound, faultmongo.ShutdownInProgress,
	faultmongo.ExceededTimeLimit, faultmongo.NotWritablePrimary, faultmongo.InterruptedAtShutdown,
}

// proveStorm runs one app process for each code, all at the same time. It
// measures each process separately.
func proveStorm(ctx context.Context, r *run) error {
	server, err := r.server("--standalone")
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	results := make([]*storm, len(stormCodes))
	errs := make([]error, len(stormCodes))
	var wg sync.WaitGroup
	for i, code := range stormCodes {
		wg.Go(func() { results[i], errs[i] = r.storm(ctx, server, code) })
	}
	wg.Wait()
	f := new(failures)
	for i, code := range stormCodes {
		if errs[i] != nil {
			f.add("code %d: %v", code, errs[i])
			continue
		}
		for _, p := range results[i].phases {
			r.say("code %5d to %-10s for %v: %d requests, %.1f commands each, %.1f %% of one core, slowest response %v",
				code, p.what, p.took.Round(time.Second), p.requests, p.commands, p.cpu, p.slowest.Round(10*time.Millisecond))
			if p.commands >= maxCommands || p.cpu >= maxCPU || p.requests == 0 {
				f.add("code %d to %s: %.1f commands a request, %.1f %% CPU", code, p.what, p.commands, p.cpu)
			}
			if p.slowest > 2*storeTimeout+slack {
				f.add("code %d to %s: a response took %v", code, p.what, p.slowest)
			}
		}
		f.zero(fmt.Sprintf("requests without status 503 with code %d", code), int(results[i].odd.Load()))
	}
	return f.err()
}

// storm is one app whose server responds with one error code.
type storm struct {
	phases []phase
	odd    atomic.Int64
}

type phase struct {
	what          string
	took, slowest time.Duration
	requests      int
	commands, cpu float64
}

func (r *run) storm(ctx context.Context, server *realserver.Server, code int32) (*storm, error) {
	proxy, err := faultmongo.Start(faultmongo.Config{Backend: server.Addr, KeepBook: true, Seed: r.seed})
	if err != nil {
		return nil, err
	}
	defer proxy.Close()
	dir, err := r.folder("storm")
	if err != nil {
		return nil, err
	}
	app, err := startApp(appConfig{
		URI: proxy.View("app").URI(), Secret: newSecret(), Timeout: storeTimeout, Log: filepath.Join(dir, "log"),
	})
	if err != nil {
		return nil, err
	}
	defer app.kill()
	s := new(storm)
	length := time.Duration(r.size(30, 5)) * time.Second
	for _, f := range []struct {
		what, path string
		fault      faultmongo.Fault
	}{
		{"everything", "/cart?item=x", faultmongo.Fault{Kind: faultmongo.Answer, Code: code}},
		{"saves", "/cart?item=x", faultmongo.Fault{Kind: faultmongo.Answer, Code: code, Writes: true}},
		{"Updates", "/count", faultmongo.Fault{Kind: faultmongo.Answer, Code: code, Writes: true}},
	} {
		p, err := s.phase(ctx, proxy, app, f.fault, f.path, length)
		if err != nil {
			return nil, err
		}
		p.what = f.what
		s.phases = append(s.phases, p)
	}
	return s, nil
}

// phase lets 20 visitors repeat a request while the fault lasts.
func (s *storm) phase(ctx context.Context, proxy *faultmongo.Proxy, app *process, f faultmongo.Fault, path string, length time.Duration) (p phase, err error) {
	const visitors = 20
	t := new(trace)
	c := newClient(t)
	cookies := make([]string, visitors)
	for i := range cookies {
		a := c.ask("POST", app.url, query("/login", "user", fmt.Sprint("v", i)), "")
		for range 20 { // the driver may not have recovered from the previous phase
			if ok(a) {
				break
			}
			a = c.ask("POST", app.url, query("/login", "user", fmt.Sprint("v", i)), "")
		}
		cookies[i] = a.cookie
	}
	before, err := app.usage()
	if err != nil {
		return p, err
	}
	began, sent := time.Now(), proxy.Sent()
	fault := proxy.Inject(f)
	var n atomic.Int64
	var slowest highest
	parallel(visitors, visitors, func(i int) {
		for time.Since(began) < length && ctx.Err() == nil {
			a := c.ask("POST", app.url, path, cookies[i])
			n.Add(1)
			if a.status != http.StatusServiceUnavailable {
				s.odd.Add(1)
			}
			slowest.take(int64(a.took))
		}
	})
	fault.Remove()
	p.took, p.requests, p.slowest = time.Since(began), int(n.Load()), time.Duration(slowest.Load())
	p.commands = float64(proxy.Sent()-sent) / float64(max(p.requests, 1))
	after, err := app.usage()
	p.cpu = 100 * float64(after.CPU-before.CPU) / float64(p.took)
	return p, err
}
