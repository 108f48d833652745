package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/session/cmd/session/internal/backend"
)

// round is one line of top in JSON. Activity counts the last minute.
type round struct {
	Time time.Time `json:"time"`
	backend.Counts
	PerMinute backend.Activity `json:"perMinute"`
}

const topHeader = "TIME       SESSIONS  SIGNED IN  ANONYMOUS  STARTED/MIN  SIGN-INS/MIN  EXPIRED/MIN"

// headerEvery is the number of lines after which top repeats its header.
const headerEvery = 20

func (a *app) topCommand() *cobra.Command {
	var rounds int
	var interval time.Duration
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show sessions, sign-ins and expiries per minute, live",
		Long: "Prints a line per interval with the number of live sessions, and the sessions that started, signed in and expired in the last minute. " +
			"Each line may read the whole collection on the server, so choose a longer interval for a large one.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if interval < time.Second {
				return errors.New("--interval must be at least 1s")
			}
			if rounds < 0 {
				return errors.New("--rounds must not be negative; 0 means until an interrupt")
			}
			return a.with(cmd.Context(), func(b backend.Backend) error {
				return a.top(cmd.Context(), b, rounds, interval)
			})
		},
	}
	cmd.Flags().IntVarP(&rounds, "rounds", "n", 0, "number of lines; 0 means until an interrupt")
	cmd.Flags().DurationVar(&interval, "interval", 10*time.Second, "time between two lines")
	return cmd
}

// top prints rounds lines. The end of ctx, as by an interrupt, is not an error.
func (a *app) top(ctx context.Context, b backend.Backend, rounds int, interval time.Duration) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for n := 0; ; n++ {
		if err := a.round(ctx, b, n); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if n+1 == rounds {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (a *app) round(ctx context.Context, b backend.Backend, n int) (err error) {
	r := round{Time: time.Now().UTC().Truncate(time.Millisecond)}
	if r.Counts, err = b.Count(ctx, r.Time); err != nil {
		return err
	}
	if r.PerMinute, err = b.Activity(ctx, r.Time.Add(-time.Minute), r.Time); err != nil {
		return err
	}
	if a.json {
		return a.line(r)
	}
	if n%headerEvery == 0 {
		if _, err := fmt.Fprintln(a.out, topHeader); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(a.out, "%sZ  %8d  %9d  %9d  %11d  %12d  %11d\n", r.Time.Format("15:04:05"),
		r.Sessions, r.SignedIn, r.Anonymous, r.PerMinute.Started, r.PerMinute.SignIns, r.PerMinute.Expired)
	return err
}
