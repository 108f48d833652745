package otelsession

import "go.opentelemetry.io/otel/metric"

// instruments are the metrics of a Manager.
type instruments struct {
	operations metric.Float64Histogram
	commits    metric.Float64Histogram
	sizes      metric.Int64Histogram
	active     metric.Int64UpDownCounter
	admissions metric.Int64Counter
	created    metric.Int64Counter
	signIns    metric.Int64Counter
	signOuts   metric.Int64Counter
	renewals   metric.Int64Counter
	ended      metric.Int64Counter
	lost       metric.Int64Counter
}

// seconds are the limits of the buckets for durations. They are those of the
// semantic conventions for database calls.
var seconds = metric.WithExplicitBucketBoundaries(.001, .005, .01, .05, .1, .5, 1, 5, 10)

func newInstruments(m metric.Meter) instruments {
	duration := func(name, text string) metric.Float64Histogram {
		return must(m.Float64Histogram(name, metric.WithUnit("s"), seconds, metric.WithDescription(text)))
	}
	count := func(name, unit, text string) metric.Int64Counter {
		return must(m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(text)))
	}
	return instruments{
		operations: duration("holdfast.session.store.operation.duration", "Duration of calls of the session store."),
		commits:    duration("holdfast.session.commit.duration", "Duration of commits of a session's changes."),
		sizes: must(m.Int64Histogram("holdfast.session.size", metric.WithUnit("By"),
			metric.WithExplicitBucketBoundaries(256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536),
			metric.WithDescription("Size of the data of stored sessions."))),
		active: must(m.Int64UpDownCounter("holdfast.session.store.operation.active", metric.WithUnit("{operation}"),
			metric.WithDescription("Number of calls of the session store in progress."))),
		admissions: count("holdfast.session.admissions", "{request}", "Number of requests by the state of their session cookie."),
		created:    count("holdfast.session.created", "{session}", "Number of sessions created."),
		signIns:    count("holdfast.session.sign_ins", "{session}", "Number of sign-ins."),
		signOuts:   count("holdfast.session.sign_outs", "{session}", "Number of sessions ended by a sign-out or a sign-in."),
		renewals:   count("holdfast.session.renewals", "{session}", "Number of tokens renewed without a sign-in."),
		ended:      count("holdfast.session.ended", "{session}", "Number of sessions ended."),
		lost:       count("holdfast.session.lost_changes", "{change}", "Number of changes that could not be saved."),
	}
}
