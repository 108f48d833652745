package session_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
)

// Calls that the store does not answer end after the store timeout each, to
// the nanosecond, whatever others do that began before, meanwhile or after.
func TestStoreTimeoutOfManyCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 5 * time.Second
		m := newManager(t, silentStore{}, session.WithStoreTimeout(timeout))
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
			time.Sleep(time.Duration(20+round*10) * time.Second) // with the timer idle, and not
		}
	})
}

// silentStore answers nothing, unless the caller's context says when it does.
type silentStore struct{ session.Store }

type leavesAfter struct{}

func (silentStore) Load(ctx context.Context, _ session.ID) (*session.Record, error) {
	var answers <-chan time.Time
	if d, ok := ctx.Value(leavesAfter{}).(time.Duration); ok {
		timer := time.NewTimer(d)
		defer timer.Stop()
		answers = timer.C
	}
	select {
	case <-answers:
		return nil, session.ErrNotFound
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
