// Command demo shows the promises of sessions in MongoDB. It starts a database, two replicas of a small web app and a
// load balancer, and prints the address to open. Each replica and the database is a process of its own.
//
//	go run -C examples/demo .           a page to play with; Ctrl-C ends it
//	go run -C examples/demo . -check    tests each promise and prints a line for it; exits with 1 if one is broken
//
// The first build takes a minute or two, during which go run prints nothing. The demo needs only Go. It uses the server
// that MONGO_URI names, a mongod, a container or the embedded FerretDB, in this order.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("demo: ")
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

// run runs this process in its role. The replicas and the database run this program too, see startProcess.
func run() error {
	switch os.Getenv(roleVar) {
	case roleDatabase:
		// The database must outlive the replicas: the demo drops its own database there at the end.
		return runDatabase(withParent(syscall.SIGTERM))
	case roleReplica:
		return runReplica(withParent())
	}
	addr := flag.String("addr", "", "serve at this `host:port`, by default localhost:8080 or the next free port;\n"+
		"anyone who can reach the address can kill the replicas")
	check := flag.Bool("check", false, "test each promise, print a line for it and exit with 1 if one is broken")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; -h lists the flags", flag.Arg(0))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if *check && *addr == "" {
		*addr = "127.0.0.1:0"
	}
	return serve(whileParentLives(ctx), *addr, *check)
}

var errInterrupted = errors.New("interrupted")

// serve runs the demo until ctx is done. With check, it runs until the check has ended.
func serve(ctx context.Context, addr string, check bool) (err error) {
	lns, url, err := listen(addr)
	if err != nil {
		return err
	}
	fmt.Println("Starting a database and two replicas.")
	s, err := startSupervisor(ctx, url, check)
	if err != nil {
		closeAll(lns)
		if ctx.Err() != nil {
			return errInterrupted
		}
		return err
	}
	stopFront := serveFront(lns, newFront(s))
	// Deferred calls run last to first: the replicas end first, and the front says that they are down.
	defer stopFront()
	defer s.stop()
	if check {
		return runCheck(ctx, url, s)
	}
	fmt.Printf("\n  Two replicas and a balancer, on %s.\n  Open %s\n\n  Ctrl-C stops everything.\n\n", s.server.Engine, url)
	<-ctx.Done()
	return nil
}

// whileParentLives returns a context that also ends when the parent process dies. A killed go run does not notify this
// program.
func whileParentLives(ctx context.Context) context.Context {
	parent := os.Getppid()
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for os.Getppid() == parent {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
		cancel()
	}()
	return ctx
}
