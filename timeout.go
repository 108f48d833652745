package session

import (
	"context"
	"sync"
	"time"
)

// WithStoreTimeout limits the time for which a request waits for the store. It
// applies to loading the session and to each commit, Update or other method
// with a context. d must be at least ten milliseconds and at most ten minutes.
// The default is 5 seconds. A store call has no other limit, because the end
// of the request's context does not cancel it.
func WithStoreTimeout(d time.Duration) Option {
	return func(c *config) { c.timeout = d }
}

// storeContext returns a context for store calls. It ends after the store
// timeout. It keeps the values of ctx, but does not end with ctx, because the
// driver of MongoDB closes a connection if an operation is canceled. It has no
// deadline, because the driver repeats a failing command thousands of times
// per second if there is one.
func (m *Manager) storeContext(ctx context.Context) (context.Context, *lazyTimeout) {
	return withLazyTimeout(ctx, m.timeout)
}

// lazyTimeout is a context that ends after a duration, or when it is released.
// The timer starts when somebody first waits for the end, so a store with an
// immediate reply does not pay for a timer.
type lazyTimeout struct {
	context.Context
	cancel context.CancelFunc
	after  time.Duration
	begin  sync.Once
	timer  *time.Timer
}

// withLazyTimeout returns a context with the values of ctx and a timeout of
// its own, and the same context for its release.
func withLazyTimeout(ctx context.Context, d time.Duration) (context.Context, *lazyTimeout) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	b := &lazyTimeout{Context: ctx, cancel: cancel, after: d}
	return b, b
}

func (b *lazyTimeout) Done() <-chan struct{} {
	b.begin.Do(func() { b.timer = time.AfterFunc(b.after, b.cancel) })
	return b.Context.Done()
}

// Err starts the timer too, because a caller may poll it.
func (b *lazyTimeout) Err() error {
	b.Done()
	return b.Context.Err()
}

// release stops the timer and ends the context.
func (b *lazyTimeout) release() {
	b.begin.Do(func() {})
	if b.timer != nil {
		b.timer.Stop()
	}
	b.cancel()
}
