package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/session/cmd/session/internal/doctor"
)

// doctorFlags are the flags of doctor.
type doctorFlags struct {
	url, cookie string
	secrets     []string
	rounds      int
	wait        time.Duration
}

func (a *app) doctorCommand() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check a deployment",
		Long: "Checks the server, its collection, the secret and a page of the app. It tells the fix of each problem. " +
			"It inserts and deletes probe sessions of nobody, and never creates a collection or an index. " +
			"The exit code is 0 if all is well, 1 with warnings and 2 with failures.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.url, "url", "", "a page of the app to fetch, which starts a session")
	flags.StringVar(&f.cookie, "cookie", "", "name of the session cookie (default: the names that the library gives it)")
	flags.StringSliceVar(&f.secrets, "secret-env", []string{"SESSION_SECRET", "SESSION_SECRET_ALSO"}, "environment variables with the secrets, the first one required")
	flags.IntVar(&f.rounds, "rounds", 20, "round trips to measure")
	flags.DurationVar(&f.wait, "wait", 0, "insert an expired document and wait this long for its removal (without a value: 3m)")
	flags.Lookup("wait").NoOptDefVal = "3m"
	return cmd
}

func (a *app) doctor(ctx context.Context, f doctorFlags) error {
	if f.rounds < 1 || f.rounds > 10_000 {
		return errors.New("--rounds must be from 1 to 10000")
	}
	if f.wait < 0 || f.wait > time.Hour {
		return errors.New("--wait must be at most 1h")
	}
	var page *url.URL
	if f.url != "" {
		var err error
		if page, err = doctor.ParseURL(f.url); err != nil {
			return err
		}
	}
	list := a.examine(ctx, f)
	for i, name := range f.secrets {
		if secret := os.Getenv(name); secret != "" || i == 0 {
			list = append(list, doctor.Secret(name, secret)...)
		}
	}
	if page != nil {
		list = append(list, doctor.URL(ctx, page, f.cookie)...)
	}
	return a.report(list)
}

// examine checks the server of the environment.
func (a *app) examine(ctx context.Context, f doctorFlags) []doctor.Finding {
	b, err := a.open(ctx)
	if err != nil {
		return []doctor.Finding{{
			Check: "connection", Status: doctor.Failure, Text: err.Error(),
			Advice: "Check MONGO_URI or REDIS_URL, the firewall, and the access list of a hosted service.",
		}}
	}
	defer func() { _ = closeBackend(ctx, b) }()
	return doctor.Server(ctx, b, doctor.Config{Rounds: f.rounds, Wait: f.wait, Progress: func(what string, steps int) func() {
		bar, n := a.bar(int64(steps), what), 0
		return func() {
			_ = bar.Add(1)
			if n++; n == steps {
				_ = bar.Finish()
			}
		}
	}})
}

// report prints findings and returns their exit code as an error.
func (a *app) report(list []doctor.Finding) error {
	for i := range list {
		list[i].Text, list[i].Advice = redact(printable(list[i].Text)), redact(list[i].Advice)
	}
	code := doctor.Worst(list)
	err := a.print(map[string]any{"exitCode": code, "findings": list}, func(w io.Writer) { printFindings(w, list) })
	if err != nil || code == exitFine {
		return err
	}
	return exit{code: code}
}

func printFindings(w io.Writer, list []doctor.Finding) {
	count := map[doctor.Status]int{}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, f := range list {
		count[f.Status]++
		status := string(f.Status)
		if f.Status == doctor.Failure {
			status = strings.ToUpper(status)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", status, f.Check, f.Text)
		if f.Advice != "" {
			fmt.Fprintf(tw, "\t\t→ %s\n", f.Advice)
		}
	}
	tw.Flush()
	fmt.Fprintf(w, "\n%d ok, %d skipped, %s, %s\n", count[doctor.OK], count[doctor.Skipped],
		plural(int64(count[doctor.Warning]), "warning"), plural(int64(count[doctor.Failure]), "failure"))
}
