package otelsession

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/holdfast-go/session"
)

// countInterval is the minimum time between two counts.
const countInterval = time.Minute

// CountSessions emits the gauge holdfast.session.count with the number of live
// sessions in store. It counts them when the metrics are collected, at most once
// per minute, and otherwise emits the last numbers. A count may read every record,
// so call CountSessions in one process only. Call Unregister of the result before
// the store is closed.
func CountSessions(store session.Inspector, opts ...Option) (metric.Registration, error) {
	c := newConfig(opts)
	gauge, err := c.meter().Int64ObservableGauge("holdfast.session.count", metric.WithUnit("{session}"),
		metric.WithDescription("Number of live sessions in the store."))
	if err != nil {
		return nil, err
	}
	n := counter{store: store}
	return c.meter().RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		users, anonymous, err := n.count(ctx)
		if err != nil {
			return err
		}
		o.ObserveInt64(gauge, users, metric.WithAttributes(keyKind.String("user")))
		o.ObserveInt64(gauge, anonymous, metric.WithAttributes(keyKind.String("anonymous")))
		return nil
	}, gauge)
}

// counter counts sessions and keeps the last result.
type counter struct {
	store session.Inspector

	mu               sync.Mutex
	at               time.Time // time of the last count; zero if there was none
	users, anonymous int64
}

func (n *counter) count(ctx context.Context) (users, anonymous int64, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if !n.at.IsZero() && now.Sub(n.at) < countInterval {
		return n.users, n.anonymous, nil
	}
	if users, err = n.store.Count(ctx, session.Filter{Kind: session.KindUser, LiveAt: now}); err != nil {
		return 0, 0, err
	}
	if anonymous, err = n.store.Count(ctx, session.Filter{Kind: session.KindAnonymous, LiveAt: now}); err != nil {
		return 0, 0, err
	}
	n.at, n.users, n.anonymous = now, users, anonymous
	return users, anonymous, nil
}
