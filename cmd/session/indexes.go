package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/session/cmd/session/internal/backend"
	"github.com/holdfast-go/session/cmd/session/internal/doctor"
	"github.com/holdfast-go/session/mongostore"
)

// mongosh creates the indexes in mongosh. docs/reference/indexes.md has the same
// commands. %s is the collection.
const mongosh = `db.%[1]s.createIndex({ "expires": 1 }, { "name": "session_expires", "expireAfterSeconds": 300 })
db.%[1]s.createIndex({ "user": 1, "created": 1 }, { "name": "session_user", "partialFilterExpression": { "user": { "$gt": "" } }, "collation": { "locale": "simple" } })
`

// openForIndexes opens the server of MONGO_URI, the only one with indexes.
func (a *app) openForIndexes(ctx context.Context, opts ...mongostore.Option) (*backend.Mongo, error) {
	if os.Getenv("MONGO_URI") == "" {
		return nil, errors.New("MONGO_URI is not set; only MongoDB needs indexes")
	}
	return a.openMongo(ctx, opts...)
}

func (a *app) indexesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "indexes",
		Short: "Check, print or create the indexes",
		Long:  "Checks, prints or creates the indexes of docs/reference/indexes.md.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("want one of: session indexes check, print, create")
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "check",
		Short: "Compare the indexes with the documentation",
		Long:  "Compares the indexes of the collection with docs/reference/indexes.md. The exit codes are those of doctor.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := a.openForIndexes(cmd.Context(), mongostore.WithoutIndexes())
			if err != nil {
				return err
			}
			list := doctor.Indexes(cmd.Context(), m)
			return errors.Join(a.report(list), closeBackend(cmd.Context(), m))
		},
	}, &cobra.Command{
		Use:   "print",
		Short: "Print the commands for mongosh",
		Long:  "Prints the commands with which mongosh creates the indexes. It connects to no server.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text := fmt.Sprintf(mongosh, a.collection)
			return a.print(map[string]string{"mongosh": text}, func(w io.Writer) { fmt.Fprint(w, text) })
		},
	}, &cobra.Command{
		Use:   "create",
		Short: "Create the indexes",
		Long:  "Creates the indexes, as mongostore.Open does. It changes a wrong margin, and drops no index.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := a.openForIndexes(cmd.Context())
			if err != nil {
				return err
			}
			list := doctor.Indexes(cmd.Context(), m)
			return errors.Join(a.report(list), closeBackend(cmd.Context(), m))
		},
	})
	return cmd
}
