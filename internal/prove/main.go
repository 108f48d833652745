// Command prove measures the figures of docs/explanation/reliability.md again.
//
//	go run -C internal/prove . -list       lists them
//	go run -C internal/prove . 3           measures figure 3 in full
//	go run -C internal/prove . -short 3    in the smaller size used by the gate
//	go run -C internal/prove . -short all  all of them
//
// It prints the measurements. The exit status is 1 if a figure does not hold,
// and 2 if it could not be measured. Most figures need SecantusDB in a separate
// process. The environment variable SECANTUS contains the path of secantusd-py.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/holdfast-go/session/internal/faultmongo/realserver"
)

// figure is one measurement.
type figure struct {
	name, title string
	prove       func(context.Context, *run) error
}

var figures = []figure{
	{"1", "sign-out against save, touch and renew, over two processes: 0 restored sessions", proveRaces},
	{"2", "concurrent writes of different keys: 0 lost; concurrent Updates of one counter: exact", proveWrites},
	{"3", "elections and other faults: no acknowledged change lost or undone, no cookie wrongly deleted", proveChaos},
	{"4", "hostile cookies: 0 panics, 0 5xx, 0 store calls", proveHostile},
	{"5", "anonymous requests: 0 documents, 0 Set-Cookie", proveAnonymous},
	{"6", "a read-only request: one read, no write inside the touch interval", proveReadOnly},
	{"7", "an expired session accepted: 0, with the TTL monitor off", proveExpired},
	{"8", "rotation of secrets and rolling deploys: 0 forced sign-outs", proveRotation},
	{"9", "dump and logs: 0 usable tokens", proveDump},
	{"10", "-race, goroutine leaks, HTTP/1.1 and HTTP/2, standalone and replica set: green", proveSuites},
	{"kill", "kill -9 of the app and of the server: records old or new and never mixed, no acknowledged write lost", proveKill},
	{"storm", "a server that returns transient errors: under 40 commands a request, CPU under 20 %", proveStorm},
	{"overload", "more requests than connections on a slow server: bounded, responses in time, recovered in 5 s", proveOverload},
	{"shutdown", "Shutdown and Close under load: every acknowledged change stored, no goroutine left", proveShutdown},
	{"servers", "sweeps by five replicas, indexes by twenty instances, SCRAM and TLS", proveServers},
}

func main() {
	if config := os.Getenv(appEnv); config != "" {
		os.Exit(appMain(config))
	}
	list := flag.Bool("list", false, "list the figures")
	short := flag.Bool("short", false, "measure in the smaller size used by the gate")
	seed := flag.Uint64("seed", 7, "seed of the random choices")
	flag.Parse()
	if *list {
		for _, f := range figures {
			fmt.Printf("%-9s %s\n", f.name, f.title)
		}
		return
	}
	chosen, err := choose(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "prove:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	signal.Ignore(syscall.SIGPIPE) // servers must be stopped even if nobody reads the output any more
	os.Exit(proveAll(ctx, chosen, *short, *seed))
}

func choose(names []string) ([]figure, error) {
	if len(names) == 1 && names[0] == "all" {
		return figures, nil
	}
	var chosen []figure
	for _, name := range names {
		i := slices.IndexFunc(figures, func(f figure) bool { return f.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no figure %q; -list lists them", name)
		}
		chosen = append(chosen, figures[i])
	}
	if len(chosen) == 0 {
		return nil, errors.New("name a figure, or all; -list lists them")
	}
	return chosen, nil
}

// proveAll continues after a figure that does not hold, so one run reports all
// of them.
func proveAll(ctx context.Context, chosen []figure, short bool, seed uint64) (code int) {
	r, err := newRun(short, seed)
	if err != nil {
		fmt.Fprintln(os.Stderr, "prove:", err)
		return 2
	}
	defer r.close()
	for _, f := range chosen {
		fmt.Printf("figure %s: %s\n", f.name, f.title)
		began := time.Now()
		err := f.prove(ctx, r)
		if ctx.Err() != nil {
			fmt.Println("  interrupted")
			return 2
		}
		took := time.Since(began).Round(100 * time.Millisecond)
		switch {
		case err == nil:
			fmt.Printf("  holds (%v)\n", took)
		case errors.Is(err, realserver.ErrMissing):
			fmt.Printf("  NOT MEASURED: %v\n", err)
			code = 2
		default:
			fmt.Printf("  DOES NOT HOLD (%v): %v\n", took, err)
			code = max(code, 1)
		}
	}
	return code
}
