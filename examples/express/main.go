// Command express shows a move from Express to Go. It starts a database, an Express app in Node.js and a Go app behind
// one address, and prints this address. Both apps know the same visitor. A button retires Express, and nobody has to
// sign in again.
//
//	go run -C examples/express .
//
// It needs Go, and Node.js for the Express app. It uses the server that MONGO_URI names, a mongod, a container or the
// embedded FerretDB, in this order.
package main

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/holdfast-go/session/internal/devmongo/devserver"
)

//go:embed static
var static embed.FS

func main() {
	log.SetFlags(0)
	log.SetPrefix("express: ")
	addr := flag.String("addr", "localhost:8080", "serve at this `host:port`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, *addr); err != nil {
		log.Fatal(err)
	}
}

// run serves the demo until ctx is done.
func run(ctx context.Context, addr string) (err error) {
	dir, err := findNode(ctx)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w; -addr sets another address", err)
	}
	defer ln.Close()
	fmt.Println("Starting a database, the Express app and the Go app.")
	db, err := devserver.Start(ctx, devserver.WithLog(func(string, ...any) {}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	d, err := newDemo(ctx, db, dir)
	if err != nil {
		return err
	}
	defer d.close()

	srv := &http.Server{Handler: d.handler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)}
	context.AfterFunc(ctx, func() { srv.Close() })
	host, _, _ := net.SplitHostPort(addr) // as the person has given it
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	fmt.Printf("\n  Express and Go, on %s.\n  Open http://%s\n\n  Ctrl-C stops everything.\n\n", db.Engine, net.JoinHostPort(cmp.Or(host, "localhost"), port))
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// handler serves the page, its controls and both apps.
func (d *demo) handler() http.Handler {
	files, err := fs.Sub(static, "static")
	if err != nil {
		panic(err) // embedded
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServerFS(files))
	mux.HandleFunc("GET /demo/phase", d.servePhase)
	mux.HandleFunc("POST /demo/retire", d.control(d.retire))
	mux.HandleFunc("POST /demo/return", d.control(d.bringBack))
	mux.HandleFunc("/express/", d.serveExpress)
	mux.HandleFunc("/go/", d.serveGo)
	return http.NewCrossOriginProtection().Handler(mux)
}
