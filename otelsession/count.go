package otelsession

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/holdfast-go/session"
)

// CountSessions emits the gauge holdfast.session.count with the number of live
// sessions in store. It counts them at each collection, which may read every
// record. So call it in one process only. Call Unregister of the result when the
// store is closed.
func CountSessions(store session.Inspector, opts ...Option) (metric.Registration, error) {
	c := newConfig(opts)
	gauge, err := c.meter().Int64ObservableGauge("holdfast.session.count", metric.WithUnit("{session}"),
		metric.WithDescription("Number of live sessions in the store."))
	if err != nil {
		return nil, err
	}
	kinds := []struct {
		kind  session.Kind
		value string
	}{{session.KindUser, "user"}, {session.KindAnonymous, "anonymous"}}
	return c.meter().RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		for _, k := range kinds {
			n, err := store.Count(ctx, session.Filter{Kind: k.kind, LiveAt: time.Now()})
			if err != nil {
				return err
			}
			o.ObserveInt64(gauge, n, metric.WithAttributes(keyKind.String(k.value)))
		}
		return nil
	}, gauge)
}
