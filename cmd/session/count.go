package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/session/cmd/session/internal/backend"
)

func (a *app) countCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "count",
		Short: "Count the sessions",
		Long:  "Counts the live sessions, the expired ones that are still stored, and the revocation markers. It may read the whole collection on the server.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(b backend.Backend) error {
				c, err := b.Count(cmd.Context(), time.Now())
				if err != nil {
					return err
				}
				return a.print(c, func(w io.Writer) { printCounts(w, c) })
			})
		},
	}
}

func printCounts(w io.Writer, c backend.Counts) {
	row := func(name string, n int64) []string { return []string{name, fmt.Sprint(n)} }
	rows := [][]string{
		row("live sessions", c.Sessions), row("  signed in", c.SignedIn), row("  anonymous", c.Anonymous),
		row("expired, still stored", c.Expired),
	}
	if c.Markers != nil {
		rows = append(rows, row("revocation markers", *c.Markers))
	}
	table(w, rows...)
}
