package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// process is a running app.
type process struct {
	url   string
	cmd   *exec.Cmd
	stdin io.Closer
	said  bytes.Buffer // its output on standard error
}

// startApp runs this program as an app and waits until it serves requests.
func startApp(c appConfig) (*process, error) {
	config, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), appEnv+"="+string(config))
	p.cmd.Stderr = &p.said
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		_ = p.cmd.Wait()
		return nil, fmt.Errorf("the app did not start: %s", &p.said)
	}
	p.url = strings.TrimSpace(line)
	return p, nil
}

// stop ends the app like a deploy. The error describes remaining goroutines.
func (p *process) stop() error {
	_ = p.stdin.Close()
	timer := time.AfterFunc(30*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("the app failed at its end: %w: %s", err, p.said.String())
	}
	return nil
}

// kill ends the app with SIGKILL.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// usage returns the current usage of the app.
func (p *process) usage() (u usage, err error) {
	res, err := http.Get(p.url + "/usage")
	if err != nil {
		return u, err
	}
	defer res.Body.Close()
	return u, json.NewDecoder(res.Body).Decode(&u)
}
