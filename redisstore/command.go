package redisstore

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// onceCmd is a command that the client never repeats, whatever its MaxRetries and
// MaxRedirects. It still follows MOVED and ASK, which are refusals.
type onceCmd struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (onceCmd) NoRetry() bool { return true }

// recordCmd and sliceCmd read records. The client does not repeat them, so it does
// not serve them from a client-side cache either.
type (
	recordCmd struct{ *redis.MapStringStringCmd }
	sliceCmd  struct{ *redis.SliceCmd }
)

// NoRetry implements [redis.Cmder].
func (recordCmd) NoRetry() bool { return true }

// NoRetry implements [redis.Cmder].
func (sliceCmd) NoRetry() bool { return true }

// gate is the first argument of a write. The client calls MarshalBinary when it
// writes the argument to a connection, which shows whether a command that failed
// was sent. After the caller has left, the gate lets no command through.
type gate struct {
	arg   string
	state atomic.Int32
}

const (
	gateWaiting int32 = iota
	gatePassed
	gateClosed
)

var errGateClosed = errors.New("redisstore: the caller's context has ended")

// MarshalBinary implements [encoding.BinaryMarshaler].
func (g *gate) MarshalBinary() ([]byte, error) {
	if !g.state.CompareAndSwap(gateWaiting, gatePassed) && g.state.Load() == gateClosed {
		return nil, errGateClosed
	}
	return []byte(g.arg), nil
}

// String returns the argument, for hooks that log commands.
func (g *gate) String() string { return g.arg }

// close stops the command, and reports whether it may have been sent before.
func (g *gate) close() (passed bool) { return g.state.Swap(gateClosed) == gatePassed }

// call is a command in a goroutine, whose caller stops waiting when its context ends.
type call struct {
	state atomic.Int32
	done  chan error
}

const (
	callRunning int32 = iota
	callEnded
	callLeft
)

// wait runs send and returns its error, or the error of ctx as soon as it ends.
//
// If the connections cannot be interrupted, send then goes on until the server
// replies or the client's timeout passes. It counts towards WithMaxInFlight until
// then.
func (s *Store) wait(ctx context.Context, send func(context.Context) error) error {
	switch {
	case ctx.Done() == nil:
		return send(ctx)
	case s.interrupter != nil:
		return s.interrupter.run(ctx, send)
	}
	c := &call{done: make(chan error, 1)}
	go func() {
		c.done <- send(ctx)
		if !c.state.CompareAndSwap(callRunning, callEnded) {
			s.flight.Add(-1)
			s.left.Add(-1)
		}
	}()
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
	}
	s.flight.Add(1)
	s.left.Add(1)
	if !c.state.CompareAndSwap(callRunning, callLeft) {
		s.flight.Add(-1)
		s.left.Add(-1)
	}
	return ctx.Err()
}

// read sends a command without effects on the record.
func (s *Store) read(ctx context.Context, cmd redis.Cmder) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.wait(ctx, func(ctx context.Context) error { return s.client.Process(ctx, cmd) })
}

// run sends a script once, by its hash, and once more in full if the server does
// not know it. An error that may hide an applied write wraps ErrUncertain.
func (s *Store) run(ctx context.Context, script *script, key string, args []any) (any, error) {
	full := make([]any, 4, 4+len(args))
	full[0], full[1], full[2], full[3] = "evalsha", script.sha, 1, key
	full = append(full, args...)
	reply, err := s.send(ctx, key, script.sha, full)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		full[0] = "eval"
		reply, err = s.send(ctx, key, script.source, full)
	}
	return reply, err
}

// send sends a write. The second argument of the command becomes a gate.
func (s *Store) send(ctx context.Context, key, arg string, args []any) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	g := &gate{arg: arg}
	args[1] = g
	cmd := onceCmd{redis.NewCmd(ctx, args...)}
	err := s.wait(ctx, func(ctx context.Context) error {
		if s.replicas > 0 {
			return s.replicate(ctx, key, cmd)
		}
		return s.client.Process(ctx, cmd)
	})
	if err != nil && (g.close() && !certain(err)) {
		return nil, uncertain(err)
	}
	if err != nil {
		return nil, err
	}
	return cmd.Val(), nil
}
