package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-go/session/internal/faultmongo"
)

const (
	storeTimeout = 5 * time.Second // the default of the library
	// slack is the delay allowed for a busy machine, in addition to twice the
	// store timeout.
	slack = time.Second
)

// chaosTrace contains the traces of a chaos run that figure 9 searches.
type chaosTrace struct {
	*trace
	logs []string // paths of the log files
	dump []byte   // all documents
	dir  string   // the server's data on disk
}

// proveChaos measures figure 3.
func proveChaos(ctx context.Context, r *run) error {
	elections, faults, visitors := 100, 200, 32
	if r.short {
		elections, faults = 12, 24
	}
	c, err := r.runChaos(ctx, elections, faults, visitors)
	if err != nil {
		return err
	}
	r.chaos = c
	return c.err()
}

// chaos is a run in progress.
type chaos struct {
	*chaosTrace
	r        *run
	proxy    *faultmongo.Proxy
	apps     []*process
	visitors []*visitor
	rng      *rand.Rand
	quiet    []span // short elections without other faults
	hits     map[faultmongo.Kind]int
	cuts     int
	refusals int
	records  int // in the database at the end
}

func (r *run) runChaos(ctx context.Context, elections, faults, visitors int) (_ *chaosTrace, err error) {
	data, err := r.folder("chaos")
	if err != nil {
		return nil, err
	}
	server, stopServer, err := r.serverAt(filepath.Join(data, "wt"), "--standalone")
	if err != nil {
		return nil, err
	}
	defer stopServer()
	proxy, err := faultmongo.Start(faultmongo.Config{
		Backend: server.Addr, Views: []string{"one", "two"}, Seed: r.seed, KeepBook: true,
	})
	if err != nil {
		return nil, err
	}
	defer proxy.Close()
	c := &chaos{
		chaosTrace: &chaosTrace{trace: &trace{limit: 2*storeTimeout + slack}, dir: data},
		r:          r, proxy: proxy, rng: rand.New(rand.NewPCG(r.seed, 2)), hits: make(map[faultmongo.Kind]int),
	}
	defer func() {
		for _, app := range c.apps {
			app.kill() // no effect on a stopped process
		}
	}()
	if err := c.startApps(data); err != nil {
		return nil, err
	}
	c.startVisitors(visitors, c.apps[0].url, c.apps[1].url)
	r.say("2 app processes, %d visitors, store timeout %v, seed %d", visitors, storeTimeout, r.seed)
	c.walk(ctx, func() { c.schedule(ctx, elections, faults) })
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err := c.judge(ctx, server.URI); err != nil {
		return nil, err
	}
	for _, app := range c.apps {
		if err := app.stop(); err != nil {
			c.wrong("%v", err)
		}
	}
	c.report(elections)
	return c.chaosTrace, nil
}

func (c *chaos) startApps(dir string) error {
	secret := newSecret()
	for _, name := range []string{"one", "two"} {
		log := filepath.Join(dir, "app-"+name+".log")
		app, err := startApp(appConfig{
			URI: c.proxy.View(name).URI(), Secret: secret, Timeout: storeTimeout, Log: log,
		})
		if err != nil {
			return err
		}
		c.apps = append(c.apps, app)
		c.logs = append(c.logs, log)
	}
	return nil
}

func (c *chaos) startVisitors(n int, urls ...string) {
	client := newClient(c.trace)
	for i := range n {
		c.visitors = append(c.visitors, newVisitor(client, fmt.Sprintf("v%02d", i), slices.Clone(urls), c.r.seed+uint64(i)))
	}
}

// walk runs the visitors until f returns.
func (c *chaos) walk(ctx context.Context, f func()) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, v := range c.visitors {
		wg.Go(func() { v.live(stop, 150*time.Millisecond) })
	}
	f()
	close(stop)
	wg.Wait()
}

// schedule holds the elections one after the other. The first half has no other
// faults, to measure the effect of an election shorter than the store timeout.
// In the second half, faults happen during and after the elections.
func (c *chaos) schedule(ctx context.Context, elections, faults int) {
	alone := elections / 2
	for range alone {
		s := span{from: time.Now()}
		c.elect(ctx, c.election(c.span(0, 2*time.Second)))
		pause(ctx, 1500*time.Millisecond) // until the driver's next check of the members and the requests delayed by it
		s.to = time.Now()
		c.quiet = append(c.quiet, s)
	}
	pause(ctx, time.Second)
	given := 0
	for i := range elections - alone {
		gap := c.span(0, 2*time.Second)
		if i%5 == 4 {
			gap += storeTimeout
		}
		var wg sync.WaitGroup
		e := c.election(gap)
		wg.Go(func() { c.elect(ctx, e) })
		for due := faults * (i + 1) / (elections - alone); given < due && ctx.Err() == nil; given++ {
			c.fault(ctx)
		}
		wg.Wait()
		pause(ctx, time.Second)
	}
}

func (c *chaos) election(gap time.Duration) faultmongo.Election {
	codes := []int32{
		0, faultmongo.NotWritablePrimary, faultmongo.InterruptedDueToReplStateChange,
		faultmongo.PrimarySteppedDown, faultmongo.ShutdownInProgress, faultmongo.InterruptedAtShutdown,
	}
	return faultmongo.Election{Code: pick(c.rng, codes...), Down: c.rng.IntN(3) == 0, Gap: gap}
}

func (c *chaos) span(from, to time.Duration) time.Duration {
	return from + time.Duration(c.rng.Int64N(int64(to-from)))
}

func (c *chaos) elect(ctx context.Context, e faultmongo.Election) {
	if err := c.proxy.Elect(ctx, e); err != nil {
		c.wrong("an election failed: %v", err)
	}
}

// fault causes one fault for one or both replicas, for a limited time.
func (c *chaos) fault(ctx context.Context) {
	view := []string{"one", "two", ""}[c.rng.IntN(3)]
	kind := faultmongo.Kind(c.rng.IntN(int(faultmongo.Unconfirmed) + 2))
	switch {
	case kind == 0:
		c.refusals++
		c.refuse(ctx)
	case kind > faultmongo.Unconfirmed:
		c.cuts++
		if view == "" {
			view = "one"
		}
		c.cut(ctx, view)
	default:
		c.inject(ctx, view, kind)
	}
}

// refuse makes one member unreachable, whether it is primary or not.
func (c *chaos) refuse(ctx context.Context) {
	member := c.rng.IntN(3)
	c.proxy.Refuse(member)
	pause(ctx, c.span(200*time.Millisecond, time.Second))
	if err := c.proxy.Restore(member); err != nil {
		c.wrong("a port did not reopen: %v", err)
	}
}

// cut disconnects one replica of the app from the database. The other one stays
// connected.
func (c *chaos) cut(ctx context.Context, view string) {
	c.proxy.View(view).Cut()
	pause(ctx, c.span(200*time.Millisecond, 2*time.Second))
	c.proxy.View(view).Heal()
}

func (c *chaos) inject(ctx context.Context, view string, kind faultmongo.Kind) {
	f := faultmongo.Fault{Kind: kind, View: view, Times: 1 + c.rng.IntN(30), Writes: c.rng.IntN(2) == 0}
	switch kind {
	case faultmongo.Delay, faultmongo.Trickle:
		f.For = c.span(100*time.Millisecond, 2*time.Second)
	case faultmongo.Answer:
		f.Code = pick[int32](c.rng, 6, 7, 89, 91, 189, 262, 10107, 11600, 11602, 13435, 13436)
	case faultmongo.Unconfirmed:
		f.Writes, f.Code = true, pick(c.rng, faultmongo.WriteConcernTimeout, faultmongo.ShutdownInProgress)
	}
	a := c.proxy.Inject(f)
	pause(ctx, c.span(200*time.Millisecond, 800*time.Millisecond))
	for range 40 {
		if a.Hits() > 0 {
			break
		}
		pause(ctx, 50*time.Millisecond) // without a primary, nothing is sent
	}
	a.Remove()
	c.hits[kind] += a.Hits()
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
