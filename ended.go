package session

import (
	"context"
	"time"
)

// Ended returns a channel that is closed when the session has ended, or when
// another request has renewed its token. Use it in a WebSocket or an event stream,
// which outlives the moment when its session was loaded. After the channel is
// closed, [Session.Reload] returns [ErrNotFound] if the session has ended, and
// [ErrSuperseded] if its token was renewed and the client must reconnect with its
// new cookie.
//
// A session ends by a sign-out, a revocation, [WithMaxPerUser] or its timeouts. A
// database that reports changes, such as a replica set of MongoDB, does so within
// milliseconds (see [Watcher]). Otherwise the Manager reads the sessions that wait
// at an interval (see [WithPollInterval]). An error of the store does not close the
// channel.
//
// When ctx ends, the Manager stops waiting, and the channel may remain open. So ctx
// must end with the connection, as the context of a request does. The Manager has
// goroutines only while it waits: two for all sessions, and up to eight more during a
// read from a store that is not a [BatchLoader].
//
// The channel follows the changes of this Session. Its own sign-in or Renew does
// not close it, and the channel then stands for the new session or token. Its own
// sign-out closes it. If the session is not stored, the channel remains open until
// this Session stores one and that ends. If the request came with a superseded
// token, the channel is closed at once.
//
// An open connection is no activity, so the session can reach its idle timeout.
// [Session.Save] records activity, even if no change is pending. Ended counts as
// reading the session, like [Session.Info].
func (s *Session) Ended(ctx context.Context) <-chan struct{} {
	s.mu.Lock()
	s.accessed = true
	s.mu.Unlock()
	s.waits.Store(true) // before the Manager reads the record, see endWaiting
	w := s.m.waits.add(s.m, s)
	context.AfterFunc(ctx, func() { s.m.waits.release(w) })
	return w.ended
}

// WithPollInterval sets the interval at which [Session.Ended] reads the waiting
// sessions, if the database does not report changes. A session is also read when it
// seems to have expired, within a second whatever the interval is. Nothing is read
// while nobody waits. d must be at least ten milliseconds and at most one hour. The
// default is one second.
func WithPollInterval(d time.Duration) Option {
	return func(c *config) { c.poll = d }
}

// stored returns the Info of the session's record, or a zero Info.
func (s *Session) stored() (info Info) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rec != nil {
		info = s.rec.Info
	}
	return info
}

// hasEnded reports whether the session has ended, if found is its record as stored
// now, or nil if there is none. The caller holds turn, so no commit of this Session
// is in progress.
func (s *Session) hasEnded(found *Record, now time.Time) bool {
	switch {
	case s.needsSignIn():
		return true
	case s.rec == nil:
		return false
	case found == nil || !s.m.isLive(&found.Info, now):
		return true
	}
	return !s.owns(found, s.rec.Verifier) && !s.attempted(found)
}

// attempted reports whether the token of found comes from a renewal of this
// Session whose outcome is unknown. A later Save completes it.
func (s *Session) attempted(found *Record) bool {
	a := s.pend.attempt
	return a != nil && !a.next.id.IsZero() && found.matches(a.next.secret)
}
