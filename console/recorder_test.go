package console_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/console"
	"github.com/holdfast-go/session/memstore"
)

// overview returns the overview of a recorder, without markup.
func overview(t *testing.T, rec *console.Recorder, page string) (text, markup string) {
	t.Helper()
	c, err := console.New(memstore.NewManager(), memstore.New(),
		func(*http.Request) (string, console.Access) { return "", console.ReadOnly }, console.WithRecorder(rec))
	require.NoError(t, err)
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequest("GET", "/"+page, nil))
	require.Equal(t, http.StatusOK, w.Code)
	markup = w.Body.String()
	text = regexp.MustCompile(`(?s)<style>.*?</style>|<[^>]*>`).ReplaceAllString(markup, " ")
	return regexp.MustCompile(`[ \n]+`).ReplaceAllString(text, " "), markup
}

func TestRecorder_Empty(t *testing.T) {
	text, markup := overview(t, console.NewRecorder("web-1"), "")
	assert.Equal(t, 2, strings.Count(text, "No store call in the last hour."))
	assert.Contains(t, text, "No stale token, lost change, revocation or failed store call since the start.")
	assert.Contains(t, text, "Replica web-1")
	assert.NotContains(t, markup, "<svg")
	assert.NotContains(t, text, "Number of sessions", "nothing counts them")
}

func TestRecorder_Calls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := console.NewRecorder("")
		for i := range 100 { // 1 ms to 100 ms
			rec.Observe(t.Context(), session.Event{Kind: session.EventLoad, Duration: time.Duration(i+1) * time.Millisecond})
		}
		for range 3 {
			rec.Observe(t.Context(), session.Event{Kind: session.EventDelete, Duration: 7 * time.Second, Err: errors.New("down")})
		}
		for _, expected := range []error{session.ErrNotFound, fmt.Errorf("mongostore: %w", session.ErrConflict)} {
			rec.Observe(t.Context(), session.Event{Kind: session.EventInsert, Duration: time.Microsecond, Err: expected})
		}
		text, markup := overview(t, rec, "")
		assert.Contains(t, text, "Calls 105 Failed 3")
		assert.Regexp(t, `load 100 0 (4[5-9]|5[0-5]) ms (8[5-9]|9[0-9]|100) ms 100 ms`, text)
		assert.Regexp(t, `delete 3 3 [67]\.\d s [67]\.\d s 7\.0 s`, text)
		assert.Contains(t, text, "insert 2 0 0.0 ms 0.0 ms 0.0 ms")
		assert.Contains(t, text, "update 0 0 – – –")
		assert.Contains(t, markup, `<rect class="failed"`)
		assert.Contains(t, text, "Store failed: delete 3 times since")

		time.Sleep(59 * time.Minute)
		text, _ = overview(t, rec, "")
		assert.Contains(t, text, "Calls 105 Failed 3")
		time.Sleep(61 * time.Second)
		text, _ = overview(t, rec, "")
		assert.Contains(t, text, "No store call in the last hour.")
		rec.Observe(t.Context(), session.Event{Kind: session.EventLoad, Duration: time.Millisecond})
		text, _ = overview(t, rec, "")
		assert.Contains(t, text, "Calls 1 Failed 0", "calls of more than an hour ago")
		assert.Contains(t, text, "Store failed: delete 3 times since", "events are kept for longer")
	})
}

// A time without calls is a gap in the line, and one failure of many calls is
// visible.
func TestRecorder_Plots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := console.NewRecorder("")
		for range 2 {
			for range 1000 {
				rec.Observe(t.Context(), session.Event{Kind: session.EventLoad, Duration: time.Millisecond})
			}
			time.Sleep(10 * time.Minute)
		}
		rec.Observe(t.Context(), session.Event{Kind: session.EventLoad, Duration: time.Millisecond, Err: errors.New("down")})
		time.Sleep(10 * time.Second)
		rec.Observe(t.Context(), session.Event{Kind: session.EventLoad, Duration: 10 * time.Second})
		_, markup := overview(t, rec, "")
		// A decade of the latency is 20 of 100 units. 10 s is at the top.
		assert.Contains(t, markup, `d="M238 80H239M298 80H299M358 80H359L359 0H360"`)
		bars := regexp.MustCompile(`<rect class="(\w+)" x="([\d.]+)" y="([\d.]+)" width="5" height="([\d.]+)"`).FindAllStringSubmatch(markup, -1)
		var got []string
		for _, b := range bars {
			got = append(got, strings.Join(b[1:], " "))
		}
		assert.Equal(t, []string{"ok 234.5 0 100", "ok 294.5 0 100", "ok 354.5 97 3", "failed 354.5 97 3"}, got)
	})
}

func TestRecorder_EventsAreBounded(t *testing.T) {
	rec := console.NewRecorder("")
	for i := range 1000 {
		id := session.ID{byte(i), byte(i >> 8), 1}
		rec.Observe(t.Context(), session.Event{Kind: session.EventStaleToken, ID: id})
		rec.Observe(t.Context(), session.Event{Kind: session.EventSignedIn, ID: id, User: fmt.Sprint("user-", i), Reason: session.ReasonSignIn})
	}
	long := strings.Repeat("ä", 4000)
	rec.Observe(t.Context(), session.Event{Kind: session.EventRevoked, User: long, UserAgent: long})
	rec.Observe(t.Context(), session.Event{Kind: session.EventLostChange, Err: errors.New(long)})
	assert.Equal(t, 400, rec.Events())
	notable, markup := overview(t, rec, "events")
	assert.Equal(t, 198, strings.Count(notable, "Stale token presented"))
	assert.Less(t, strings.Count(markup, "ä"), 1000, "a long text is shortened")
	assert.False(t, strings.Contains(markup, "user?name="), "a shortened name is no link")
	assert.False(t, strings.Contains(markup, "\ufffd"), "cut within a character")
	activity, _ := overview(t, rec, "events?all")
	assert.Equal(t, 200, strings.Count(activity, "Signed in "))
	assert.Contains(t, activity, "user-999")
	assert.NotContains(t, activity, "user-799 ")
}

// Equal events in sequence are one line, so that an outage leaves the others.
func TestRecorder_EqualEvents(t *testing.T) {
	rec := console.NewRecorder("")
	for i := range 500 {
		rec.Observe(t.Context(), session.Event{Kind: session.EventLoad, ID: session.ID{byte(i)}, Err: errors.New("down")})
	}
	rec.Observe(t.Context(), session.Event{Kind: session.EventLoad, Err: errors.New("down in another way")})
	rec.Observe(t.Context(), session.Event{Kind: session.EventStaleToken, ID: session.ID{1}})
	rec.Observe(t.Context(), session.Event{Kind: session.EventStaleToken, ID: session.ID{2}})
	rec.Observe(t.Context(), session.Event{Kind: session.EventStaleToken, ID: session.ID{2}})
	text, _ := overview(t, rec, "events")
	assert.Equal(t, 2, strings.Count(text, "Store failed: load"))
	assert.Contains(t, text, "500 times since")
	assert.Equal(t, 2, strings.Count(text, "Stale token presented"))
	assert.Contains(t, text, "2 times since")
}

// The last hour can be recorded in any number of goroutines.
func TestRecorder_Concurrent(t *testing.T) {
	rec := console.NewRecorder("")
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 1000 {
				rec.Observe(t.Context(), session.Event{Kind: session.EventLoad, Duration: time.Millisecond})
				rec.Observe(t.Context(), session.Event{Kind: session.EventSignedIn})
			}
		}()
	}
	for range 20 {
		overview(t, rec, "")
	}
	for range 4 {
		<-done
	}
	text, _ := overview(t, rec, "")
	assert.Contains(t, text, "Calls 4\u202f000 Failed 0")
}

// inspector counts 7 sessions with and 3 without a user, unless it fails.
type inspector struct {
	calls atomic.Int32
	down  atomic.Bool
}

func (i *inspector) Count(ctx context.Context, f session.Filter) (int64, error) {
	i.calls.Add(1)
	if _, ok := ctx.Deadline(); !ok || f.LiveAt != time.Now() {
		return 0, errors.New("a call without a deadline or of expired sessions")
	}
	if i.down.Load() {
		return 0, errors.New("down")
	}
	if f.Kind == session.KindUser {
		return 7, nil
	}
	return 3, nil
}

func (i *inspector) All(context.Context, session.Filter) iter.Seq2[session.Info, error] { return nil }

func TestCountSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec, store := console.NewRecorder(""), &inspector{}
		require.ErrorContains(t, rec.CountSessions(t.Context(), store, time.Millisecond), "console: CountSessions every 1ms: must be at least 1s")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- rec.CountSessions(ctx, store, time.Minute) }()
		time.Sleep(5 * time.Minute)
		text, _ := overview(t, rec, "")
		assert.Contains(t, text, "10 min ago")
		time.Sleep(5*time.Minute + time.Second)
		assert.EqualValues(t, 22, store.calls.Load(), "at once and after each minute")
		text, markup := overview(t, rec, "")
		assert.Contains(t, text, "7 signed in and 3 anonymous, counted just now.")
		before := strings.Count(markup, "M")

		store.down.Store(true)
		time.Sleep(2 * time.Minute)
		store.down.Store(false)
		time.Sleep(5 * time.Minute)
		text, markup = overview(t, rec, "")
		assert.Contains(t, text, "60 min ago")
		assert.Greater(t, strings.Count(markup, "M"), before, "a gap in each line")
		cancel()
		assert.ErrorIs(t, <-ended, context.Canceled)

		time.Sleep(10 * time.Hour)
		text, _ = overview(t, rec, "")
		assert.Contains(t, text, "24 h ago")
		assert.Contains(t, text, "counted 10 hours ago")
	})
}

// Only a day of counts is kept.
func TestCountSessions_Bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec, store := console.NewRecorder(""), &inspector{}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- rec.CountSessions(ctx, store, time.Minute) }()
		time.Sleep(48 * time.Hour)
		_, markup := overview(t, rec, "")
		assert.Less(t, len(markup), 40<<10, "bytes of the page")
		cancel()
		<-ended
		assert.LessOrEqual(t, rec.Counts(), 1440)
	})
}

func BenchmarkRecorder(b *testing.B) {
	rec := console.NewRecorder("")
	e := session.Event{Kind: session.EventLoad, ID: session.ID{1}, Duration: time.Millisecond}
	b.ReportAllocs()
	for b.Loop() {
		rec.Observe(b.Context(), e)
	}
}

// BenchmarkRequest shows the cost of a Recorder for a request that reads a session.
func BenchmarkRequest(b *testing.B) {
	for name, opts := range map[string][]session.Option{
		"without": nil, "with": {session.WithObserver(console.NewRecorder("").Observe)},
	} {
		b.Run(name, func(b *testing.B) {
			sessions := memstore.NewManager(opts...)
			r := memstore.WithSession(b, sessions, httptest.NewRequest("GET", "https://example.com/", nil), func(s *session.Session) { s.SignIn("ann") })
			h := sessions.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { cart.Get(session.FromContext(r.Context())) }))
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
