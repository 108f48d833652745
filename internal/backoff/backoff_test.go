package backoff_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session/internal/backoff"
)

func TestWait(t *testing.T) {
	for try, want := range map[int]time.Duration{
		0: 5 * time.Millisecond, 1: 10 * time.Millisecond, 3: 40 * time.Millisecond, 5: 100 * time.Millisecond, 1000: 100 * time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			require.True(t, backoff.Wait(context.Background(), try, 100*time.Millisecond))
			took := time.Since(begin)
			require.True(t, want/2 <= took && took <= want, "attempt %d waited %v", try, took)
		})
	}
}

func TestWait_ContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		require.False(t, backoff.Wait(ctx, 10, time.Hour))
	})
}
