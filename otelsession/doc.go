// Package otelsession emits metrics and spans of a [session.Manager] by
// OpenTelemetry.
//
//	sessions, err := session.New(store, secret, otelsession.Instrument()...)
//
// The metrics are named holdfast.session.*. No metric and no span has a session
// ID, a user, a client's address, a key or a value. docs/how-to/monitor.md shows
// how to use the package, and docs/reference/events-and-logs.md lists the metrics.
package otelsession
