package express

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/holdfast-go/session"
)

// origin is a value of a session that continues an Express session which is not
// removed or marked yet.
type origin struct {
	Session     string        `json:"session"` // fingerprint of the ID
	Path        string        `json:"path,omitempty"`
	Domain      string        `json:"domain,omitempty"`
	Secure      bool          `json:"secure,omitempty"`
	Partitioned bool          `json:"partitioned,omitempty"`
	SameSite    http.SameSite `json:"sameSite,omitempty"`
}

// originKey is the name of an origin.
const originKey session.Key[origin] = "express.origin"

// Move returns a handler that gives each visitor of Express a session of m, before
// it calls next. Put it directly inside Wrap of m:
//
//	sessions.Wrap(old.Move(sessions, mux))
//
// A visitor with a session of m keeps it. For a visitor with a valid cookie of
// Express only, Move reads the Express session, signs its user in and sets the
// values of [WithProperty]. It stores this session before it calls next. A client
// with the header of [session.WithTokenHeader] does not move. A request from another
// site does not move a visitor if the browser would have withheld the
// cookie of m (see [session.WithSameSite]). An Express session without a user and
// without these properties does not move, so visitors without data get no session.
//
// The value with the key "express.origin" in a session belongs to Move.
//
// If a store fails, the client receives the response of [WithErrorHandler] and keeps
// its cookies, so its next request can move. Move panics if it is not inside Wrap of
// m, or if m has the cookie name of Express.
func (x *Sessions) Move(m *session.Manager, next http.Handler) http.Handler {
	if m.CookieName() == x.cookieName {
		panic(fmt.Sprintf("express: the session cookie and the one of Express are both named %q: choose another name with session.WithCookieName", x.cookieName))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := m.FromContext(r.Context())
		if id, ok := x.sessionID(r); ok {
			if err := x.move(w, r, s, id); err != nil {
				x.log.ErrorContext(r.Context(), "express: visitor could not be moved", "error", err)
				x.answer(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// move gives s the state that the Express session with an ID asks for.
func (x *Sessions) move(w http.ResponseWriter, r *http.Request, s *session.Session, id string) error {
	if s.UsesTokenHeader() {
		return nil
	}
	if !s.ID().IsZero() {
		x.endTogether(s, id, nil)
		if o, ok := originKey.Get(s); ok && o.Session == fingerprint(id) {
			x.complete(w, r.Context(), s, id, o)
		}
		return nil
	}
	old, err := x.load(r.Context(), id)
	if errors.Is(err, session.ErrNotFound) {
		x.endTogether(s, id, nil)
		return nil
	}
	if err != nil {
		return err
	}
	x.endTogether(s, id, &old.cookie)
	return x.begin(r.Context(), s, old)
}

// begin stores a session that continues old, and marks old.
func (x *Sessions) begin(ctx context.Context, s *session.Session, old *Session) error {
	fill := func(s *session.Session) { x.fill(ctx, s, old) }
	mark := func(ctx context.Context) error { return x.markMoved(ctx, s, old.id) }
	if old.stored.Mark == MarkMoved {
		fill, mark = nil, nil
	}
	err := s.Import(ctx, "express\x00"+x.cookieName+"\x00"+old.id, fill, mark)
	if slices.ContainsFunc(withoutSession, func(target error) bool { return errors.Is(err, target) }) {
		return nil
	}
	return err
}

// withoutSession lists the errors of Import after which the visitor has no session.
var withoutSession = []error{
	session.ErrNotFound, session.ErrCrossSite, session.ErrOutsidePath, session.ErrSuperseded, session.ErrRevoked,
}

// markMoved marks an Express session after s is stored. It returns ErrNotFound if
// the Express session has ended meanwhile. If the mark cannot be stored, a later
// request tries again.
func (x *Sessions) markMoved(ctx context.Context, s *session.Session, id string) error {
	mark, err := x.store.Mark(ctx, id, MarkMoved)
	if err != nil {
		x.log.WarnContext(ctx, "express: moved session could not be marked; trying again later", "session", s.ID(), "error", err)
	}
	if mark == MarkEnded {
		return session.ErrNotFound
	}
	return nil
}

// fill gives s the user and the properties of old.
func (x *Sessions) fill(ctx context.Context, s *session.Session, old *Session) {
	found, complete := 0, true
	for _, p := range x.properties {
		raw, ok := old.members.get(p.name)
		if !ok {
			continue
		}
		if err := p.copy(raw, s); err != nil {
			complete = false
			x.log.ErrorContext(ctx, "express: property was not moved; keeping the Express session", "property", p.name, "error", err)
			continue
		}
		found++
	}
	if old.user != "" {
		s.SignIn(old.user)
	}
	if complete && (found > 0 || old.user != "") {
		c := &old.cookie
		originKey.Set(s, origin{fingerprint(old.id), c.path, c.domain, c.secure, c.partitioned, c.sameSite})
	}
}

// complete removes the Express session of o after the removal delay, or only marks
// it with WithRollback. If it fails, a later request tries again.
func (x *Sessions) complete(w http.ResponseWriter, ctx context.Context, s *session.Session, id string, o origin) {
	info := s.Info()
	if !x.rollback && x.now().Before(info.CreatedAt.Add(x.delay)) {
		return
	}
	err := x.settle(ctx, id)
	if err == nil {
		originKey.Delete(s)
		if err = s.Save(ctx); err != nil {
			s.Discard()
		}
	}
	if err != nil {
		x.log.WarnContext(ctx, "express: Express session could not be removed or marked; trying again later", "session", info.ID, "error", err)
		return
	}
	if !x.rollback {
		c := cookieOptions{path: o.Path, domain: o.Domain, secure: o.Secure, partitioned: o.Partitioned, sameSite: o.SameSite}
		http.SetCookie(w, c.deletion(x.cookieName))
	}
}

// endTogether ends the Express session with an ID when s ends. c has the attributes
// of its cookie, or is nil if they are not known.
func (x *Sessions) endTogether(s *session.Session, id string, c *cookieOptions) {
	s.OnEnd(func(ctx context.Context) (*http.Cookie, error) {
		c := c
		if c == nil {
			c = &cookieOptions{path: "/"}
			switch old, err := x.load(ctx, id); {
			case err == nil:
				c = &old.cookie
			case !errors.Is(err, session.ErrNotFound):
				return nil, err
			}
		}
		if err := x.end(ctx, id); err != nil {
			return nil, err
		}
		return c.deletion(x.cookieName), nil
	})
}

// settle marks an Express session that has moved, and removes it unless the app can
// roll back.
func (x *Sessions) settle(ctx context.Context, id string) error {
	ctx, cancel := x.storeContext(ctx)
	defer cancel()
	_, err := x.store.Mark(ctx, id, MarkMoved)
	if err == nil && !x.rollback {
		err = x.store.Delete(ctx, id)
	}
	return err
}

// fingerprint identifies an Express session without its ID.
func fingerprint(id string) string {
	sum := sha256.Sum256([]byte("holdfast session: express\x00" + id))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
