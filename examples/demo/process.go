package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// roleVar is the environment variable for the role of a process. The first process, started by a person, has no role.
const (
	roleVar      = "DEMO_ROLE"
	roleDatabase = "database"
	roleReplica  = "replica"
)

const stopTimeout = 5 * time.Second

// process is a child process. Nothing is ever written to its standard input. When the input ends, because this process
// closed it or was killed, the child ends too.
type process struct {
	cmd   *exec.Cmd
	leash io.Closer
	ended chan struct{}
}

// startProcess runs this program in a role. It returns when the child is ready and has printed hello, one line of JSON.
func startProcess(ctx context.Context, role string, hello any, env ...string) (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(append(os.Environ(), env...), roleVar+"="+role)
	cmd.Stderr = os.Stderr
	leash, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, leash: leash, ended: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { leash.Close() })
	err = json.NewDecoder(out).Decode(hello)
	go func() {
		_ = cmd.Wait() // the child reports its errors on the standard error
		close(p.ended)
	}()
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, io.EOF): // the child has ended
		err = errNotStarted
	}
	p.stop()
	return nil, fmt.Errorf("the %s did not start: %w", role, err)
}

var errNotStarted = errors.New("its message is above")

func (p *process) pid() int { return p.cmd.Process.Pid }

// kill ends the child as a crash would, without any clean-up.
func (p *process) kill() { _ = p.cmd.Process.Kill() }

// stop tells the child to end, and returns when it has ended.
func (p *process) stop() {
	p.leash.Close()
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		p.kill()
		<-p.ended
	}
}

// withParent returns a context that ends when the parent closes the standard input of this process or dies.
//
// A Ctrl-C reaches the whole process group. The parent ends the processes in their order, so the child ignores it and
// the given signals.
func withParent(ignored ...os.Signal) context.Context {
	signal.Ignore(append(ignored, os.Interrupt, syscall.SIGHUP)...)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return ctx
}

func printHello(hello any) error { return json.NewEncoder(os.Stdout).Encode(hello) }
