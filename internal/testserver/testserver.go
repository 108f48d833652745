// Package testserver gives the tests of a package one MongoDB-compatible
// server. It runs the command internal/devmongo, which is a nested module. So
// the dependencies of the server are not in the module graph of the library.
package testserver

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Server is the output of devmongo.
type Server struct {
	URI             string `json:"uri"`
	Engine          string `json:"engine"`
	TTL             bool   `json:"ttl"`
	RetryableWrites bool   `json:"retryableWrites"`
}

var shared struct {
	sync.Mutex
	Server
	err   error
	stdin io.Closer
	cmd   *exec.Cmd
}

// Get returns the server of this test binary. The first call starts it. If no
// server starts, the test fails and is never skipped.
func Get(t testing.TB) Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.cmd == nil {
		shared.err = start()
	}
	if shared.err != nil {
		t.Fatalf("no server to test on: %v", shared.err)
	}
	return shared.Server
}

// Need skips a test if the server lacks a feature. The gate fails if a test was
// skipped on every engine.
func (s Server) Need(t testing.TB, what string, has bool) {
	t.Helper()
	if !has {
		t.Skipf("%s needs %s, which %s lacks", t.Name(), what, s.Engine)
	}
}

// Stop ends the server, if one was started. TestMain calls it last.
func Stop() error {
	shared.Lock()
	defer shared.Unlock()
	if shared.stdin == nil {
		return nil
	}
	shared.stdin.Close()
	return shared.cmd.Wait()
}

// Main runs the tests of a package, ends its server and looks for leaked
// goroutines. It returns the exit code.
func Main(m *testing.M) int {
	code := m.Run()
	if err := Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "testserver: the server did not end cleanly:", err)
		code = 1
	}
	if left := leaked(); left != "" && code == 0 {
		fmt.Fprintln(os.Stderr, "testserver: goroutines left behind:\n\n"+left)
		code = 1
	}
	return code
}

// leaked returns the stacks of goroutines that still run some time after the
// tests.
func leaked() string {
	var left []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		left = nil
		buf := make([]byte, 1<<20)
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			ours := strings.Contains(g, "testserver.leaked") || strings.Contains(g, "testing.") || strings.Contains(g, "os/signal.")
			if !ours {
				left = append(left, g)
			}
		}
		if len(left) == 0 {
			return ""
		}
	}
	return strings.Join(left, "\n\n")
}

func start() error {
	shared.cmd = exec.Command("go", "run", "-C", devmongo(), ".", "-engine", os.Getenv("DEVMONGO_ENGINE"))
	shared.cmd.Env = append(os.Environ(), "GOWORK=off")
	shared.cmd.Stderr = os.Stderr
	var err error
	if shared.stdin, err = shared.cmd.StdinPipe(); err != nil {
		return err
	}
	stdout, err := shared.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := shared.cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("devmongo printed no server: %w", err)
	}
	if err := json.Unmarshal(line, &shared.Server); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "testserver: testing on %s\n", shared.Engine)
	return nil
}

// devmongo returns the folder of the module, starting from the folder of the
// test.
func devmongo() string {
	dir, _ := os.Getwd()
	for {
		path := filepath.Join(dir, "internal", "devmongo")
		if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil || dir == filepath.Dir(dir) {
			return path
		}
		dir = filepath.Dir(dir)
	}
}

// Collection returns an empty collection in a new database, by a client with
// the options. At the end of the test it drops the database.
func Collection(t testing.TB, opts ...*options.ClientOptions) *mongo.Collection {
	t.Helper()
	s := Get(t)
	opts = append([]*options.ClientOptions{options.Client().ApplyURI(s.URI)}, opts...)
	client, err := mongo.Connect(opts...)
	if err != nil {
		t.Fatal(err)
	}
	db := client.Database(fmt.Sprintf("t_%s_%x", short(t.Name()), time.Now().UnixNano()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := db.Drop(ctx); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
		_ = client.Disconnect(ctx)
	})
	return db.Collection("http_sessions")
}

// short returns the end of a test name for a database name, which may have at
// most 63 bytes of few kinds.
func short(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, name)
	return name[max(0, len(name)-24):]
}
