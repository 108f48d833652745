package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/session/cmd/session/internal/backend"
)

const (
	// purgeMargin is the margin of mongostore's sweep. The clocks of the app may
	// be behind this one.
	purgeMargin = 10 * time.Minute

	// minUnseen is longer than the default touch interval of an hour. A session in
	// use may have an older record only if the app has set a longer one.
	minUnseen = 2 * time.Hour
)

// days is a duration flag that also accepts days, such as 30d.
type days time.Duration

func (d *days) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

// Type is the name of the flag's value in the help.
func (d *days) Type() string { return "duration" }

func (d *days) Set(text string) error {
	if n, ok := strings.CutSuffix(text, "d"); ok {
		f, err := strconv.ParseUint(n, 10, 16)
		if err != nil {
			return errors.New("want a duration such as 30d or 36h")
		}
		*d = days(time.Duration(f) * 24 * time.Hour)
		return nil
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("want a duration such as 30d or 36h")
	}
	*d = days(v)
	return nil
}

// purgeResult is the output of purge in JSON.
type purgeResult struct {
	DryRun  bool  `json:"dryRun"`
	Matched int64 `json:"matched"`
	backend.Purged
}

func (a *app) purgeCommand() *cobra.Command {
	var expired, yes bool
	var unseen days
	cmd := &cobra.Command{
		Use:   "purge",
		Short: "Delete expired sessions, or anonymous ones not seen for a time",
		Long: "Counts the sessions to delete, and deletes them only with --yes. It keeps a session that is used in the meantime, and a revocation marker until it has expired. " +
			"Activity is recorded once per touch interval of the app, an hour by default, so --anonymous-unseen must be longer than this interval.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			given := cmd.Flags().Changed("anonymous-unseen")
			switch {
			case expired == given:
				return errors.New("want either --expired or --anonymous-unseen")
			case given && time.Duration(unseen) < minUnseen:
				return fmt.Errorf("--anonymous-unseen must be at least %v, because activity is recorded at most once per touch interval", minUnseen)
			}
			return a.with(cmd.Context(), func(b backend.Backend) error {
				now, err := b.Now(cmd.Context())
				if err != nil {
					return err
				}
				p := backend.Purge{Expired: now.Add(-purgeMargin)}
				if given {
					p = backend.Purge{AnonymousUnseen: now.Add(-time.Duration(unseen))}
				}
				return a.purge(cmd.Context(), b, p, yes)
			})
		},
	}
	cmd.Flags().BoolVar(&expired, "expired", false, "sessions and markers that expired more than 10 minutes ago")
	cmd.Flags().Var(&unseen, "anonymous-unseen", "sessions without a user not seen for this time, such as 30d")
	cmd.Flags().BoolVar(&yes, "yes", false, "delete them; the default is a dry run")
	return cmd
}

func (a *app) purge(ctx context.Context, b backend.Backend, p backend.Purge, yes bool) error {
	n, err := b.Matches(ctx, p)
	if err != nil {
		return err
	}
	r := purgeResult{DryRun: !yes, Matched: n}
	if yes {
		bar := a.bar(n, "deleting")
		r.Purged, err = b.Purge(ctx, p, func(examined int64) { _ = bar.Set64(examined) })
		_ = bar.Finish()
	}
	perr := a.print(r, func(w io.Writer) {
		if r.DryRun {
			fmt.Fprintf(w, "would delete %s; add --yes to delete\n", plural(n, "record"))
			return
		}
		fmt.Fprintf(w, "deleted %s", plural(r.Deleted, "record"))
		if r.Kept > 0 {
			fmt.Fprintf(w, ", kept %d used or deleted in the meantime", r.Kept)
		}
		fmt.Fprintln(w)
	})
	return errors.Join(err, perr)
}
