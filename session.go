package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// Session is the session of one request. It is safe for concurrent use until the
// request's handler returns. Other requests of the same visitor have Sessions of
// their own.
//
// Methods without a context do no I/O. Their changes are pending until the
// response begins, when the Manager saves them. An invalid call, such as one with
// a value that cannot be encoded, is remembered like an error of a
// [bufio.Writer]. Save returns it. Without a Save the Manager logs it and
// responds with 500 Internal Server Error instead of the page.
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
	rec         *Record // as stored; nil if nothing is stored
	secret      secret  // of the token that was presented or issued last
	others      []ID    // live sessions of other cookies in the request
	withheldErr error   // see Manager.checkWithheld; nil if the client has no other session
	lapsed      bool    // the request came with the token of a session that has ended
	pend        pending
	wrapped     bool // a Wrap commits the session
	begun       bool // the response has begun
	ended       bool // the handler has returned

	late atomic.Bool // changes were made after the response began

	// These fields are read and written with mu only.
	cookie       *http.Cookie // made by a commit and not sent yet; nil if there is none
	cookieSent   bool         // the caller has got cookie and sends it
	revoked      time.Time    // latest revocation by this request; zero if there is none
	accessed     bool         // the handler has read or changed the session
	headerValues [2][1]string // backing arrays of header values; see singleValue
}

// standing describes the relation of the request's token to a record.
type standing int

const (
	anonymous  standing = iota // no token, or not one of a live session
	current                    // the token of rec
	superseded                 // the token before a renewal of rec, which other requests may still carry
	unsettled                  // the token of rec, whose sign-in failed in this request before it was complete
	job                        // no token, because rec was loaded by its ID
)

// ID returns the session's, the zero ID where nothing is stored or about to
// be.
func (s *Session) ID() ID {
	info := s.Info()
	return info.ID
}

// User returns who is signed in, "" for nobody.
func (s *Session) User() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accessed = true
	return s.user()
}

// Info describes the session as it is stored, with the user and ID that it
// is about to have. It is zero where nothing is stored or about to be.
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

// SignIn signs a user in, whose credentials have just been checked: the
// session gets a new token, so that one planted before is worth nothing
// (session fixation), and the configured limits. An anonymous session and one
// of the same user keep their data. In place of another user's session a new
// one begins, without its data and without what this request set before.
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

// Renew gives the session a new token and keeps all else, as is due when its
// rights grow. Without a stored session it does nothing.
func (s *Session) Renew() {
	s.change("Renew", nil, func(p *pending) error {
		p.renew = true
		return s.notJob()
	})
}

// SetTimeouts gives this session limits of its own, idle from one second to
// lifetime, which counts from the sign-in or else the creation and is at most
// 400 days: "remember me". It renews the token.
func (s *Session) SetTimeouts(idle, lifetime time.Duration) {
	s.change("SetTimeouts", nil, func(p *pending) error {
		if idle < time.Second || idle > lifetime || lifetime > maxCookieAge {
			return fmt.Errorf("idle %v, lifetime %v: want one second <= idle <= lifetime <= %v", idle, lifetime, maxCookieAge)
		}
		p.timeouts, p.renew = &timeouts{idle.Truncate(time.Millisecond), lifetime.Truncate(time.Millisecond)}, true
		return s.notJob()
	})
}

// Clear removes all values. User, token and limits stay.
func (s *Session) Clear() {
	s.change("Clear", nil, func(p *pending) error {
		p.values = nil
		p.cleared++
		return nil
	})
}

// SignOut ends the session: the record is deleted and the cookie taken back.
// It is how a user signs out. A later Set starts a new session.
func (s *Session) SignOut() {
	s.change("SignOut", nil, func(p *pending) error {
		s.detach()
		p.signOut = true
		return nil
	})
}

// Expired reports whether the request came with a valid token of a session that
// no longer exists: it has expired, or was ended from elsewhere. It is false for
// a new visitor and after a sign-out in this browser, which deletes the cookie.
func (s *Session) Expired() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accessed = true
	return s.lapsed
}

// Discard forgets what this request has changed since its start or last Save,
// but for Updates.
func (s *Session) Discard() {
	s.lock()
	invalid := s.pend.invalid
	if a := s.pend.attempt; a != nil && !a.next.id.IsZero() {
		s.standing = superseded // perhaps, by this request's own renewal
	}
	s.pend = pending{}
	s.unlock()
	if invalid != nil {
		s.m.log.Warn("session: Discard forgot a fault", "error", invalid)
	}
}

// Save stores the changes now: before a side effect that must not happen
// without them, in a WebSocket or an event stream, in a job. It judges the
// limits anew and records activity. After a failure the changes are still
// pending. With none it need not ask the store, so that it may not notice a
// session that others have ended; Reload does.
//
// Errors: [ErrNotFound], the session has ended; [ErrConflict],
// [ErrSuperseded], [ErrRevoked], [ErrCrossSite], [ErrTooLarge],
// [ErrUndeliverable], a fault of an earlier call; else what the store says.
func (s *Session) Save(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.begun && s.changesToken() {
		return ErrUndeliverable
	}
	if err := s.readmit(ctx); err != nil {
		return err
	}
	return s.commit(ctx)
}

// Reload reads the stored session again. Pending changes stay.
//
// Errors: [ErrNotFound], the session has ended or nothing is stored;
// [ErrSuperseded], another request has renewed its token, so that a client
// that holds a connection must reconnect; else what the store says.
func (s *Session) Reload(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	s.accessed = true
	s.mu.Unlock()
	return s.reload(ctx)
}

// Cookie returns the cookie of the last Save, for the caller to send now, as
// where no response is to follow; nil unless one has to be sent.
func (s *Session) Cookie() *http.Cookie {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cookie == nil {
		return nil
	}
	s.cookieSent = true
	c := *s.cookie
	return &c
}

var errJob = errors.New("a session from LoadID has no token; do it in a request of the user")

var errEnded = errors.New("the request's handler has returned; use Manager.LoadID and Save")

func (s *Session) notJob() error {
	if s.standing == job {
		return errJob
	}
	return nil
}

// lock takes both locks, as a writer of the fields must.
func (s *Session) lock() {
	s.turn.Lock()
	s.mu.Lock()
}

func (s *Session) unlock() {
	s.mu.Unlock()
	s.turn.Unlock()
}

// change runs f on the pending state; callers need no lock. A fault names the
// method, or the key that has a type.
func (s *Session) change(what string, typ reflect.Type, f func(p *pending) error) {
	if err := s.changeOpen(what, typ, f); err != nil {
		s.m.reportLost(s.context(), err)
	}
}

// changeOpen returns an error if the session takes no changes any more.
func (s *Session) changeOpen(what string, typ reflect.Type, f func(p *pending) error) error {
	s.lock()
	defer s.unlock()
	if s.ended {
		err := misuse(keyText(what, typ), errEnded)
		s.pend.invalid = errors.Join(s.pend.invalid, err)
		return err
	}
	s.accessed = true
	if err := f(&s.pend); err != nil {
		s.pend.invalid = errors.Join(s.pend.invalid, misuse(keyText(what, typ), err))
	}
	if s.begun {
		s.changedLate()
	}
	return nil
}

func (s *Session) context() context.Context {
	if s.request == nil {
		return context.Background()
	}
	return s.request.Context()
}
