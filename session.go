package session

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Session is the session of one request. It is safe for concurrent use until the
// request's handler returns. Other requests of the same visitor have Sessions of
// their own.
//
// Methods without a context do no I/O. Their changes are pending until the
// response begins, when the Manager saves them. The error of an invalid call, such
// as one with a value that cannot be encoded, is kept like an error of a
// [bufio.Writer]. Save returns it. When the response begins, the Manager logs it
// and responds with 500 Internal Server Error instead of the page.
//
// Methods with a context access the store immediately and return an error. They do
// not observe the end of the context, but pass its values to the store. The store
// timeout bounds them (see [WithStoreTimeout]).
type Session struct {
	m        *Manager
	request  *http.Request // nil outside HTTP
	admitted time.Time     // time of the admission, before anything was loaded

	// turn is held by one change, commit, Reload or step of an Update at a time,
	// also while it calls the store. mu guards the fields below. It is never held
	// during a call of the store, a logger, an observer or a codec, because these
	// may read the session. A writer of a field holds both locks, so the holder of
	// turn can read without mu. The fields at the end are exceptions.
	turn sync.Mutex
	mu   sync.Mutex

	standing    standing
	lapsed      bool    // the request came with the token of a session that has ended
	wrapped     bool    // a Wrap commits the session
	carrier     carrier // how the client sends and receives its token
	refused     bool    // the token of the header opens no session, and the client has to know
	rec         *Record // as stored; nil if nothing is stored
	secret      secret  // of the token that was presented or issued last
	others      []Info  // live sessions of other cookies in the request
	withheldErr error   // see Manager.checkWithheld; nil if the client has no other session
	pend        pending
	extra       *extras // nil without any

	// These fields are read and written with turn only.
	begun     bool // the response has begun
	ended     bool // the handler has returned
	announced bool // EventSignedIn of the pending sign-in was reported, perhaps by another request

	// These fields are read and written with mu only.
	accessed     bool         // the handler has read or changed the session
	cookieSent   bool         // the caller has got cookie and sends it
	cookie       *http.Cookie // made by a commit, with the token in its value; nil if the client needs no new one
	revokedAt    int64        // latest revocation by this request, in nanoseconds since 1970; otherwise 0
	headerValues [2][1]string // backing arrays of header values; see singleValue

	late  atomic.Bool // changes were made after the response began
	waits atomic.Bool // Ended was called
}

// standing describes the relation of the request's token to a record.
type standing int8

const (
	anonymous  standing = iota // no token, or not one of a live session
	current                    // the token of rec
	superseded                 // the token before a renewal of rec, which other requests may still carry
	unsettled                  // the token of rec, whose sign-in failed in this request before it was complete
	job                        // no token, because rec was loaded by its ID
)

// ID returns the session's ID. It is the zero ID if the session is neither
// stored nor about to be. ID counts as reading the session, like
// [Session.Info].
func (s *Session) ID() ID {
	info := s.Info()
	return info.ID
}

// User returns the signed-in user, or "" if nobody is signed in. It counts as
// reading the session, like [Session.Info].
func (s *Session) User() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accessed = true
	return s.user()
}

// Info describes the session as it is stored, with the user of a pending
// sign-in. If the session is about to be stored, only ID and User are set.
// Info is zero if the session is neither stored nor about to be.
//
// Info counts as reading the session. The response then gets Vary: Cookie, and
// also Cache-Control: private unless the handler has set Cache-Control. A
// request with a session gets both in any case.
func (s *Session) Info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accessed = true
	var info Info
	if rec := s.target(); rec != nil {
		info = rec.Info
	} else if s.needsSignIn() && s.pend.user != "" {
		info.ID = s.rec.ID // the sign-in renews or joins it
	} else if s.creates() {
		info.ID = s.nextToken().id
	}
	info.User = s.user()
	return info
}

// SignIn signs user in. Call it once, after the credentials have been checked.
// Pass a stable ID rather than an e-mail address that can change, because
// [Manager.List] and [Manager.Revoke] find sessions by it. user must be valid
// UTF-8, not empty and without NUL.
//
// SignIn replaces the token, which prevents session fixation. It also resets
// the timeouts to the configured ones, unless the request calls
// [Session.SetTimeouts] too. If the session is anonymous or belongs to user,
// its data is kept. If it belongs to another user, a new session replaces it.
// The new session has neither its data nor the earlier changes of this
// request.
//
// The sign-in is pending until the response begins or Save is called. It fails
// with [ErrRevoked] if the user's sessions are revoked meanwhile. In a session
// of [Manager.LoadID], SignIn is an invalid call.
func (s *Session) SignIn(user string) {
	s.change("SignIn", nil, func(p *pending) error {
		if err := checkName("user", user); err != nil {
			return err
		}
		if s.standing == job {
			return errJob
		}
		if is := s.owner(); is != "" && is != user {
			kept := p.timeouts
			s.detach()
			p.timeouts = kept
		}
		p.user, p.renew = user, true
		return nil
	})
}

// Renew replaces the token and changes nothing more. Call it when the user
// gains privileges. It does nothing if the session is not stored. In a session
// of [Manager.LoadID] it is an invalid call.
func (s *Session) Renew() {
	s.change("Renew", nil, func(p *pending) error {
		p.renew = true
		return s.notJob()
	})
}

// SetTimeouts sets an idle timeout and a lifetime for this session only, as
// for "remember me". It also renews the token. idle must be at least one
// second and at most lifetime, and lifetime at most 400 days. Both are
// truncated to milliseconds. The lifetime counts from the sign-in, or from the
// creation if nobody is signed in.
//
// In a request with SignIn the order of the two calls does not matter. A later
// sign-in resets the timeouts. SetTimeouts does nothing if the session is
// neither stored nor about to be. In a session of [Manager.LoadID] it is an
// invalid call.
func (s *Session) SetTimeouts(idle, lifetime time.Duration) {
	s.change("SetTimeouts", nil, func(p *pending) error {
		if idle < time.Second || idle > lifetime || lifetime > maxCookieAge {
			return fmt.Errorf("idle %v, lifetime %v: want one second <= idle <= lifetime <= %v", idle, lifetime, maxCookieAge)
		}
		p.timeouts, p.renew = &timeouts{idle.Truncate(time.Millisecond), lifetime.Truncate(time.Millisecond)}, true
		return s.notJob()
	})
}

// Clear removes all values. The user, the token and the timeouts are kept.
func (s *Session) Clear() {
	s.change("Clear", nil, func(p *pending) error {
		p.values = nil
		p.cleared++
		return nil
	})
}

// SignOut ends the session. It deletes the record and the client's cookie. If
// the request came with several session cookies, it ends all their sessions.
// SignOut drops the pending changes. A later Set in the same request starts a
// new session.
//
// The sign-out is pending until the response begins or Save is called. After
// that no request can restore the session.
func (s *Session) SignOut() {
	s.change("SignOut", nil, func(p *pending) error {
		s.detach()
		p.signOut = true
		return nil
	})
}

// Expired reports whether the request came with a valid token of a session
// that no longer exists. The session has expired, or somebody has ended it
// elsewhere. Expired returns false for a new visitor, and after a sign-out in
// this browser, which deletes the cookie. It counts as reading the session,
// like [Session.Info].
func (s *Session) Expired() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accessed = true
	return s.lapsed
}

// Discard drops the changes that this request has not saved. It does not undo
// an Update that has already accessed the store. The errors of invalid calls
// are logged and dropped too.
func (s *Session) Discard() {
	s.lock()
	invalid := s.pend.invalid
	if a := s.pend.attempt; a != nil && !a.next.id.IsZero() {
		s.standing = superseded // the renewal of this request may have been applied
	}
	s.pend = pending{}
	s.unlock()
	if invalid != nil {
		s.m.log.Warn("session: Discard dropped a pending error", "error", invalid)
	}
}

// Save stores the pending changes now. Call it before a side effect that
// requires them, in a WebSocket or an event stream, and in a job. Save also
// checks the timeouts again and records activity. If it fails, the changes
// remain pending.
//
// If no change is pending, Save may not access the store. It may then not
// notice that another request has ended the session. Use [Session.Reload] to
// check. Save does not observe the end of ctx.
//
// Save returns
//   - [ErrNotFound] if the session has ended
//   - [ErrConflict] if other requests kept changing the record until the store
//     timeout
//   - [ErrSuperseded] if another request has renewed the token
//   - [ErrRevoked] if the user's sessions were revoked during the sign-in
//   - [ErrCrossSite] or [ErrOutsidePath] if the request must not start a
//     session
//   - [ErrTooLarge] if the data exceeds [WithMaxSize]
//   - [ErrUndeliverable] if the client needs a new cookie and the response has
//     begun
//   - [ErrUncertain] if the outcome is unknown
//   - [ErrUnavailable] if the store failed
//   - the error of an earlier invalid call, each time until [Session.Discard]
func (s *Session) Save(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	return s.traceCommit(ctx, s.save)
}

// Reload reads the stored session again. Pending changes are kept. Reload does
// not observe the end of ctx. It counts as reading the session, like
// [Session.Info].
//
// Reload returns [ErrNotFound] if the session has ended or is not stored, and
// [ErrUnavailable] if the store failed. It returns [ErrSuperseded] if another
// request has renewed the token, so a client with a long connection must
// reconnect.
func (s *Session) Reload(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	s.accessed = true
	s.mu.Unlock()
	return s.reload(ctx)
}

// Cookie returns a copy of the cookie that the last Save produced, for a
// caller that sends it, for example before it hijacks the connection. It
// returns nil if there is no cookie to send. After SignOut and Save the cookie
// deletes the client's. With [WithTokenHeader] use [Session.SetHeader] instead,
// because Cookie also returns nil if the client uses the header.
func (s *Session) Cookie() *http.Cookie {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cookie == nil || s.carrier == byHeader {
		return nil
	}
	s.cookieSent = true
	c := *s.cookie
	return &c
}

// context returns the request's context, or an empty one outside HTTP.
func (s *Session) context() context.Context {
	if s.request == nil {
		return context.Background()
	}
	return s.request.Context()
}
