package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/holdfast-go/session/internal/faultmongo/realserver"
)

// proveKill kills the app, and then the server, while visitors send requests.
func proveKill(ctx context.Context, r *run) error {
	f := new(failures)
	for _, prove := range []func(context.Context, *run) error{killApp, killServer} {
		if err := prove(ctx, r); err != nil {
			f.add("%v", err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return f.err()
}

// mortals returns a chaos run that kills processes and cuts no connections.
func (r *run) mortals(ctx context.Context, name string, serverArgs ...string) (*chaos, *realserver.Server, error) {
	data, err := r.folder(name)
	if err != nil {
		return nil, nil, err
	}
	server, err := realserver.Secantus(filepath.Join(data, "wt"), serverArgs...)
	if err != nil {
		return nil, nil, err
	}
	c := &chaos{
		chaosTrace: &chaosTrace{trace: &trace{limit: 2*storeTimeout + slack, mortal: true}, dir: data},
		r:          r, rng: rand.New(rand.NewPCG(r.seed, 3)),
	}
	return c, server, nil
}

// replaceable is an app that restarts at the same address.
type replaceable struct {
	config appConfig
	*process
}

func newReplaceable(c *chaos, uri string) (*replaceable, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	a := &replaceable{config: appConfig{
		URI: uri, Secret: newSecret(), Timeout: storeTimeout,
		Log: filepath.Join(c.dir, "app.log"), Listen: ln.Addr().String(),
	}}
	c.logs = append(c.logs, a.config.Log)
	return a, nil
}

func (a *replaceable) start() (err error) {
	a.process, err = startApp(a.config)
	return err
}

// killApp kills the app hundreds of times, at random moments that depend on the
// seed.
func killApp(ctx context.Context, r *run) error {
	c, server, err := r.mortals(ctx, "killapp", "--standalone")
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	kills := r.size(500, 20)
	return c.endApps(ctx, server.URI, fmt.Sprintf("kill -9 of the app, %d times", kills), kills, func(a *replaceable) error {
		a.kill()
		return nil
	})
}

// endApps runs visitors while end ends the app again and again, and then judges
// the result.
func (c *chaos) endApps(ctx context.Context, uri, what string, times int, end func(*replaceable) error) error {
	a, err := newReplaceable(c, uri)
	if err != nil {
		return err
	}
	if err := a.start(); err != nil {
		return err
	}
	defer func() { a.kill() }()
	c.startVisitors(16, a.url)
	c.walk(ctx, func() {
		for i := 0; i < times && err == nil && ctx.Err() == nil; i++ {
			pause(ctx, c.span(50*time.Millisecond, 250*time.Millisecond))
			if err = end(a); err == nil {
				err = a.start()
			}
		}
	})
	if err != nil || ctx.Err() != nil {
		return cmp.Or(err, ctx.Err())
	}
	return c.conclude(ctx, uri, what)
}

func (c *chaos) conclude(ctx context.Context, uri, what string) error {
	c.mortal = false
	if err := c.judge(ctx, uri); err != nil {
		return err
	}
	unanswered, done := 0, make(map[string]int)
	for _, v := range c.visitors {
		unanswered += v.again
		for what, n := range v.done {
			done[what] += n
		}
	}
	c.r.say("%s, %d requests, %d without success: acknowledged %d sign-ins, %d changes, %d renewals, %d sign-outs; %d records, all consistent; %d renewals or sign-outs applied without a response; guarantees violated: %d",
		what, c.all, c.failed, done["sign-in"], done["change"], done["renewal"], done["sign-out"], c.records, unanswered, len(c.list)+c.more)
	return c.err()
}

// killServer kills the server and restarts it with the same data.
func killServer(ctx context.Context, r *run) error {
	c, server, err := r.mortals(ctx, "killserver", "--standalone", "--sync-on-commit")
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	a, err := newReplaceable(c, server.URI)
	if err != nil {
		return err
	}
	if err := a.start(); err != nil {
		return err
	}
	defer a.kill()
	c.startVisitors(16, a.url)
	kills := r.size(20, 2)
	c.walk(ctx, func() {
		for i := 0; i < kills && err == nil && ctx.Err() == nil; i++ {
			pause(ctx, c.span(time.Second, 3*time.Second))
			server.Kill()
			server, err = realserver.SecantusAt(portOf(server.Addr), filepath.Join(c.dir, "wt"), "--standalone", "--sync-on-commit")
		}
		pause(ctx, 2*time.Second)
	})
	if err != nil || ctx.Err() != nil {
		return cmp.Or(err, ctx.Err())
	}
	return c.conclude(ctx, server.URI, fmt.Sprintf("kill -9 of the server (--sync-on-commit), %d times", kills))
}

func portOf(addr string) int {
	_, port, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(port)
	return n
}
