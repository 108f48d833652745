package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/session/cmd/session/internal/backend"
	"github.com/holdfast-go/session/mongostore"
)

// The exit codes, documented in docs/reference/command.md.
const (
	exitFine     = 0
	exitWarnings = 1 // or no such session
	exitFailures = 2 // or an error
)

// exit is an error that ends the program with an exit code. err may be nil if
// the output has told the reason.
type exit struct {
	code int
	err  error
}

func (e exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e exit) Unwrap() error { return e.err }

// app has the flags and the outputs of all commands.
type app struct {
	out, err             io.Writer
	json                 bool
	database, collection string
}

// run runs a command line and returns the exit code.
func run(ctx context.Context, args []string, out, errw io.Writer) int {
	a := &app{out: out, err: errw}
	cmd := a.root()
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	code := exitFine
	var e exit
	switch {
	case errors.As(err, &e):
		code, err = e.code, e.err
	case err != nil:
		code = exitFailures
	}
	if err != nil {
		fmt.Fprintln(errw, "session: "+strings.TrimPrefix(redact(err.Error()), "session: "))
	}
	return code
}

const rootHelp = `Looks after the sessions of the Go package github.com/holdfast-go/session.

Environment:
  MONGO_URI       the server, such as mongodb://user:password@host:27017/shop
  SESSION_SECRET  the app's secret, which only doctor reads

Exit codes:
  0  no problem
  1  warnings, or no such session
  2  failures, an error, or a wrong command line`

// root returns the command with all its subcommands.
func (a *app) root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "session",
		Short:         "Looks after the sessions in a database",
		Long:          rootHelp,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetOut(a.out)
	cmd.SetErr(a.err)
	flags := cmd.PersistentFlags()
	flags.BoolVar(&a.json, "json", false, "print JSON for scripts")
	flags.StringVar(&a.database, "database", "", "database (default: the one of MONGO_URI, or app)")
	flags.StringVar(&a.collection, "collection", "http_sessions", "collection")
	cmd.AddCommand(a.doctorCommand(), a.listCommand(), a.showCommand(), a.revokeCommand(), a.revokeAllCommand(),
		a.countCommand(), a.statsCommand(), a.topCommand(), a.purgeCommand(), a.indexesCommand(), a.watchCommand(),
		a.secretCommand())
	refuseOtherShells(cmd)
	return cmd
}

// refuseOtherShells makes the command completion return an error for an unknown
// shell, for which cobra prints the help.
func refuseOtherShells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.RunE = func(*cobra.Command, []string) error {
				return errors.New("want one of: session completion bash, zsh, fish, powershell")
			}
		}
	}
}

// options returns the options of mongostore for the flags.
func (a *app) options() []mongostore.Option {
	opts := []mongostore.Option{mongostore.WithLogger(slog.New(slog.DiscardHandler))}
	if a.database != "" {
		opts = append(opts, mongostore.WithDatabase(a.database))
	}
	return append(opts, mongostore.WithCollection(a.collection))
}

var errRedis = errors.New("REDIS_URL is not supported by this version; set MONGO_URI instead")

// open opens the backend that the environment names. It creates no index.
func (a *app) open(ctx context.Context) (*backend.Mongo, error) {
	return a.openWith(ctx, mongostore.WithoutIndexes())
}

// openWith is open with further options.
func (a *app) openWith(ctx context.Context, opts ...mongostore.Option) (*backend.Mongo, error) {
	switch {
	case os.Getenv("MONGO_URI") != "":
		return backend.OpenMongo(ctx, os.Getenv("MONGO_URI"), append(a.options(), opts...)...)
	case os.Getenv("REDIS_URL") != "":
		return nil, errRedis
	default:
		return nil, errors.New("MONGO_URI is not set; set it to the app's server, such as mongodb://host:27017/database")
	}
}

// with runs f on the backend that the environment names.
func (a *app) with(ctx context.Context, f func(backend.Backend) error) error {
	b, err := a.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(b), closeBackend(ctx, b))
}

// closeBackend closes the connections even after an interrupt.
func closeBackend(ctx context.Context, b backend.Backend) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return b.Close(ctx)
}
