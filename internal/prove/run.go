package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session/internal/faultmongo/realserver"
)

// run contains the common state of one invocation.
type run struct {
	short bool
	seed  uint64
	dir   string
	chaos *chaosTrace // the run of figure 3, also used by figure 9
}

func newRun(short bool, seed uint64) (*run, error) {
	dir, err := os.MkdirTemp("", "prove-*")
	return &run{short: short, seed: seed, dir: dir}, err
}

func (r *run) close() { _ = os.RemoveAll(r.dir) }

// size returns the size of the full figure, or of the short one.
func (r *run) size(full, short int) int {
	if r.short {
		return short
	}
	return full
}

// say prints a measured figure.
func (r *run) say(format string, args ...any) {
	fmt.Printf("  "+format+"\n", args...)
}

// folder creates a folder for a server's data or an app's logs.
func (r *run) folder(name string) (string, error) {
	return os.MkdirTemp(r.dir, name+"-*")
}

// server starts SecantusDB with a new folder.
func (r *run) server(args ...string) (*realserver.Server, error) {
	dir, err := r.folder("data")
	if err != nil {
		return nil, err
	}
	return realserver.Secantus(filepath.Join(dir, "wt"), args...)
}

// connect returns a separate client for inspecting the database.
func connect(uri string) (*mongo.Client, func(), error) {
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return nil, nil, err
	}
	return client, func() { disconnect(client) }, nil
}

func disconnect(client *mongo.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = client.Disconnect(ctx)
}

func newSecret() string { return rand.Text() + rand.Text() }

// failures collects the first failures and counts the others.
type failures struct {
	list []string
	more int
}

func (f *failures) add(format string, args ...any) {
	if len(f.list) == 20 {
		f.more++
		return
	}
	f.list = append(f.list, fmt.Sprintf(format, args...))
}

func (f *failures) err() error {
	if len(f.list) == 0 {
		return nil
	}
	text := strings.Join(f.list, "\n    ")
	if f.more > 0 {
		text += fmt.Sprintf("\n    and %d more", f.more)
	}
	return errors.New(text)
}

// zero adds a failure unless got is zero.
func (f *failures) zero(what string, got int) {
	if got != 0 {
		f.add("%d %s, want 0", got, what)
	}
}

// serverAt is like server, but uses a given folder. It also returns a function
// to stop the server.
func (r *run) serverAt(dir string, args ...string) (*realserver.Server, func(), error) {
	s, err := realserver.Secantus(dir, args...)
	if err != nil {
		return nil, nil, err
	}
	return s, func() { _ = s.Stop() }, nil
}
