package main

import (
	"context"
	"log/slog"

	"github.com/holdfast-go/session"
)

// signIns returns an observer that sends each sign-in to a channel. An observer must not wait, so it drops the sign-in
// if the channel is full.
func signIns(to chan<- session.Event) func(context.Context, session.Event) {
	return func(ctx context.Context, e session.Event) {
		if e.Kind != session.EventSignedIn {
			return
		}
		select {
		case to <- e:
		default:
			slog.WarnContext(ctx, "no mail about a sign-in", "session", e.ID)
		}
	}
}

// mailNewDevices sends a mail for each sign-in whose browser none of the user's other sessions has. The first sign-in
// of a user has no other session, so it causes no mail.
func mailNewDevices(ctx context.Context, sessions *session.Manager, from <-chan session.Event, mail func(session.Event)) {
	for e := range from {
		infos, err := sessions.List(ctx, e.User)
		if err != nil {
			slog.WarnContext(ctx, "no mail about a sign-in", "session", e.ID, "error", err)
			continue
		}
		others, known := 0, false
		for _, info := range infos {
			if info.ID != e.ID {
				others++
				known = known || info.UserAgent == e.UserAgent
			}
		}
		if others > 0 && !known {
			mail(e)
		}
	}
}
