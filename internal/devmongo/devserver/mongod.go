package devserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	mongodStart = 60 * time.Second // a first start on a slow disk
	mongodStop  = 5 * time.Second
)

// startMongod runs the mongod in MONGOD, or the one in PATH, as a standalone server.
func startMongod(ctx context.Context, _ *config) (*instance, error) {
	name := os.Getenv("MONGOD")
	given := name != ""
	if !given {
		name = "mongod"
	}
	path, err := exec.LookPath(name)
	switch {
	case err != nil && given:
		return nil, fmt.Errorf("MONGOD: %w: give the path of a mongod, or unset MONGOD", err)
	case err != nil:
		return nil, skip("MONGOD is not set and PATH has no mongod")
	}
	inst, err := runMongod(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("mongod: %w", err)
	}
	return inst, nil
}

func runMongod(ctx context.Context, path string) (*instance, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "devmongo-*")
	if err != nil {
		return nil, err
	}
	p, err := startProcess(path, "--port", strconv.Itoa(port), "--bind_ip", "127.0.0.1", "--dbpath", dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	stop := func() error {
		p.end()
		return os.RemoveAll(dir)
	}
	uri := fmt.Sprintf("mongodb://127.0.0.1:%d/", port)
	if err := p.answers(ctx, uri); err != nil {
		return nil, errors.Join(err, stop())
	}
	return &instance{uri: uri, stop: stop}, nil
}

// freePort returns a free port of the system. mongod cannot choose a port itself and report it.
func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return ln.Addr().(*net.TCPAddr).Port, ln.Close()
}

// process is a running mongod.
type process struct {
	cmd    *exec.Cmd
	output tail
	ended  chan struct{}
}

func startProcess(path string, args ...string) (*process, error) {
	if runtime.GOOS != "windows" {
		args = append(args, "--nounixsocket") // the socket would remain in /tmp
	}
	p := &process{cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.SysProcAttr = ownGroup()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.ended)
		p.cmd.Wait()
	}()
	return p, nil
}

// answers waits until the server at uri responds or its process has ended.
func (p *process) answers(ctx context.Context, uri string) error {
	ctx, cancel := context.WithTimeout(ctx, mongodStart)
	defer cancel()
	go func() {
		select {
		case <-p.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := ping(ctx, options.Client().ApplyURI(uri).SetServerSelectionTimeout(mongodStart))
	select {
	case <-p.ended:
		return fmt.Errorf("%s ended (%s) before it answered: %s", p.cmd.Path, p.cmd.ProcessState, p.output.String())
	default:
	}
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", p.cmd.Path, err)
	}
	return nil
}

// end interrupts the process. If it does not stop in time, end kills it.
func (p *process) end() {
	if p.cmd.Process.Signal(os.Interrupt) != nil { // Windows has no interrupt
		p.cmd.Process.Kill()
	}
	select {
	case <-p.ended:
	case <-time.After(mongodStop):
		p.cmd.Process.Kill()
		<-p.ended
	}
}

// tail keeps the end of the output.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailLen = 2000

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	t.buf = bytes.Clone(t.buf[max(0, len(t.buf)-tailLen):])
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}
