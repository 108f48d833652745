// Command session looks after the sessions of package session in a database. It
// checks a deployment, shows and ends sessions, and deletes old ones:
//
//	go run github.com/holdfast-go/session/cmd/session@latest doctor
//
// docs/reference/command.md describes its commands and exit codes.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
