package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-go/session"
)

func TestTiming_Outcome(t *testing.T) {
	var tm timing
	ctx := context.WithValue(context.Background(), timingKey{}, &tm)
	for _, err := range []error{
		nil,
		fmt.Errorf("mongostore: %w", session.ErrNotFound),
		fmt.Errorf("mongostore: %w", session.ErrConflict),
		errors.New("no connection"),
	} {
		observe(ctx, session.Event{Kind: session.EventLoad, Duration: 1250 * time.Microsecond, Err: err})
	}
	observe(ctx, session.Event{Kind: session.EventStaleToken, Err: errors.New("not a call of the store")})
	want := []operation{
		{"load", 1.25, "", false},
		{"load", 1.25, "not found", false},
		{"load", 1.25, "conflict", false},
		{"load", 1.25, "failed", true},
	}
	if got := parseTiming(tm.header()); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestParseTiming_Empty(t *testing.T) {
	if ops := parseTiming(""); len(ops) != 0 {
		t.Errorf("%+v", ops)
	}
}
