package mongostore

import (
	"context"
	"time"

	"github.com/holdfast-go/session/internal/backoff"
	"github.com/holdfast-go/session/internal/mongoctx"
)

// errBusy is returned if WithMaxInFlight operations are running already.
const errBusy = busyError("mongostore: too many operations are waiting for the server; see WithMaxInFlight")

// busyError is an error of a store with too much load.
type busyError string

func (e busyError) Error() string { return string(e) }

// Overloaded distinguishes the error from other failures. Package otelsession
// asks for it.
func (busyError) Overloaded() bool { return true }

// do runs op, and runs it again after a pause while again accepts its error and
// ctx has not ended. The driver itself makes only one more attempt, immediately,
// and an election takes longer.
func (s *Store) do(ctx context.Context, again func(error) bool, op func(context.Context) error) error {
	return s.doSlowly(ctx, 0, again, op)
}

// doSlowly is do with a longer pause after the first attempt: the pause that do
// makes after skip+1 attempts.
func (s *Store) doSlowly(ctx context.Context, skip int, again func(error) bool, op func(context.Context) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return repeat(mongoctx.New(ctx), skip, again, op)
}

// enter counts an operation. It returns errBusy if there are too many.
func (s *Store) enter() error {
	if s.flight.Add(1) > s.maxFlight {
		s.flight.Add(-1)
		return errBusy
	}
	return nil
}

// leave ends an operation that enter has counted.
func (s *Store) leave() { s.flight.Add(-1) }

// repeat is doSlowly without the count. It returns the error of the last attempt.
func repeat(ctx context.Context, skip int, again func(error) bool, op func(context.Context) error) error {
	err := ctx.Err()
	for try := skip; ctx.Err() == nil; try++ {
		if err = op(ctx); err == nil || !again(err) || !backoff.Wait(ctx, try, time.Second) {
			return err
		}
	}
	return err
}
