package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// errNoServer names the server with which the tables were made. It is
// GPL-licensed, so it only ever runs as another process.
var errNoServer = fmt.Errorf("%w: needs SecantusDB: pip install SecantusDB==0.7.0b3, and set SECANTUS to its secantusd-py or put that into the PATH", errMissing)

// database is a new server on an empty folder.
type database struct {
	uri, dir string
	cmd      *exec.Cmd
}

func secantus() (string, error) {
	name := os.Getenv("SECANTUS")
	if name == "" {
		name = "secantusd-py"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", errNoServer
	}
	return path, nil
}

// openDatabase starts SecantusDB as a standalone server. With retryable writes
// it stores data for each update, which makes each update slower than the one
// before.
func openDatabase(ctx context.Context, c *config) (*database, error) {
	path, err := secantus()
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	d := &database{uri: fmt.Sprintf("mongodb://127.0.0.1:%d/app", port), dir: dir}
	args := []string{"--port", fmt.Sprint(port), "--storage-path", filepath.Join(dir, "data"), "--standalone", "--log-level", "WARNING"}
	if c.largest > 1_000_000 {
		args = append(args, "--cache-size", "12G") // the default of 1 GB is too small for the data
	}
	d.cmd = exec.Command(path, args...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	if err := d.wait(ctx); err != nil {
		text, _ := os.ReadFile(log.Name())
		d.stop()
		return nil, fmt.Errorf("SecantusDB did not start: %w\n%s", err, text)
	}
	return d, nil
}

// freePort returns a free port of a range without other uses in this module.
func freePort() (int, error) {
	for port := 31000; port < 32000; port++ {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port between 31000 and 31999")
}

func (d *database) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	client, err := mongo.Connect(options.Client().ApplyURI(d.uri))
	if err != nil {
		return err
	}
	defer client.Disconnect(context.WithoutCancel(ctx))
	return client.Ping(ctx, nil)
}

// stop ends the server and removes its data.
func (d *database) stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(20*time.Second, func() { _ = d.cmd.Process.Kill() })
	defer kill.Stop()
	_ = d.cmd.Wait()
	os.RemoveAll(d.dir)
}
