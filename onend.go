package session

import (
	"context"
	"net/http"
)

// extras hold the state of methods that few requests use. It is apart from Session,
// so other requests need no memory for it.
type extras struct {
	imported *imported // the import in progress; otherwise nil

	ends    []func(context.Context) (*http.Cookie, error) // of OnEnd
	cookies []*http.Cookie                                // returned by these functions
}

// extras returns s.extra and creates it if necessary. The caller holds both locks.
func (s *Session) extras() *extras {
	if s.extra == nil {
		s.extra = &extras{}
	}
	return s.extra
}

// OnEnd registers a function for the case that this request ends the session, by
// [Session.SignOut] or by a sign-in as another user. A middleware uses it to end
// something together with the session, such as a session of another program. f is
// called before the record is deleted, perhaps several times, with a context that
// ends at the store timeout. It is also called by a sign-out if there is no
// session. f must not use the Session.
//
// If f returns an error, the session does not end, and Save or the response fails
// with this error. If f returns a cookie, the response sets it, to delete the cookie
// of the other program.
func (s *Session) OnEnd(f func(ctx context.Context) (*http.Cookie, error)) {
	s.lock()
	defer s.unlock()
	s.extras().ends = append(s.extras().ends, f)
}

// endsMore reports whether OnEnd was called.
func (s *Session) endsMore() bool { return s.extra != nil && len(s.extra.ends) > 0 }

// endCompanions calls the functions of OnEnd. The caller holds turn.
func (s *Session) endCompanions(ctx context.Context) error {
	if !s.endsMore() {
		return nil
	}
	var cookies []*http.Cookie
	for _, f := range s.extra.ends {
		c, err := f(ctx)
		if err != nil {
			return err
		}
		if c != nil {
			cookies = append(cookies, c)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extra.cookies = cookies
	return nil
}

// addCookies adds the cookies of OnEnd to a response's header. x may be nil.
func (x *extras) addCookies(h http.Header) {
	if x == nil {
		return
	}
	for _, cookie := range x.cookies {
		setCookie(h, cookie)
		noStore(h)
	}
}
