// Package backoff waits between the attempts of an operation.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

const shortest = 5 * time.Millisecond

// Wait waits before another attempt, after try earlier ones. The time doubles
// with each attempt, from 5 ms to at most longest. Half of it is random. Wait
// reports whether the time has passed before ctx ended.
func Wait(ctx context.Context, try int, longest time.Duration) bool {
	d := min(shortest<<min(try, 20), longest)
	t := time.NewTimer(d/2 + rand.N(d/2+1))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
