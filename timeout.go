package session

import (
	"context"
	"sync"
	"time"
)

// bounded returns a context for store calls that ends with the store timeout
// and not with the request: to cancel an operation closes its connection. It
// has no deadline: with one, the driver of MongoDB repeats a command that
// keeps failing, thousands of times a second.
func (m *Manager) storeContext(ctx context.Context) (context.Context, *lazyTimeout) {
	return withLazyTimeout(ctx, m.timeout)
}

// bound is a context that ends after a time, or when it is released. The time
// begins when somebody first waits for its end: a store that has the answer at
// hand does not pay for a timer.
type lazyTimeout struct {
	context.Context
	cancel context.CancelFunc
	after  time.Duration
	begin  sync.Once
	timer  *time.Timer
}

func withLazyTimeout(ctx context.Context, d time.Duration) (context.Context, *lazyTimeout) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	b := &lazyTimeout{Context: ctx, cancel: cancel, after: d}
	return b, b
}

func (b *lazyTimeout) Done() <-chan struct{} {
	b.begin.Do(func() { b.timer = time.AfterFunc(b.after, b.cancel) })
	return b.Context.Done()
}

func (b *lazyTimeout) Err() error {
	b.Done()
	return b.Context.Err()
}

func (b *lazyTimeout) release() {
	b.begin.Do(func() {})
	if b.timer != nil {
		b.timer.Stop()
	}
	b.cancel()
}
