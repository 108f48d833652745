package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	observe(ctx, session.Event{Kind: session.EventSignedIn})
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

func TestPage_CostsAsTheyAre(t *testing.T) {
	var text bytes.Buffer
	p := page{State: &state{Requests: []request{{Ops: []operation{{"load", 1, "not found", false}, {"update", 2, failed, true}}}}}}
	if err := templates.ExecuteTemplate(&text, "page.html", p); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`<span class="op">load 1.0 ms, not found</span>`,
		`<span class="op failed">update 2.0 ms, failed</span>`,
		"The first request after 5 seconds writes\n    once more", // a touch
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}
