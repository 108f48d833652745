package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/session/cmd/session/internal/backend"
)

func (a *app) watchCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "watch",
		Short: "Show changes of sessions as they come",
		Long: "Prints a line for each change of a session until an interrupt, with the names of changed keys but no values. " +
			"It needs a server with change streams, which is a replica set or a sharded cluster of MongoDB.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(b backend.Backend) error {
				return b.Watch(cmd.Context(), func(c backend.Change) error {
					if a.json {
						return a.line(c)
					}
					line := fmt.Sprintf("%s  %-10s  %v  %s", date(c.Time), c.Kind, c.ID, printable(c.User))
					if len(c.Keys) > 0 {
						line += "  keys: " + printable(strings.Join(c.Keys, ", "))
					}
					_, err := fmt.Fprintln(a.out, strings.TrimRight(line, " "))
					return err
				})
			})
		},
	}
}
