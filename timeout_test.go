package session_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
)

// Each call ends exactly after its own store timeout if the store does not
// respond, whatever other calls run at the same time.
func TestStoreTimeout_ManyCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 5 * time.Second
		m := newManager(t, waitingStore{wait: waitToLeave}, session.WithStoreTimeout(timeout))
		load := func(wait, leaves time.Duration) {
			time.Sleep(wait)
			ctx, began := background, time.Now()
			if leaves > 0 {
				ctx = context.WithValue(ctx, leavesAfter{}, leaves)
			} else {
				leaves = timeout
			}
			_, err := m.LoadID(ctx, session.ID{1})
			require.Error(t, err)
			require.Equal(t, leaves, time.Since(began))
		}
		for round := range 3 {
			for i := range 20 {
				go load(time.Duration(i*300)*time.Millisecond, 0)
				go load(time.Duration(i*300)*time.Millisecond, time.Duration(i+1)*200*time.Millisecond)
			}
			time.Sleep(time.Duration(20+round*10) * time.Second) // with the shared timer idle, and with it running
		}
	})
}

type leavesAfter struct{}

// waitToLeave waits for the time in the caller's context, if there is one, and
// otherwise until the context ends.
func waitToLeave(ctx context.Context) error {
	var leaves <-chan time.Time
	if d, ok := ctx.Value(leavesAfter{}).(time.Duration); ok {
		timer := time.NewTimer(d)
		defer timer.Stop()
		leaves = timer.C
	}
	select {
	case <-leaves:
		return session.ErrNotFound
	case <-ctx.Done():
		return ctx.Err()
	}
}

// waitingStore responds with an error after wait has returned.
type waitingStore struct {
	session.Store
	wait func(context.Context) error
}

func (s waitingStore) Load(ctx context.Context, _ session.ID) (*session.Record, error) {
	return nil, s.wait(ctx)
}

// The store timeout ends a call no matter how the store waits.
func TestStoreTimeout_EveryWait(t *testing.T) {
	const poll = time.Millisecond
	for name, wait := range map[string]func(context.Context){
		"Done": func(ctx context.Context) { <-ctx.Done() },
		"Err": func(ctx context.Context) {
			for ctx.Err() == nil {
				time.Sleep(poll)
			}
		},
		"a context made of it": func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(context.WithValue(ctx, leavesAfter{}, 0), time.Hour)
			defer cancel()
			<-ctx.Done()
		},
		"AfterFunc": func(ctx context.Context) {
			ended := make(chan struct{})
			context.AfterFunc(ctx, func() { close(ended) })
			<-ended
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newManager(t, waitingStore{wait: func(ctx context.Context) error { wait(ctx); return ctx.Err() }}, session.WithStoreTimeout(5*time.Second))
				began := time.Now()
				_, err := m.LoadID(background, session.ID{1})
				require.ErrorContains(t, err, "no reply within 5s")
				require.InDelta(t, 5*time.Second, time.Since(began), float64(poll))
			})
		})
	}
}
