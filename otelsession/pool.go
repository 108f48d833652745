package otelsession

import (
	"context"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// PoolMonitor returns a monitor for the connection pools of a client of MongoDB. It
// emits the metrics db.client.connection.* of OpenTelemetry's semantic conventions.
// The name of a pool is the address of its server. Use one monitor for one client.
func PoolMonitor(opts ...Option) *event.PoolMonitor {
	c := newConfig(opts)
	p := &pools{
		poolInstruments: newPoolInstruments(c.meter()),
		sizes:           make(map[string]int64),
		taken:           make(map[connection]time.Time),
	}
	return &event.PoolMonitor{Event: p.event}
}

// poolInstruments are the metrics of connection pools.
type poolInstruments struct {
	count   metric.Int64UpDownCounter
	limit   metric.Int64UpDownCounter
	pending metric.Int64UpDownCounter
	timeout metric.Int64Counter
	create  metric.Float64Histogram
	wait    metric.Float64Histogram
	use     metric.Float64Histogram
}

func newPoolInstruments(m metric.Meter) poolInstruments {
	gauge := func(name, unit, text string) metric.Int64UpDownCounter {
		return must(m.Int64UpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(text)))
	}
	duration := func(name, text string) metric.Float64Histogram {
		return must(m.Float64Histogram(name, metric.WithUnit("s"), seconds, metric.WithDescription(text)))
	}
	return poolInstruments{
		count:   gauge("db.client.connection.count", "{connection}", "Number of connections by state."),
		limit:   gauge("db.client.connection.max", "{connection}", "Maximum number of connections."),
		pending: gauge("db.client.connection.pending_requests", "{request}", "Number of requests waiting for a connection."),
		timeout: must(m.Int64Counter("db.client.connection.timeouts", metric.WithUnit("{timeout}"),
			metric.WithDescription("Number of requests that did not get a connection in time."))),
		create: duration("db.client.connection.create_time", "Time to open a connection."),
		wait:   duration("db.client.connection.wait_time", "Time to get a connection from the pool."),
		use:    duration("db.client.connection.use_time", "Time between taking a connection and giving it back."),
	}
}

// connection identifies a connection of a client.
type connection struct {
	server string
	id     int64
}

// pools follows the connections of a client.
type pools struct {
	poolInstruments
	mu    sync.Mutex
	sizes map[string]int64         // maximum number of connections by server
	taken map[connection]time.Time // open connections, with the time of the check-out or a zero time
}

func (p *pools) event(e *event.PoolEvent) {
	ctx, name := context.Background(), attribute.String("db.client.connection.pool.name", e.Address)
	pool := metric.WithAttributeSet(attribute.NewSet(name))
	state := func(is string, n int64) {
		p.count.Add(ctx, n, metric.WithAttributeSet(attribute.NewSet(name, attribute.String("db.client.connection.state", is))))
	}
	c := connection{e.Address, e.ConnectionID}
	switch e.Type {
	case event.ConnectionPoolCreated:
		if o := e.PoolOptions; o != nil && o.MaxPoolSize > 0 {
			p.limit.Add(ctx, p.resize(e.Address, int64(o.MaxPoolSize)), pool)
		}
	case event.ConnectionPoolClosed:
		p.limit.Add(ctx, p.resize(e.Address, 0), pool)
	case event.ConnectionReady:
		p.put(c, time.Time{})
		state("idle", 1)
		p.create.Record(ctx, e.Duration.Seconds(), pool)
	case event.ConnectionCheckOutStarted:
		p.pending.Add(ctx, 1, pool)
	case event.ConnectionCheckOutFailed:
		p.pending.Add(ctx, -1, pool)
		if e.Reason == event.ReasonTimedOut {
			p.timeout.Add(ctx, 1, pool)
		}
	case event.ConnectionCheckedOut:
		p.pending.Add(ctx, -1, pool)
		p.wait.Record(ctx, e.Duration.Seconds(), pool)
		p.put(c, time.Now())
		state("idle", -1)
		state("used", 1)
	case event.ConnectionCheckedIn:
		since, _ := p.take(c)
		p.put(c, time.Time{})
		p.use.Record(ctx, time.Since(since).Seconds(), pool)
		state("used", -1)
		state("idle", 1)
	case event.ConnectionClosed:
		if since, open := p.take(c); open && since.IsZero() {
			state("idle", -1)
		} else if open {
			state("used", -1)
		}
	}
}

// resize notes the maximum of a pool and returns the difference from the last one.
func (p *pools) resize(server string, size int64) (change int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change = size - p.sizes[server]
	p.sizes[server] = size
	return change
}

// put notes an open connection.
func (p *pools) put(c connection, since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken[c] = since
}

// take removes a connection. It reports whether the connection was open. One that
// fails before it is ready was not.
func (p *pools) take(c connection) (since time.Time, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	since, open = p.taken[c]
	delete(p.taken, c)
	return since, open
}
