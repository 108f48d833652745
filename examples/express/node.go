package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

const minNode = 20

// node is a running Express app.
type node struct {
	url   string
	cmd   *exec.Cmd
	leash io.Closer
}

// startNode starts shop.js in dir. It returns when the app listens.
func startNode(ctx context.Context, dir string, env ...string) (*node, error) {
	cmd := exec.Command("node", "shop.js")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	leash, err := cmd.StdinPipe() // the app ends when this input ends, also if this process is killed
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
	n := &node{cmd: cmd, leash: leash}
	stop := context.AfterFunc(ctx, func() { leash.Close() })
	err = json.NewDecoder(out).Decode(&n.url)
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		n.stop()
		return nil, fmt.Errorf("the Express app did not start: %w", err)
	}
	return n, nil
}

func (n *node) stop() {
	n.leash.Close()
	_ = n.cmd.Wait() // it ends with the status of a process without an error, or has reported its error
}

// findNode returns the folder of shop.js, with the packages of Express. It installs them if they are missing.
func findNode(ctx context.Context) (string, error) {
	dir, err := sourceDir()
	if err != nil {
		return "", err
	}
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			return "", fmt.Errorf("half of this example is an Express app: install Node.js %d or later with npm, from https://nodejs.org or with\n"+
				"  apt-get install nodejs npm    (Debian, Ubuntu)\n  brew install node             (macOS)", minNode)
		}
	}
	out, err := exec.CommandContext(ctx, "node", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("node --version: %w", err)
	}
	version := strings.TrimSpace(strings.TrimPrefix(string(out), "v"))
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < minNode {
		return "", fmt.Errorf("the Express app needs Node.js %d or later, and node is %s", minNode, version)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json")); err == nil {
		return dir, nil
	}
	fmt.Println("Installing Express and its packages with npm ci.")
	npm := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
	npm.Dir, npm.Stderr = dir, os.Stderr
	if err := npm.Run(); err != nil {
		return "", fmt.Errorf("npm ci in %s failed: %w", dir, err)
	}
	return dir, nil
}

// sourceDir returns the folder of this example. go run -C sets it as the working directory.
func sourceDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(dir, "shop.js")); err != nil {
		return "", errors.New("start this with go run -C examples/express . in a clone of the repository")
	}
	return dir, nil
}
