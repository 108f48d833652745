// Package realserver starts the servers behind the proxy. Each is a process of
// its own on the loopback interface.
package realserver

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

// ErrMissing is returned if SecantusDB is not installed.
var ErrMissing = errors.New("realserver: no secantusd-py: install it apart from everything else with " +
	"python3 -m venv DIR && DIR/bin/pip install SecantusDB==0.7.0b3, and set SECANTUS=DIR/bin/secantusd-py")

// Server is a running server.
type Server struct {
	Name string
	Addr string // host:port
	URI  string

	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
	stop  func() error
}

// Stop ends the server and waits for its end.
func (s *Server) Stop() error { return s.stop() }

// Kill ends SecantusDB with SIGKILL and waits for its end.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// Find returns the path of secantusd-py, from SECANTUS or PATH.
func Find() (string, error) {
	if path := os.Getenv("SECANTUS"); path != "" {
		return path, nil
	}
	path, err := exec.LookPath("secantusd-py")
	if err != nil {
		return "", ErrMissing
	}
	return path, nil
}

// Secantus starts SecantusDB on a folder, which it does not remove. args are
// further arguments such as --standalone.
func Secantus(dir string, args ...string) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return SecantusAt(port, dir, args...)
}

// SecantusAt is Secantus on a given port, for a restart after Kill.
func SecantusAt(port int, dir string, args ...string) (*Server, error) {
	path, err := Find()
	if err != nil {
		return nil, err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	cmd := exec.Command(path, append([]string{"--port", strconv.Itoa(port), "--storage-path", dir, "--log-level", "ERROR"}, args...)...)
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("realserver: %w", err)
	}
	s := &Server{Name: "SecantusDB", Addr: addr, URI: "mongodb://" + addr + "/", cmd: cmd, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // its exit code after a signal has no meaning
		close(s.ended)
	}()
	s.stop = func() error {
		_ = cmd.Process.Signal(os.Interrupt)
		timer := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
		<-s.ended
		return nil
	}
	if err := s.answers(); err != nil {
		s.Kill()
		return nil, fmt.Errorf("realserver: %s did not come up: %w\n%s", path, err, said)
	}
	return s, nil
}

// answers waits until the server accepts connections.
func (s *Server) answers() (err error) {
	for range 300 {
		var conn net.Conn
		if conn, err = net.DialTimeout("tcp", s.Addr, time.Second); err == nil {
			return conn.Close()
		}
		select {
		case <-s.ended:
			return errors.New("it ended at once")
		case <-time.After(100 * time.Millisecond): // a process outside this program does not signal when it listens
		}
	}
	return err
}

// freePort returns a port below the range for outgoing connections, so that it
// is still free when the server restarts.
func freePort() (int, error) {
	for range 100 {
		port := 30000 + rand.N(100)
		if ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, ln.Close()
		}
	}
	return 0, errors.New("realserver: no free port from 30000 to 30099")
}

// tail keeps the end of the output of a server.
type tail struct{ b []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.b = append(t.b, b...)
	t.b = t.b[max(0, len(t.b)-2000):]
	return len(b), nil
}

func (t *tail) String() string { return string(t.b) }

// FerretDB starts the embedded FerretDB of internal/devmongo.
func FerretDB(ctx context.Context) (*Server, error) {
	cmd := exec.CommandContext(ctx, "go", "run", "-C", filepath.Join(internalDir(), "devmongo"), ".", "-engine", "ferretdb")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	stop := func() error {
		err := errors.Join(stdin.Close(), drain(stdout), cmd.Wait())
		close(ended)
		return err
	}
	var said struct{ URI, Engine string }
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &said)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("realserver: devmongo named no server: %w", err), stop())
	}
	u, err := url.Parse(said.URI)
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	return &Server{Name: said.Engine, Addr: u.Host, URI: said.URI, cmd: cmd, ended: ended, stop: stop}, nil
}

func drain(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// internalDir returns the folder of this module and devmongo. The module is
// only ever used in its checkout.
func internalDir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}
