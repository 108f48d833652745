package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/cmd/session/internal/backend"
)

// manager returns a Manager for lists and revocations. These use no key, so a
// random secret will do. The app's timeouts are not known, so the times in the
// records decide whether a session is live.
func manager(b backend.Backend) (*session.Manager, error) {
	const longest = 400 * 24 * time.Hour
	return session.New(b, rand.Text()+rand.Text(),
		session.WithLifetime(longest),
		session.WithIdleTimeout(longest),
		session.WithStoreTimeout(30*time.Second),
		session.WithLogger(slog.New(slog.DiscardHandler)))
}

// withManager runs f with the backend and a Manager on it.
func (a *app) withManager(ctx context.Context, f func(backend.Backend, *session.Manager) error) error {
	return a.with(ctx, func(b backend.Backend) error {
		m, err := manager(b)
		if err != nil {
			return err
		}
		return f(b, m)
	})
}

// info is a session in JSON.
type info struct {
	ID          session.ID `json:"id"`
	User        string     `json:"user,omitempty"`
	CreatedAt   time.Time  `json:"createdAt,omitzero"`
	SignedInAt  time.Time  `json:"signedInAt,omitzero"`
	LastSeenAt  time.Time  `json:"lastSeenAt,omitzero"`
	ExpiresAt   time.Time  `json:"expiresAt,omitzero"`
	Deadline    time.Time  `json:"deadline,omitzero"`
	IdleTimeout float64    `json:"idleTimeoutSeconds,omitempty"`
	ClientIP    string     `json:"clientIP,omitempty"`
	UserAgent   string     `json:"userAgent,omitempty"`
}

func infoOf(i session.Info) info {
	return info{
		ID: i.ID, User: i.User, CreatedAt: i.CreatedAt, SignedInAt: i.SignedInAt, LastSeenAt: i.LastSeenAt,
		ExpiresAt: i.ExpiresAt, Deadline: i.Deadline, IdleTimeout: i.IdleTimeout.Seconds(),
		ClientIP: i.ClientIP, UserAgent: i.UserAgent,
	}
}

func (a *app) listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list USER",
		Short: "List the live sessions of a user",
		Long:  "Lists the live sessions of a user, the most recently seen one first.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withManager(cmd.Context(), func(_ backend.Backend, m *session.Manager) error {
				infos, err := m.List(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				list := []info{}
				rows := [][]string{{"ID", "SIGNED IN", "LAST SEEN", "EXPIRES", "ADDRESS", "USER AGENT"}}
				for _, i := range infos {
					list = append(list, infoOf(i))
					rows = append(rows, []string{i.ID.String(), date(i.SignedInAt), date(i.LastSeenAt), date(i.ExpiresAt), i.ClientIP, i.UserAgent})
				}
				return a.print(list, func(w io.Writer) {
					if len(list) > 0 {
						table(w, rows...)
					}
					fmt.Fprintf(w, "%s of %s\n", plural(int64(len(list)), "live session"), printable(args[0]))
				})
			})
		},
	}
}

// load returns the record of the session with an ID.
func load(ctx context.Context, b backend.Backend, id session.ID) (*session.Record, error) {
	rec, err := b.Load(ctx, id)
	if errors.Is(err, session.ErrNotFound) {
		return nil, exit{exitWarnings, fmt.Errorf("there is no session %v", id)}
	}
	return rec, err
}

func (a *app) revokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "End a session",
		Long: "Ends a session, as from a list of devices. If its sign-in is still in progress, the sign-in fails. " +
			"If nobody is signed in, the session is only deleted.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := session.ParseID(args[0])
			if err != nil {
				return err
			}
			return a.withManager(cmd.Context(), func(b backend.Backend, m *session.Manager) error {
				rec, err := load(cmd.Context(), b, id)
				if err != nil {
					return err
				}
				if err := revoke(cmd.Context(), b, m, rec); err != nil {
					return err
				}
				return a.print(map[string]any{"revoked": rec.ID, "user": rec.User}, func(w io.Writer) {
					fmt.Fprintf(w, "revoked session %v of %s\n", rec.ID, userText(rec.User))
				})
			})
		},
	}
}

func userText(user string) string {
	if user == "" {
		return "nobody"
	}
	return printable(user)
}

func revoke(ctx context.Context, b backend.Backend, m *session.Manager, rec *session.Record) error {
	switch {
	case rec.Verifier == nil:
		return exit{exitWarnings, fmt.Errorf("%v is a revocation marker and not a session; it expires by itself", rec.ID)}
	case rec.User == "":
		return b.Delete(ctx, rec.ID)
	}
	err := m.Revoke(ctx, rec.User, rec.ID)
	if errors.Is(err, session.ErrNotFound) {
		return nil // it has ended meanwhile
	}
	return err
}

func (a *app) revokeAllCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke-all USER",
		Short: "End all sessions of a user",
		Long:  "Ends all sessions of a user. The user's sign-ins that are still in progress fail.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withManager(cmd.Context(), func(_ backend.Backend, m *session.Manager) error {
				n, err := m.RevokeAll(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return a.print(map[string]any{"revoked": n, "user": args[0]}, func(w io.Writer) {
					fmt.Fprintf(w, "revoked %s of %s\n", plural(int64(n), "live session"), userText(args[0]))
				})
			})
		},
	}
}
