// Command devmongo starts a MongoDB-compatible server for development and tests. It prints one line of JSON,
//
//	{"uri":"mongodb://127.0.0.1:40123/","engine":"FerretDB v1.24.2 (embedded, SQLite)","ttl":false,"retryableWrites":false}
//
// and serves until its standard input is closed or it is interrupted. Then it removes its server and data.
//
//	go run -C internal/devmongo .
//
// A test starts it with a pipe as its standard input. However the process of the test ends, the pipe closes and the
// server ends too. In a terminal, press Ctrl-C or Ctrl-D. Package devserver documents the choice of the server.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/holdfast-go/session/internal/devmongo/devserver"
)

func main() {
	engine := flag.String("engine", "", "use only this engine: uri, mongod, container or ferretdb")
	listen := flag.String("listen", "", "serve embedded FerretDB, which asks for no password, at this `host:port`;\n"+
		"runs until it is interrupted, whatever its standard input does")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "devmongo: unexpected argument %q\n", flag.Arg(0))
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if *listen == "" {
		// The input is watched from the start, because the parent may die while a container image is pulled. With
		// -listen the command is a service, whose standard input is closed from the beginning.
		ctx = untilClosed(ctx, os.Stdin)
	}
	if err := run(ctx, os.Stdout, *engine, *listen); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until ctx is done.
func run(ctx context.Context, out io.Writer, engine, listen string) error {
	s, err := devserver.Start(ctx,
		devserver.WithEngine(engine),
		devserver.WithListen(listen),
		devserver.WithLog(func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }))
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("devmongo: interrupted, or standard input closed, before a server was ready: "+
			"keep the input open for as long as the server is needed: %w", err)
	case err != nil:
		return err
	}
	line := json.NewEncoder(out)
	line.SetEscapeHTML(false) // keeps & in a URI, for readers without a JSON decoder
	if err := line.Encode(s); err != nil {
		s.Close()
		return fmt.Errorf("devmongo: cannot print the URI: %w", err)
	}
	<-ctx.Done()
	return s.Close()
}

// untilClosed returns a context that ends with ctx or at the end of r.
func untilClosed(ctx context.Context, r io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		io.Copy(io.Discard, r)
	}()
	return ctx
}
