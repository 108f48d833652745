package devserver

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/FerretDB/FerretDB/ferretdb"
)

const ferretModule = "github.com/FerretDB/FerretDB"

// startFerretDB runs FerretDB in this process behind the proxy. Its data is in a temporary folder.
func startFerretDB(_ context.Context, c *config) (*instance, error) {
	addr := c.listen
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("ferretdb: %w", err)
	}
	backend, stop, err := embedFerretDB()
	if err != nil {
		ln.Close()
		return nil, fmt.Errorf("ferretdb: %w", err)
	}
	p := newProxy(ln, backend, c.log)
	return &instance{
		uri:  "mongodb://" + ln.Addr().String() + "/",
		name: "FerretDB " + ferretVersion() + "(embedded, SQLite)",
		stop: func() error {
			p.close() // first, because FerretDB waits some seconds for connected clients
			return stop()
		},
	}, nil
}

// embedFerretDB starts FerretDB without the proxy. It returns the address and a function to end it.
func embedFerretDB() (addr string, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "devmongo-*")
	if err != nil {
		return "", nil, err
	}
	// A crash of the machine may lose the data, which is removed at the end anyway. The embedded FerretDB sends no
	// telemetry. Without a state folder it writes no file outside dir.
	db, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: "127.0.0.1:0"},
		Logger:    slog.New(slog.DiscardHandler),
		Handler:   "sqlite",
		SQLiteURL: "file:" + filepath.ToSlash(dir) + "/?_pragma=synchronous(off)",
	})
	if err != nil {
		os.RemoveAll(dir)
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- db.Run(ctx) }()
	stop = func() error {
		cancel()
		<-ended
		return os.RemoveAll(dir)
	}
	u, err := url.Parse(db.MongoDBURI())
	if err != nil {
		return "", nil, fmt.Errorf("%w, %v", err, stop())
	}
	return u.Host, stop, nil
}

// ferretVersion returns the version from the build information of this program. An embedded FerretDB does not know its
// version.
func ferretVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == ferretModule {
				return strings.TrimSpace(m.Version) + " "
			}
		}
	}
	return ""
}
