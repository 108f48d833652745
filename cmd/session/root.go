package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/session/cmd/session/internal/backend"
	"github.com/holdfast-go/session/mongostore"
	"github.com/holdfast-go/session/redisstore"
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
	prefix               string
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
  REDIS_URL       or this one, such as redis://user:password@host:6379
  SESSION_SECRET  the app's secret, which only doctor reads

Exit codes:
  0  no problem
  1  warnings, or no such session
  2  failures, an error, or a wrong command line`

// root returns the command with all its subcommands.
func (a *app) root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "session",
		Version:       version(),
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
	flags.StringVar(&a.database, "database", "", "database of MongoDB (default: the one of MONGO_URI, or app)")
	flags.StringVar(&a.collection, "collection", "http_sessions", "collection of MongoDB")
	flags.StringVar(&a.prefix, "prefix", "session:", "beginning of the keys in Redis")
	cmd.AddCommand(a.doctorCommand(), a.listCommand(), a.showCommand(), a.revokeCommand(), a.revokeAllCommand(),
		a.countCommand(), a.statsCommand(), a.topCommand(), a.purgeCommand(), a.indexesCommand(), a.watchCommand(),
		a.secretCommand())
	refuseOtherShells(cmd)
	return cmd
}

// version returns the version of the module, or (devel) in a clone.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
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

// open opens the backend that the environment names. It creates no index.
func (a *app) open(ctx context.Context) (backend.Backend, error) {
	mongo, redis := os.Getenv("MONGO_URI"), os.Getenv("REDIS_URL")
	switch {
	case mongo != "" && redis != "":
		return nil, errors.New("MONGO_URI and REDIS_URL are both set; unset the one that the sessions are not in")
	case mongo != "":
		return a.openMongo(ctx, mongostore.WithoutIndexes())
	case redis != "":
		b, err := backend.OpenRedis(ctx, redis, redisstore.WithPrefix(a.prefix), redisstore.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			return nil, err // not a nil pointer in the interface
		}
		return b, nil
	default:
		return nil, errors.New("neither MONGO_URI nor REDIS_URL is set; set one to the app's server, such as mongodb://host:27017/database")
	}
}

// openMongo opens the server of MONGO_URI.
func (a *app) openMongo(ctx context.Context, opts ...mongostore.Option) (*backend.Mongo, error) {
	return backend.OpenMongo(ctx, os.Getenv("MONGO_URI"), append(a.options(), opts...)...)
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
