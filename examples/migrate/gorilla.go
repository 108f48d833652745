package migrate

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/gorilla/sessions"

	"github.com/holdfast-go/session"
)

// FromGorilla returns a handler that continues the sessions in the cookies of a CookieStore. Put it directly inside Wrap.
// The response with the new cookie deletes the old one, unless keep is true to be able to go back. If the response is
// lost, the old cookie opens the same new session again.
func FromGorilla(old *sessions.CookieStore, name string, keep bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie(name)
		if err != nil {
			next.ServeHTTP(w, r)
			return
		}
		was, err := old.Get(r, name)
		if err != nil || was.IsNew { // the cookie is not valid, or too old
			next.ServeHTTP(w, r)
			return
		}
		options := *old.Options
		options.MaxAge = -1
		deletion := sessions.NewCookie(name, "", &options)
		s := session.FromContext(r.Context())
		s.OnEnd(func(context.Context) (*http.Cookie, error) { return deletion, nil }) // a sign-out ends both sessions
		if s.ID().IsZero() {
			// The signature makes the value a secret. Nobody can present it who has not had the cookie.
			if err := unlessAnonymous(s.Import(r.Context(), "gorilla "+cookie.Value, fillFrom(was), nil)); err != nil {
				slog.ErrorContext(r.Context(), "session of gorilla was not continued", "error", err)
				session.DefaultErrorHandler(w, r, err)
				return
			}
		}
		if !keep && !s.ID().IsZero() {
			http.SetCookie(w, deletion)
		}
		next.ServeHTTP(w, r)
	})
}

func fillFrom(was *sessions.Session) func(*session.Session) {
	return func(s *session.Session) {
		if items, ok := was.Values["cart"].([]string); ok {
			cart.Set(s, items)
		}
		if user, ok := was.Values["user"].(string); ok && user != "" {
			s.SignIn(user)
		}
	}
}
