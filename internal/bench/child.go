package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// childEnv is the environment variable that makes this program one of the
// measured processes.
const childEnv = "BENCH_CHILD"

// child is a process that ends when its standard input is closed.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	said  string // its first line of output
}

// startChild starts this program in another role.
func startChild(ctx context.Context, role string, env ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(append(os.Environ(), childEnv+"="+role), env...)
	return start(ctx, cmd)
}

// start waits for the first line of output.
func start(ctx context.Context, cmd *exec.Cmd) (*child, error) {
	c := &child{cmd: cmd}
	cmd.Stderr = os.Stderr
	var err error
	if c.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line := make(chan string, 1)
	go func() {
		r := bufio.NewReader(stdout)
		text, _ := r.ReadString('\n')
		line <- strings.TrimSpace(text)
		_, _ = io.Copy(io.Discard, r)
	}()
	select {
	case c.said = <-line:
	case <-time.After(30 * time.Second):
	case <-ctx.Done():
	}
	if c.said == "" {
		c.stop()
		return nil, fmt.Errorf("%s did not start", cmd)
	}
	return c, nil
}

// stop ends the process. It kills the process if necessary.
func (c *child) stop() {
	c.stdin.Close()
	kill := time.AfterFunc(10*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	_ = c.cmd.Wait()
}
