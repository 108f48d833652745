package otelsession

import (
	"context"
	"errors"
	"net"

	"github.com/holdfast-go/session"
)

// errorType returns the value of error.type for a failed operation. It is empty if
// the operation has not failed. An absent record, a conflict and a refusal are
// outcomes, not failures.
func errorType(r session.Result) string {
	switch r.Outcome {
	case session.OutcomeUncertain:
		return "uncertain"
	case session.OutcomeError, session.AdmissionUnavailable:
	default:
		return ""
	}
	var network net.Error
	switch {
	case isOverload(r.Err):
		return "overload"
	case errors.Is(r.Err, context.Canceled), errors.Is(r.Err, context.DeadlineExceeded):
		return "timeout"
	case errors.As(r.Err, &network):
		if network.Timeout() {
			return "timeout"
		}
		return "unavailable"
	case hasLabel(r.Err, "NetworkError"), errors.Is(r.Err, session.ErrUnavailable):
		return "unavailable"
	}
	return "_OTHER"
}

// isOverload reports whether the store or its server has refused a call because of
// too much load. mongostore returns an error with the method Overloaded. MongoDB
// 8.3 returns an error with a label.
func isOverload(err error) bool {
	var busy interface{ Overloaded() bool }
	return errors.As(err, &busy) && busy.Overloaded() || hasLabel(err, "SystemOverloadedError")
}

// hasLabel reports whether a server of MongoDB has labeled the error.
func hasLabel(err error, label string) bool {
	var labeled interface{ HasErrorLabel(string) bool }
	return errors.As(err, &labeled) && labeled.HasErrorLabel(label)
}
