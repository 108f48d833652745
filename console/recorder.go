package console

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/holdfast-go/session"
)

// Recorder records the store calls and the events of one Manager in this process,
// for a [Console]. Create it with [NewRecorder]. It is safe for concurrent use. It
// keeps the store calls of the last hour, the latest 200 events that need
// attention, the latest 200 other events and the latest 1,440 numbers of sessions.
// Its memory is bounded.
type Recorder struct {
	replica string
	began   time.Time

	mu       sync.Mutex
	calls    series
	notable  events // events that need attention
	activity events // other events
	counts   counts
}

// NewRecorder returns an empty Recorder. replica is the name of this process on the
// pages. If it is empty, the name is the name of the host.
func NewRecorder(replica string) *Recorder {
	if replica == "" {
		replica, _ = os.Hostname() // the pages can do without
	}
	return &Recorder{replica: replica, began: time.Now()}
}

// Observe records an event. Pass it to [session.WithObserver].
func (r *Recorder) Observe(_ context.Context, e session.Event) { r.observeAt(time.Now(), e) }

func (r *Recorder) observeAt(now time.Time, e session.Event) {
	failed := e.Err != nil && !errors.Is(e.Err, session.ErrNotFound) && !errors.Is(e.Err, session.ErrConflict)
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := callIndex(e.Kind); i >= 0 {
		r.calls.add(now, i, e.Duration, failed)
		if failed {
			r.notable.add(now, e)
		}
		return
	}
	if needsAttention(e.Kind) {
		r.notable.add(now, e)
	} else {
		r.activity.add(now, e)
	}
}

// CountSessions records the number of live sessions now and after each interval,
// until ctx ends. Run it in a goroutine of its own:
//
//	go recorder.CountSessions(ctx, store, time.Minute)
//
// Each time the store counts its sessions, so choose an interval that suits their
// number. every must be at least one second. If the store fails, CountSessions
// leaves a gap and continues. It returns the error of ctx.
func (r *Recorder) CountSessions(ctx context.Context, store session.Inspector, every time.Duration) error {
	if every < time.Second {
		return fmt.Errorf("console: CountSessions every %v: must be at least 1s", every)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		c := countNow(ctx, store, min(every, storeTimeout))
		r.mu.Lock()
		r.counts.add(c)
		r.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
