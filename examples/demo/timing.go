package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-go/session"
)

// Each response of a replica names the replica and the calls of the session store. Browsers show the second header in
// their network panel.
const (
	replicaHeader = "X-Demo-Replica"
	timingHeader  = "Server-Timing"
)

// timing collects the store calls of one request.
type timing struct {
	mu    sync.Mutex
	items []string
}

type timingKey struct{}

// observe is the observer of the session library. Its context is the context of the request.
func observe(ctx context.Context, e session.Event) {
	t, ok := ctx.Value(timingKey{}).(*timing)
	if !ok {
		return
	}
	switch e.Kind {
	case session.EventLoad, session.EventInsert, session.EventUpdate, session.EventDelete, session.EventList:
	default:
		return // not a call of the store
	}
	item := fmt.Sprintf("%s;dur=%.2f", e.Kind, float64(e.Duration)/float64(time.Millisecond))
	if outcome := outcome(e.Err); outcome != "" {
		item += fmt.Sprintf(";desc=%q", outcome)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.items = append(t.items, item)
}

// failed is the outcome of a call with a store error.
const failed = "failed"

// outcome names the result of a store call. The library expects the answers "not found" and "conflict". The first
// sign-in of a user, for example, looks for a revocation and finds no record.
func outcome(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, session.ErrNotFound):
		return "not found"
	case errors.Is(err, session.ErrConflict):
		return "conflict"
	}
	return failed
}

func (t *timing) header() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.items, ", ")
}

// timed must be outside Wrap. Only then does it see the store calls of the commit, which comes before the first byte of
// the response.
func timed(replica string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := new(timing)
		w.Header().Set(replicaHeader, replica)
		tw := &timedWriter{ResponseWriter: w, timing: t}
		next.ServeHTTP(tw, r.WithContext(context.WithValue(r.Context(), timingKey{}, t)))
		tw.tell()
	})
}

type timedWriter struct {
	http.ResponseWriter
	timing *timing
	told   bool
}

func (w *timedWriter) tell() {
	if w.told {
		return
	}
	w.told = true
	if h := w.timing.header(); h != "" {
		w.Header().Set(timingHeader, h)
	}
}

func (w *timedWriter) WriteHeader(status int) {
	if status >= http.StatusOK {
		w.tell()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *timedWriter) Write(b []byte) (int, error) {
	w.tell()
	return w.ResponseWriter.Write(b)
}
