package otelsession

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
)

type labeledError struct{ label string }

func (e labeledError) Error() string                   { return e.label }
func (e labeledError) HasErrorLabel(label string) bool { return e.label == label }

type busyError struct{}

func (busyError) Error() string    { return "busy" }
func (busyError) Overloaded() bool { return true }

type slowError struct{}

func (slowError) Error() string   { return "slow" }
func (slowError) Timeout() bool   { return true }
func (slowError) Temporary() bool { return true }

func TestErrorType(t *testing.T) {
	for _, c := range []struct {
		outcome session.Outcome
		err     error
		want    string
	}{
		{session.OutcomeOK, nil, ""},
		{session.OutcomeNotFound, session.ErrNotFound, ""},
		{session.OutcomeConflict, session.ErrConflict, ""},
		{session.OutcomeTooLarge, session.ErrTooLarge, ""},
		{session.AdmissionCurrent, nil, ""},
		{session.OutcomeUncertain, fmt.Errorf("%w: %w", session.ErrUncertain, context.Canceled), "uncertain"},
		{session.OutcomeError, fmt.Errorf("find: %w", context.Canceled), "timeout"},
		{session.OutcomeError, context.DeadlineExceeded, "timeout"},
		{session.OutcomeError, &net.OpError{Op: "dial", Err: slowError{}}, "timeout"},
		{session.OutcomeError, &net.OpError{Op: "dial", Err: errors.New("refused")}, "unavailable"},
		{session.OutcomeError, labeledError{"NetworkError"}, "unavailable"},
		{session.OutcomeError, fmt.Errorf("find: %w", labeledError{"SystemOverloadedError"}), "overload"},
		{session.OutcomeError, fmt.Errorf("find: %w", busyError{}), "overload"},
		{session.OutcomeError, errors.New("other"), "_OTHER"},
		{session.OutcomeError, nil, "_OTHER"}, // the store has panicked
		{session.AdmissionUnavailable, fmt.Errorf("%w: other", session.ErrUnavailable), "unavailable"},
		{session.AdmissionUnavailable, fmt.Errorf("%w: %w", session.ErrUnavailable, context.Canceled), "timeout"},
	} {
		require.Equal(t, c.want, errorType(session.Result{Outcome: c.outcome, Err: c.err}), "%v %v", c.outcome, c.err)
	}
}

func TestRecent(t *testing.T) {
	var r recent
	id := func(n int) (id session.ID) {
		id[0], id[1], id[2] = 1, byte(n), byte(n>>8)
		return id
	}
	require.True(t, r.add(id(0)))
	require.False(t, r.add(id(0)))
	for n := 1; n < len(r.ring); n++ {
		require.True(t, r.add(id(n)))
	}
	require.False(t, r.add(id(0)))
	require.True(t, r.add(id(len(r.ring))))
	require.True(t, r.add(id(0)), "forgotten")
	require.Len(t, r.has, len(r.ring))
}
