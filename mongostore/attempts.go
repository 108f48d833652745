package mongostore

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-go/session/internal/backoff"
)

// errBusy is returned beyond WithMaxInFlight.
var errBusy = errors.New("mongostore: too many operations are waiting for the server; see WithMaxInFlight")

// do runs an operation, and runs it again while its error satisfies again and
// ctx has not ended. The driver makes one more attempt by itself, at once; an
// election takes longer.
func (s *Store) do(ctx context.Context, again func(error) bool, op func(context.Context) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return repeat(operation{ctx}, again, op)
}

// enter counts an operation, or refuses it beyond WithMaxInFlight.
func (s *Store) enter() error {
	if s.flight.Add(1) > s.maxFlight {
		s.flight.Add(-1)
		return errBusy
	}
	return nil
}

func (s *Store) leave() { s.flight.Add(-1) }

func repeat(ctx context.Context, again func(error) bool, op func(context.Context) error) error {
	err := ctx.Err()
	for try := 0; ctx.Err() == nil; try++ {
		if err = op(ctx); err == nil || !again(err) || !backoff.Wait(ctx, try, time.Second) {
			return err
		}
	}
	return err
}
