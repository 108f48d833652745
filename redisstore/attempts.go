package redisstore

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-go/session/internal/backoff"
)

var (
	// errBusy is returned if WithMaxInFlight operations are running already.
	errBusy   = errors.New("redisstore: too many operations are waiting for the server; see WithMaxInFlight")
	errClosed = errors.New("redisstore: the store is closed")
)

// do runs op, and runs it again after a pause while again accepts its error and
// ctx has not ended. The client itself makes no further attempt.
func (s *Store) do(ctx context.Context, again func(error) bool, op func() error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.repeat(ctx, again, op)
}

// enter counts an operation. It returns errBusy if there are too many.
func (s *Store) enter() error {
	if s.flight.Add(1) > s.maxFlight {
		s.leave()
		return errBusy
	}
	if s.closed.Load() {
		s.leave()
		return errClosed
	}
	return nil
}

// leave ends an operation that enter has counted.
func (s *Store) leave() { s.flight.Add(-1) }

// repeat is do without the count. It returns the error of the last attempt.
func (s *Store) repeat(ctx context.Context, again func(error) bool, op func() error) error {
	err := ctx.Err()
	for try := 0; ctx.Err() == nil; try++ {
		if err = op(); err == nil {
			return nil
		}
		if passing(err) {
			s.refresh(ctx)
		}
		if !again(err) || !backoff.Wait(ctx, try, time.Second) {
			return err
		}
	}
	return err
}

// refresh makes the client of a cluster read the slots again, in the background.
// It does so itself only after a redirection, or ten seconds after the last time,
// because it never repeats a command of the store after the loss of a connection.
func (s *Store) refresh(ctx context.Context) {
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx)
	}
}
