package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// contender is an app of the HTTP tables, with the place of its sessions.
type contender struct {
	name, role, collection string
	env                    []string
}

var contenders = []contender{
	{"plain driver", "driver", "http_sessions", nil},
	{"this library", "session", "http_sessions", nil},
	{"scs", "scs", "scs_sessions", nil},
	// Activity is written once an hour, which is the default of the library.
	{"express-session", "express", "express_sessions", []string{"BENCH_TOUCH_AFTER=3600"}},
}

// asItComes has the Node stack without touchAfter too, as by default.
var asItComes = []contender{
	contenders[floor], contenders[ours], contenders[node],
	{"express-session without touchAfter", "express", "express_sessions", []string{"BENCH_TOUCH_AFTER=0"}},
}

// Indexes in contenders.
const (
	floor = iota
	ours
	scsApps
	node
)

var (
	//go:embed load.lua
	loadScript []byte
	//go:embed express/package.json
	expressPackage []byte
	//go:embed express/server.js
	expressServer []byte
)

// overlapping is the number of simultaneous writes to one session, each to a
// different key.
const overlapping = 200

// running is an app with visitors.
type running struct {
	contender
	*child
	script, cookies string // files
}

// load is the result of wrk and the CPU time from the kernel.
type load struct {
	rate     float64 // requests per second
	p50, p99 float64 // microseconds
	cpu      float64 // CPU time of the app, in milliseconds per request
}

// available returns the contenders that can run here. It prints the others.
func available(ctx context.Context, out io.Writer, list []contender) []contender {
	err := installExpress(ctx)
	if err == nil {
		return list
	}
	fmt.Fprintf(out, "Without express-session, which needs node and npm: %v\n\n", err)
	return slices.DeleteFunc(slices.Clone(list), func(c contender) bool { return c.role == "express" })
}

// startApp starts a contender on a database.
func startApp(ctx context.Context, c contender, env ...string) (*child, error) {
	env = append(env, c.env...)
	if c.role != "express" {
		return startChild(ctx, c.role, env...)
	}
	cmd := exec.Command("node", "server.js")
	cmd.Dir = expressDir()
	cmd.Env = append(os.Environ(), append(env, "NODE_ENV=production", "BENCH_SECRET="+secret, "BENCH_CART="+string(cartJSON))...)
	return start(ctx, cmd)
}

func expressDir() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	return filepath.Join(cache, "holdfast-bench-express")
}

// installExpress installs the Node app and its packages in the cache folder of
// the user. They remain there.
func installExpress(ctx context.Context) error {
	if _, err := exec.LookPath("node"); err != nil {
		return err
	}
	dir := expressDir()
	list := filepath.Join(dir, "package.json")
	old, _ := os.ReadFile(list)
	_, err := os.Stat(filepath.Join(dir, "node_modules", "connect-redis"))
	installed := err == nil && bytes.Equal(old, expressPackage)
	err = errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "server.js"), expressServer, 0o644), os.WriteFile(list, expressPackage, 0o644))
	if err != nil || installed {
		return err
	}
	npm := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--loglevel=error")
	npm.Dir = dir
	if text, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("npm install: %w\n%s", err, text)
	}
	return nil
}

// overHTTP measures all contenders on one server, in turn.
func overHTTP(ctx context.Context, out io.Writer, c *config, uri string) error {
	return compete(ctx, out, c, uri, contenders, []int{1, 16, 64, 256}, "read", "write")
}

func readsAsItComes(ctx context.Context, out io.Writer, c *config, uri string) error {
	return compete(ctx, out, c, uri, asItComes, []int{1, 16}, "read")
}

// compete compares the CPU time with the CPU time of the first contender, and
// of the fourth, the Node app, if there is one.
func compete(ctx context.Context, out io.Writer, c *config, uri string, list []contender, connections []int, paths ...string) error {
	if _, err := exec.LookPath("wrk"); err != nil {
		return fmt.Errorf("%w: needs wrk: apt-get install wrk", errMissing)
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	script := filepath.Join(dir, "load.lua")
	if err := os.WriteFile(script, loadScript, 0o644); err != nil {
		return err
	}
	var all []*running
	for i, con := range available(ctx, out, list) {
		ch, err := startApp(ctx, con, envURI+"="+uri, fmt.Sprint(envDatabase, "=", con.role, i))
		if err != nil {
			return err
		}
		defer ch.stop()
		r := &running{con, ch, script, filepath.Join(dir, fmt.Sprint("cookies", i))}
		if err := r.visitors(64); err != nil {
			return err
		}
		all = append(all, r)
	}
	each := 2 * time.Second
	if c.short {
		each, connections = time.Second, []int{16}
	}
	head := []string{"connections", "request", "app", "requests/s", "p50", "p99", "app CPU per 1,000 requests", "of " + all[floor].name + "'s"}
	if node < len(all) {
		head = append(head, "of "+all[node].name+"'s")
	}
	t := newTable(out, head...)
	for _, conns := range connections {
		n := c.rounds(5)
		if conns <= 16 {
			n = c.rounds(11) // rows whose ratios have a goal
		}
		if c.short {
			n = 1
		}
		for _, path := range paths {
			loads, err := loadAll(ctx, all, path, conns, n, each)
			if err != nil {
				return err
			}
			for i, r := range all {
				m := func(of func(load) float64) float64 { return median(column(loads[i], of)) }
				cells := []string{
					fmt.Sprint(conns), path, r.name,
					fmt.Sprintf("%.0f", m(func(l load) float64 { return l.rate })),
					millis(m(func(l load) float64 { return l.p50 })),
					millis(m(func(l load) float64 { return l.p99 })),
					fmt.Sprintf("%.0f ms", 1000*m(func(l load) float64 { return l.cpu })),
					cpuRatio(loads[i], loads[floor]),
				}
				if node < len(all) {
					cells = append(cells, cpuRatio(loads[i], loads[node]))
				}
				t.row(cells...)
			}
		}
	}
	return t.end()
}

// loadAll returns the loads of each app by round. It omits the first round,
// which warms up.
func loadAll(ctx context.Context, all []*running, path string, conns, n int, d time.Duration) ([][]load, error) {
	loads := make([][]load, len(all))
	for round := range n + 1 {
		for i, r := range all {
			l, err := r.load(ctx, path, conns, d)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
			if round > 0 {
				loads[i] = append(loads[i], l)
			}
		}
	}
	return loads, nil
}

// cpuRatio returns the median of the ratios by round.
func cpuRatio(a, b []load) string {
	ratios := make([]float64, len(a))
	for i := range ratios {
		ratios[i] = a[i].cpu / b[i].cpu
	}
	return fmt.Sprintf("%.2f", median(ratios))
}

func column[T any](list []T, of func(T) float64) []float64 {
	values := make([]float64, len(list))
	for i, x := range list {
		values[i] = of(x)
	}
	return values
}

func millis(us float64) string { return fmt.Sprintf("%.2f ms", us/1000) }

// get requests a page and returns it with the cookie of the response.
func (r *child) get(path, cookie string) (body, set string, err error) {
	req, err := http.NewRequest(http.MethodGet, r.said+path, nil)
	if err != nil {
		return "", "", err
	}
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return "", "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", "", fmt.Errorf("%s: %s: %s", path, res.Status, text)
	}
	set, _, _ = strings.Cut(res.Header.Get("Set-Cookie"), ";")
	return string(text), set, nil
}

// visitors signs in several visitors and keeps their cookies.
func (r *running) visitors(n int) error {
	var lines strings.Builder
	for range n {
		_, cookie, err := r.get("/login", "")
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if cookie == "" {
			return fmt.Errorf("%s: no cookie", r.name)
		}
		fmt.Fprintln(&lines, cookie)
	}
	return os.WriteFile(r.cookies, []byte(lines.String()), 0o600)
}

// load runs wrk on a page. If a slow server answers no request in that time, it
// runs longer.
func (r *running) load(ctx context.Context, path string, conns int, d time.Duration) (load, error) {
	for try := 0; ; try++ {
		l, err := r.loadOnce(ctx, path, conns, d<<try)
		// Unanswered requests of wrk must not slow down the next app.
		time.Sleep(300 * time.Millisecond)
		if l.rate > 0 || err != nil || try == 4 {
			return l, err
		}
	}
}

func (r *running) loadOnce(ctx context.Context, path string, conns int, d time.Duration) (load, error) {
	wrk := exec.CommandContext(ctx, "wrk", "-t1", fmt.Sprint("-c", conns), fmt.Sprintf("-d%.0fs", d.Seconds()), "--timeout", "60s", "-s", r.script, r.said+"/"+path)
	wrk.Env = append(os.Environ(), "BENCH_COOKIES="+r.cookies)
	before, err1 := cpuOfProcess(r.cmd.Process.Pid)
	text, err2 := wrk.CombinedOutput()
	after, err3 := cpuOfProcess(r.cmd.Process.Pid)
	var requests, duration, p50, p99, failed float64
	_, result, _ := strings.Cut(string(text), "RESULT ")
	_, err4 := fmt.Sscan(result, &requests, &duration, &p50, &p99, &failed)
	switch err := errors.Join(err1, err2, err3, err4); {
	case err != nil:
		return load{}, fmt.Errorf("wrk: %w\n%s", err, text)
	case failed > 0:
		return load{}, fmt.Errorf("%.0f of %.0f requests failed:\n%s", failed, requests, text)
	case requests == 0:
		return load{}, nil
	}
	return load{requests / duration * 1e6, p50, p99, float64(after-before) / requests / float64(time.Millisecond)}, nil
}

// cpuOfProcess returns the CPU time of a process, from its user and system
// ticks of a hundredth of a second.
func cpuOfProcess(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// counts measures values without a clock: the commands per request, the bytes
// per session and the number of surviving overlapping writes.
func counts(ctx context.Context, out io.Writer, _ *config, uri string) error {
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return err
	}
	defer client.Disconnect(context.WithoutCancel(ctx))
	list := available(ctx, out, contenders)
	t := newTable(out, "app", "commands per read", "commands per write", fmt.Sprintf("bytes stored for a cart of %d", len(cartJSON)), fmt.Sprintf("of %d overlapping writes survive", overlapping))
	for _, con := range list[ours:] {
		ch, err := startApp(ctx, con, envURI+"="+uri, envDatabase+"=counts", envCount+"=1")
		if err != nil {
			return err
		}
		defer ch.stop()
		if _, _, err := ch.get("/cart", ""); err != nil {
			return err
		}
		raw, err := client.Database("counts").Collection(con.collection).FindOne(ctx, bson.D{}).Raw()
		if err != nil {
			return err
		}
		_, cookie, err := ch.get("/login", "")
		if err != nil {
			return err
		}
		reads, err := ch.commands("/read", cookie)
		if err != nil {
			return err
		}
		writes, err := ch.commands("/write", cookie)
		if err != nil {
			return err
		}
		least, most := math.MaxInt, 0
		for range 5 {
			n, err := ch.overlap()
			if err != nil {
				return err
			}
			least, most = min(least, n), max(most, n)
		}
		kept := fmt.Sprint(least)
		if most > least {
			kept += fmt.Sprintf(" to %d", most)
		}
		t.row(con.name, fmt.Sprintf("%.2f", reads), fmt.Sprintf("%.2f", writes), fmt.Sprint(len(raw)), kept)
	}
	return t.end()
}

// commands returns the number of commands per request.
func (r *child) commands(path, cookie string) (float64, error) {
	const n = 20
	total := func() float64 {
		text, _, err := r.get("/commands", "")
		count, perr := strconv.ParseFloat(text, 64)
		if err != nil || perr != nil {
			return math.NaN()
		}
		return count
	}
	before := total()
	for range n {
		if _, _, err := r.get(path, cookie); err != nil {
			return 0, err
		}
	}
	return (total() - before) / n, nil
}

// overlap sends many simultaneous writes to one session and counts the stored
// ones.
func (r *child) overlap() (int, error) {
	_, cookie, err := r.get("/login", "")
	if err != nil {
		return 0, err
	}
	var wg sync.WaitGroup
	errs := make([]error, overlapping)
	for i := range overlapping {
		wg.Go(func() { _, _, errs[i] = r.get(fmt.Sprint("/set?key=key", i), cookie) })
	}
	wg.Wait()
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return 0, errs[i]
	}
	text, _, err := r.get("/keys", cookie)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}
