package otelsession

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/holdfast-go/session"
)

// Keys of attributes.
const (
	keyOperation = attribute.Key("holdfast.session.operation")
	keyOutcome   = attribute.Key("holdfast.session.outcome")
	keyResult    = attribute.Key("holdfast.session.result")
	keyReason    = attribute.Key("holdfast.session.reason")
	keyKind      = attribute.Key("holdfast.session.kind")
	keyError     = attribute.Key("error.type")
)

// Instrument returns the options of [session.New] that emit metrics and spans. A
// Manager gets them once. They do not exclude other observers and Tracers.
//
// The spans are "session load", the admission of a request with a session token,
// and "session commit", a commit with changes. The spans of the store's driver are
// their children.
func Instrument(opts ...Option) []session.Option {
	c := newConfig(opts)
	t := &telemetry{tracer: c.traces.Tracer(ScopeName), instruments: newInstruments(c.meter())}
	t.zero()
	return []session.Option{session.WithTracer(t), session.WithObserver(t.observe)}
}

// telemetry is the Tracer and the observer of a Manager.
type telemetry struct {
	instruments
	tracer trace.Tracer

	expired recent
	sets    sync.Map // of setKey to metric.MeasurementOption
}

// zero starts the counters at zero. Otherwise Prometheus would not see the first
// increase, because a series that begins with 1 has none.
func (t *telemetry) zero() {
	ctx := context.Background()
	for _, c := range []metric.Int64Counter{t.created, t.signIns, t.signOuts, t.renewals, t.lost} {
		c.Add(ctx, 0)
	}
	for _, reason := range []string{"sign_out", "revoked", "evicted", "expired"} {
		t.ended.Add(ctx, 0, t.set(setKey{reason: reason}))
	}
	for _, result := range []session.Outcome{
		session.AdmissionNone, session.AdmissionForged, session.AdmissionCurrent, session.AdmissionSuperseded,
		session.AdmissionStale, session.AdmissionExpired, session.AdmissionNotFound, session.AdmissionUnavailable,
	} {
		t.admissions.Add(ctx, 0, t.set(setKey{result: result}))
	}
}

// opContext is the context of an operation. It carries the time of the start and
// the span without a search.
type opContext struct {
	context.Context
	start time.Time
	span  trace.Span // nil if the operation has none
}

// Start implements [session.Tracer].
func (t *telemetry) Start(ctx context.Context, op session.Operation) context.Context {
	c := &opContext{Context: ctx}
	switch {
	case op.Kind == session.OperationAdmit && op.Tokens > 0:
		c.Context, c.span = t.tracer.Start(ctx, "session load")
	case op.Kind == session.OperationAdmit:
	case op.Kind == session.OperationCommit && op.Changes:
		c.Context, c.span = t.tracer.Start(ctx, "session commit")
	case op.Kind == session.OperationCommit:
	default:
		t.active.Add(ctx, 1)
	}
	c.start = time.Now()
	return c
}

// End implements [session.Tracer].
func (t *telemetry) End(ctx context.Context, r session.Result) {
	c := ctx.(*opContext)
	took := time.Since(c.start).Seconds()
	switch r.Kind {
	case session.OperationAdmit:
		t.admissions.Add(c, 1, t.set(setKey{result: r.Outcome}))
		c.end(keyResult, r)
	case session.OperationCommit:
		t.commits.Record(c, took, t.set(setKey{outcome: r.Outcome}))
		if r.Outcome == session.OutcomeStored && r.Size > 0 {
			t.sizes.Record(c, int64(r.Size))
		}
		c.end(keyOutcome, r)
	default:
		t.active.Add(c, -1)
		t.operations.Record(c, took, t.set(setKey{operation: r.Kind, outcome: r.Outcome, failure: errorType(r)}))
	}
}

// end ends the span, if there is one. The description of its status stays empty,
// because the text of an error may contain a session ID or a host name.
func (c *opContext) end(key attribute.Key, r session.Result) {
	if c.span == nil {
		return
	}
	if c.span.IsRecording() {
		c.span.SetAttributes(key.String(string(r.Outcome)))
		if failure := errorType(r); failure != "" {
			c.span.SetAttributes(keyError.String(failure))
			c.span.SetStatus(codes.Error, "")
		}
	}
	c.span.End()
}

// observe counts the events in the life of sessions.
func (t *telemetry) observe(ctx context.Context, e session.Event) {
	switch e.Kind {
	case session.EventCreated:
		t.created.Add(ctx, 1)
	case session.EventSignedIn:
		t.signIns.Add(ctx, 1)
	case session.EventRenewed:
		t.renewals.Add(ctx, 1)
	case session.EventSignedOut:
		t.signOuts.Add(ctx, 1)
		t.end(ctx, "sign_out")
	case session.EventRevoked:
		t.end(ctx, "revoked")
	case session.EventEvicted:
		t.end(ctx, "evicted")
	case session.EventExpired:
		if t.expired.add(e.ID) {
			t.end(ctx, "expired")
		}
	case session.EventLostChange:
		t.lost.Add(ctx, 1)
	}
}

// end counts a session that has ended.
func (t *telemetry) end(ctx context.Context, reason string) {
	t.ended.Add(ctx, 1, t.set(setKey{reason: reason}))
}

// setKey names a set of attributes. An empty field is no attribute.
type setKey struct {
	operation session.OperationKind
	outcome   session.Outcome
	result    session.Outcome
	reason    string
	failure   string
}

// set returns the attributes of a measurement. There are few combinations, so each
// of them is made once.
func (t *telemetry) set(k setKey) metric.MeasurementOption {
	if known, ok := t.sets.Load(k); ok {
		return known.(metric.MeasurementOption)
	}
	var attrs []attribute.KeyValue
	add := func(key attribute.Key, value string) {
		if value != "" {
			attrs = append(attrs, key.String(value))
		}
	}
	add(keyOperation, string(k.operation))
	add(keyOutcome, string(k.outcome))
	add(keyResult, string(k.result))
	add(keyReason, k.reason)
	add(keyError, k.failure)
	set := metric.WithAttributeSet(attribute.NewSet(attrs...))
	t.sets.Store(k, set)
	return set
}

// recent holds the last IDs added. Each request with the token of an expired
// session reports it, but the session has ended only once.
type recent struct {
	mu   sync.Mutex
	has  map[session.ID]bool
	ring [1024]session.ID
	next int
}

// add reports whether id is new.
func (r *recent) add(id session.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.has[id] {
		return false
	}
	if r.has == nil {
		r.has = make(map[session.ID]bool)
	}
	delete(r.has, r.ring[r.next])
	r.ring[r.next] = id
	r.has[id] = true
	r.next = (r.next + 1) % len(r.ring)
	return true
}
