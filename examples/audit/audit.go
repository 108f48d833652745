package main

import (
	"context"
	"log/slog"

	"github.com/holdfast-go/session"
)

// audit returns an observer that logs one line for each step in the life of a session, and for each token that was
// replaced long ago. The lines have no token and no value.
func audit(log *slog.Logger) func(context.Context, session.Event) {
	return func(ctx context.Context, e session.Event) {
		level := slog.LevelInfo
		switch {
		case e.Kind == session.EventStaleToken:
			level = slog.LevelWarn // perhaps stolen
		case e.Reason == "":
			return // a call of the store, or a lost change
		}
		log.LogAttrs(ctx, level, string(e.Kind), slog.String("reason", string(e.Reason)), slog.Any("session", e.ID),
			slog.String("user", e.User), slog.String("ip", e.ClientIP), slog.String("agent", e.UserAgent))
	}
}
