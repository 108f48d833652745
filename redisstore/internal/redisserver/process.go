// Package redisserver runs Redis servers for tests: a single server, a primary and
// a replica under Sentinel, a cluster of six, and miniredis. Each real server has a
// folder of its own and a free port. It ends with the test, and also if the test
// binary dies.
package redisserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Program returns the path of redis-server, or the empty string if there is none.
// REDIS_SERVER names another one, for example valkey-server.
func Program() string {
	name := os.Getenv("REDIS_SERVER")
	if name == "" {
		name = "redis-server"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return path
}

// Announce prints the servers of the tests.
func Announce() {
	if program := Program(); program != "" {
		out, _ := exec.Command(program, "--version").Output()
		version, _, _ := strings.Cut(string(out), " sha=")
		fmt.Fprintf(os.Stderr, "testserver: testing on %s (%s) and miniredis\n", version, program)
		return
	}
	fmt.Fprintln(os.Stderr, "testserver: testing on miniredis only, because redis-server is not installed")
}

// Need skips a test if redis-server is not installed.
func Need(t testing.TB) {
	t.Helper()
	if Program() == "" {
		t.Skip("redis-server is not installed")
	}
}

// Server is a process of redis-server.
type Server struct {
	// Addr is the address, host and port.
	Addr string

	t    testing.TB
	dir  string
	args []string
	cmd  *exec.Cmd
	pid  int
	in   io.Closer // the guard ends the process when it closes
}

// Start starts a server with the arguments and waits until it replies.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir(), args: args}
	s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort()))
	t.Cleanup(s.Kill)
	s.Restart()
	return s
}

// URL returns the URL of the server.
func (s *Server) URL() string { return "redis://" + s.Addr }

// Port returns the port of the server.
func (s *Server) Port() string {
	_, port, _ := net.SplitHostPort(s.Addr)
	return port
}

// Restart starts a server that has been killed, with the same port and folder.
func (s *Server) Restart() {
	s.t.Helper()
	s.launch()
	s.Await(func(ctx context.Context, c *redis.Client) bool {
		code, ok := Code(c.Ping(ctx).Err())
		return ok && code != "LOADING"
	})
}

// launch starts the process under a shell, the guard, which ends it when its
// standard input closes.
func (s *Server) launch() {
	s.t.Helper()
	const guard = `"$@" >>server.log 2>&1 & echo $!; read -r _; kill -9 $!; wait`
	args := []string{"-c", guard, "sh", Program()}
	if len(s.args) == 0 || !strings.HasSuffix(s.args[0], ".conf") {
		args = append(args, "--save", "", "--bind", "127.0.0.1")
	}
	args = append(append(args, s.args...), "--port", s.Port(), "--dir", s.dir)
	s.cmd = exec.Command("sh", args...)
	s.cmd.Dir = s.dir
	in, err := s.cmd.StdinPipe()
	s.require(err)
	out, err := s.cmd.StdoutPipe()
	s.require(err)
	s.require(s.cmd.Start())
	s.in = in
	line, err := bufio.NewReader(out).ReadString('\n')
	s.require(err)
	s.pid, err = strconv.Atoi(strings.TrimSpace(line))
	s.require(err)
}

// Await waits until a condition holds.
func (s *Server) Await(holds func(context.Context, *redis.Client) bool) {
	s.t.Helper()
	c := s.Client()
	defer c.Close()
	defer func() {
		if s.t.Failed() {
			log, _ := os.ReadFile(filepath.Join(s.dir, "server.log"))
			s.t.Logf("%s", log)
		}
	}()
	Await(s.t, "the server at "+s.Addr, func(ctx context.Context) bool { return holds(ctx, c) })
}

// Await waits until a condition holds, at most 30 seconds.
func Await(t testing.TB, what string, holds func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("redisserver: %s is not ready in time", what)
		case <-tick.C:
		}
	}
}

// Client returns a client of this server, for the test itself.
func (s *Server) Client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.Addr, DialerRetries: 1, MaxRetries: -1})
}

// Do sends a command and fails the test if it fails.
func (s *Server) Do(args ...any) any {
	s.t.Helper()
	c := s.Client()
	defer c.Close()
	reply, err := c.Do(context.Background(), args...).Result()
	s.require(err)
	return reply
}

// IsPrimary reports whether the server is a primary at this moment. It returns false
// if the server does not reply.
func (s *Server) IsPrimary() bool {
	c := s.Client()
	defer c.Close()
	return strings.Contains(c.Info(context.Background(), "replication").Val(), "role:master")
}

// Running reports whether the server has not been killed.
func (s *Server) Running() bool { return s.cmd != nil }

// Kill ends the process with SIGKILL and waits for its end.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = syscall.Kill(s.pid, syscall.SIGKILL)
	_ = s.in.Close()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Pause stops the process until Resume.
func (s *Server) Pause() { s.require(syscall.Kill(s.pid, syscall.SIGSTOP)) }

// Resume continues the process.
func (s *Server) Resume() { s.require(syscall.Kill(s.pid, syscall.SIGCONT)) }

func (s *Server) require(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("redisserver: %v", err)
	}
}

// Code returns the first word of an error reply. It is empty for a reply without an
// error, and ok is false if there was no reply.
func Code(err error) (code string, ok bool) {
	var reply redis.Error
	if err != nil && !errors.As(err, &reply) {
		return "", false
	}
	if err != nil {
		code, _, _ = strings.Cut(reply.Error(), " ")
	}
	return code, true
}

// freePort returns a port that is free, and whose cluster bus port is free too.
func freePort() int {
	for {
		a, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(fmt.Sprintf("redisserver: no free port: %v", err))
		}
		port := a.Addr().(*net.TCPAddr).Port
		a.Close()
		if port+10_000 > 65_535 {
			continue
		}
		bus, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+10_000)))
		if err != nil {
			continue
		}
		bus.Close()
		return port
	}
}
