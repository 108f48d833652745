package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/console"
)

// Each replica has a console for its operator, because the plots and events are those of one process. The balancer
// sends /console/A/ to replica A.
const consolePath = "/console/"

// countInterval is short so that the plot has content soon.
const countInterval = 10 * time.Second

// consoleReplica returns the name of the replica that a path asks for, or an empty string.
func consoleReplica(path string) string {
	rest, ok := strings.CutPrefix(path, consolePath)
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// everyone lets each visitor of the demo be the operator, because it runs on the visitor's own machine. A real app asks
// who sent the request.
func everyone(*http.Request) (string, console.Access) { return "operator", console.FullAccess }

// addOperator mounts the pages of package console: the console, and the page of the visitor's devices.
func (a *app) addOperator(ctx context.Context, site *http.ServeMux) error {
	admin, err := console.New(a.sessions, a.store, everyone, console.WithRecorder(a.recorder))
	if err != nil {
		return err
	}
	devices, err := console.NewDevices(a.sessions)
	if err != nil {
		return err
	}
	site.Handle(consolePath, admin)
	site.Handle("/devices", a.sessions.Wrap(signedIn(devices)))
	go func() { _ = a.recorder.CountSessions(ctx, a.store, countInterval) }() // ends with ctx
	return nil
}

// signedIn sends visitors who are not signed in to the page.
func signedIn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if session.FromContext(r.Context()).User() == "" {
			back(w, r, "", "session")
			return
		}
		next.ServeHTTP(w, r)
	})
}
