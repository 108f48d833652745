// Package migrate has bridges from the sessions of other libraries. A visitor with an old session gets one of this
// library, with the user and the cart, and nobody has to sign in again.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/holdfast-go/session"
)

const cart session.Key[[]string] = "cart"

// FromSCS returns a handler that continues the sessions of old. Put it directly inside Wrap. It ends an old session when
// a request has the new cookie too and the new session is older than delay. By then no request is on its way that has
// only the old cookie. To be able to go back, set delay to the lifetime of the old sessions. The idle timeout of old does
// not end a session that has moved, because its requests go to the new app.
func FromSCS(old *scs.SessionManager, delay time.Duration, sessions *session.Manager, next http.Handler) http.Handler {
	if old.Cookie.Name == sessions.CookieName() {
		panic("FromSCS: both libraries use the cookie name " + old.Cookie.Name + ": choose another one with session.WithCookieName")
	}
	kept := *old
	kept.IdleTimeout = 0
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cookie, err := r.Cookie(old.Cookie.Name); err == nil {
			if err := continueSCS(w, r, &kept, delay, cookie.Value); err != nil {
				slog.ErrorContext(r.Context(), "session of scs was not continued", "error", err)
				session.DefaultErrorHandler(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func continueSCS(w http.ResponseWriter, r *http.Request, old *scs.SessionManager, delay time.Duration, token string) error {
	ctx, err := old.Load(r.Context(), token)
	if err != nil {
		return fmt.Errorf("%w: sessions of scs: %w", session.ErrUnavailable, err)
	}
	if old.Token(ctx) == "" { // it has ended
		return nil
	}
	s := session.FromContext(r.Context())
	end := func(context.Context) (*http.Cookie, error) {
		return &http.Cookie{Name: old.Cookie.Name, Path: old.Cookie.Path, Domain: old.Cookie.Domain, MaxAge: -1}, old.Destroy(ctx)
	}
	s.OnEnd(end) // a sign-out ends both sessions
	if !s.ID().IsZero() {
		if time.Since(s.Info().CreatedAt) < delay {
			return nil
		}
		cookie, err := end(ctx)
		if err == nil { // otherwise the next request tries again
			http.SetCookie(w, cookie)
		}
		return nil
	}

	fill := func(s *session.Session) {
		if items, ok := old.Get(ctx, "cart").([]string); ok {
			cart.Set(s, items)
		}
		if user := old.GetString(ctx, "userID"); user != "" {
			s.SignIn(user)
		}
		if old.GetBool(ctx, "__rememberMe") { // as RememberMe stores it
			s.SetTimeouts(30*24*time.Hour, 30*24*time.Hour)
		}
	}
	if old.GetBool(ctx, "moved") { // if the new session has been revoked, the old one must not begin another
		fill = nil
	}
	return unlessAnonymous(s.Import(r.Context(), "scs "+token, fill, func(context.Context) error {
		old.Put(ctx, "moved", true)
		_, _, err := old.Commit(ctx)
		return err
	}))
}

// EndSCS ends the sessions of a user at scs, whether they have moved or not. Call it before RevokeAll. A request in
// progress that has read the old session then fails to sign the user in.
func EndSCS(ctx context.Context, old *scs.SessionManager, user string) error {
	plain := *old
	plain.HashTokenInStore = false // Iterate returns the hashes, and Destroy would hash them again
	return plain.Iterate(ctx, func(ctx context.Context) error {
		if plain.GetString(ctx, "userID") != user {
			return nil
		}
		return plain.Destroy(ctx)
	})
}

// unlessAnonymous returns nil for the errors of Import after which the visitor has no session.
func unlessAnonymous(err error) error {
	for _, expected := range []error{session.ErrNotFound, session.ErrCrossSite, session.ErrOutsidePath, session.ErrSuperseded, session.ErrRevoked} {
		if errors.Is(err, expected) {
			return nil
		}
	}
	return err
}
