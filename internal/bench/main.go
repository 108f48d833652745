// Command bench compares the library with other session libraries and with the
// plain driver, which is the lower bound. It measures all of them in one run
// and prints the tables of docs/explanation/performance.md:
//
//	go run -C internal/bench .
//
// The ratios are the result. Machines are noisy, so all sides of a ratio are
// measured in turn in each round, and the median is printed. If a program for a
// table is missing, the error names it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
)

// config holds the flags.
type config struct {
	short   bool
	n       int // number of rounds; zero means the default of each table
	largest int // largest collection of the table scale
}

// rounds returns the number of rounds.
func (c *config) rounds(n int) int {
	if c.n > 0 {
		return c.n
	}
	return n
}

// timing returns the number of rounds of a table in process and the time of each.
// short is the time with -short.
func (c *config) timing(each, short time.Duration) (int, time.Duration) {
	if c.short {
		return 3, short
	}
	return c.rounds(31), each
}

// must panics if a measured call fails.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// errMissing is returned if a program for a table is not installed.
var errMissing = errors.New("not measured")

type table struct {
	name, title string
	print       func(context.Context, io.Writer, *config) error
}

// The part of a name before the slash selects all its tables.
var tables = []table{
	{"inprocess", "In process: the library's own time", inProcess},
	{"encryption", "In process: with and without WithEncryption", encryption},
	{"mongostore", "mongostore: beside the plain driver", client},
	{"redisstore", "redisstore: beside plain go-redis", redisClient},
	{"redisstore/http", "redisstore: over HTTP", redisHTTP},
	{"http/counts", "Over HTTP: what needs no clock", onSecantus(counts)},
	{"http", "Over HTTP: on SecantusDB", onSecantus(overHTTP)},
	{"http/node", "Over HTTP: reads beside the Node stack as it comes, on SecantusDB", onSecantus(readsAsItComes)},
	{"http/instant", "Over HTTP: on a server that answers at once", onCanned(overHTTP)},
	{"batch", "Loads that share a command: on SecantusDB", onSecantus(batched)},
	{"batch/instant", "Loads that share a command: on a server that answers at once", onCanned(batched)},
	{"scale", "As sessions grow: latency and size", onSecantus(growth)},
	{"scale/inserts", "As sessions grow: the order of IDs", onSecantus(insertion)},
	{"scale/expiry", "As sessions end: what their removal does to the others", onSecantus(expiry)},
}

// printer prints a table of a database.
type printer func(ctx context.Context, out io.Writer, c *config, uri string) error

func onSecantus(print printer) func(context.Context, io.Writer, *config) error {
	return func(ctx context.Context, out io.Writer, c *config) error {
		server, err := openDatabase(ctx, c)
		if err != nil {
			return err
		}
		defer server.stop()
		return print(ctx, out, c, server.uri)
	}
}

func onCanned(print printer) func(context.Context, io.Writer, *config) error {
	return func(ctx context.Context, out io.Writer, c *config) error {
		server, err := startChild(ctx, "canned")
		if err != nil {
			return err
		}
		defer server.stop()
		return print(ctx, out, c, server.said)
	}
}

func main() {
	if role := os.Getenv(childEnv); role != "" {
		fail(serveRole(role))
		return
	}
	var c config
	var names []string
	for _, t := range tables {
		names = append(names, t.name)
	}
	only := flag.String("table", strings.Join(names, ","), "the `tables` to print, separated by commas")
	flag.BoolVar(&c.short, "short", false, "test in two minutes that everything runs; the figures have no meaning")
	flag.IntVar(&c.n, "rounds", 0, "number of measurements of each figure; the median is printed")
	flag.IntVar(&c.largest, "largest", 1_000_000, "the largest collection of table scale; beyond a million the server gets 12 GB of cache, and ten million take an hour")
	flag.Parse()
	var chosen []table
	for _, name := range strings.Split(*only, ",") {
		found := slices.DeleteFunc(slices.Clone(tables), func(t table) bool {
			return t.name != name && !strings.HasPrefix(t.name, name+"/")
		})
		if len(found) == 0 {
			fail(fmt.Errorf("-table %s: want some of %s", name, strings.Join(names, ",")))
		}
		for _, t := range found {
			if !slices.ContainsFunc(chosen, func(c table) bool { return c.name == t.name }) {
				chosen = append(chosen, t)
			}
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fail(run(ctx, os.Stdout, &c, chosen))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run prints the tables. In a short run, a missing server or program is
// reported but is not an error.
func run(ctx context.Context, out io.Writer, c *config, chosen []table) error {
	fmt.Fprintln(out, machine())
	var missing []error
	for _, t := range chosen {
		fmt.Fprintf(out, "\n## %s\n\n", t.title)
		err := t.print(ctx, out, c)
		if errors.Is(err, errMissing) {
			fmt.Fprintf(out, "%v\n", err)
			missing = append(missing, fmt.Errorf("%s: %w", t.name, err))
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	if c.short {
		return nil
	}
	return errors.Join(missing...)
}

// machine describes the machine and the versions.
func machine() string {
	parts := []string{fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		parts = append(parts, "load average "+strings.Join(strings.Fields(string(text))[:3], " "))
	}
	if text, err := exec.Command("node", "--version").Output(); err == nil {
		parts = append(parts, "Node "+strings.TrimSpace(string(text)))
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			switch dep.Path {
			case "go.mongodb.org/mongo-driver/v2", "github.com/redis/go-redis/v9", "github.com/alexedwards/scs/v2", "github.com/gorilla/sessions":
				parts = append(parts, dep.Path+" "+dep.Version)
			}
		}
	}
	return strings.Join(parts, "; ")
}

// serveRole runs a child process in its role.
func serveRole(role string) error {
	if role == "canned" {
		return serveCanned(os.Stdin, os.Stdout)
	}
	return serveApp(role, os.Stdin, os.Stdout)
}
