package readme_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// docs/how-to/token-clients.md

func otherHeader(store session.Store) (*session.Manager, error) {
	return session.New(store, secret, session.WithTokenHeader("Session-Token", "Session-Token"))
}

func TestOtherHeader(t *testing.T) {
	sessions, err := otherHeader(memstore.New())
	require.NoError(t, err)
	for _, none := range []string{"", "none"} {
		r := httptest.NewRequest("POST", "https://example.com/", nil)
		r.Header.Set("Session-Token", none)
		w := httptest.NewRecorder()
		sessions.Wrap(http.HandlerFunc(login)).ServeHTTP(w, r)
		require.Empty(t, w.Header()["Set-Cookie"])
		r.Header.Set("Session-Token", w.Header().Get("Session-Token"))
		s, err := sessions.LoadRequest(r)
		require.NoError(t, err)
		require.Equal(t, "ann", s.User())
	}
}

// exposeToken lets the pages of one origin use tokens in a header.
func exposeToken(origin string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		if r.Header.Get("Origin") == origin {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			h.Set("Access-Control-Expose-Headers", "Session-Token")
		}
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func TestExposeToken(t *testing.T) {
	sessions := memstore.NewManager(session.WithTokenHeader("Authorization", "Session-Token"))
	h := exposeToken("https://shop.example", sessions.Wrap(http.HandlerFunc(login)))
	r := httptest.NewRequest("POST", "https://example.com/", nil)
	r.Header.Set("Origin", "https://shop.example")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Authorization", "Bearer")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, "Session-Token", w.Header().Get("Access-Control-Expose-Headers"))
	require.NotEmpty(t, w.Header().Get("Session-Token"))
	require.Empty(t, w.Header()["Set-Cookie"])
	require.ElementsMatch(t, []string{"Origin", "Authorization"}, w.Header()["Vary"])
}

func TestTokenOfACookie(t *testing.T) {
	sessions := memstore.NewManager(session.WithTokenHeader("Authorization", "Session-Token"))
	r := httptest.NewRequest("GET", "https://example.com/", nil)
	token := memstore.Cookie(t, sessions, func(s *session.Session) { s.SignIn("ann") }).Value
	r.Header.Set("Authorization", "Bearer "+token)
	sessions.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		require.Equal(t, "ann", session.FromContext(r.Context()).User())
	})).ServeHTTP(httptest.NewRecorder(), r)
}

// countVisit is a handler without Wrap.
func countVisit(sessions *session.Manager, w http.ResponseWriter, r *http.Request) {
	s, err := sessions.LoadRequest(r)
	if err != nil {
		http.Error(w, "Please try again.", session.HTTPStatus(err))
		return
	}
	visits.Set(s, visits.GetOr(s, 0)+1)
	if err := s.Save(r.Context()); err != nil {
		http.Error(w, "Please try again.", session.HTTPStatus(err))
		return
	}
	s.SetHeader(w.Header())
}

func TestCountVisit(t *testing.T) {
	sessions := memstore.NewManager(session.WithTokenHeader("Authorization", "Session-Token"))
	r := httptest.NewRequest("POST", "https://example.com/", nil)
	r.Header.Set("Authorization", "Bearer")
	w := httptest.NewRecorder()
	countVisit(sessions, w, r)
	r.Header.Set("Authorization", "Bearer "+w.Header().Get("Session-Token"))
	countVisit(sessions, httptest.NewRecorder(), r)
	s, err := sessions.LoadRequest(r)
	require.NoError(t, err)
	require.Equal(t, 2, visits.GetOr(s, 0))

	r = httptest.NewRequest("POST", "https://example.com/", nil)
	w = httptest.NewRecorder()
	countVisit(sessions, w, r)
	require.Len(t, w.Result().Cookies(), 1, "a browser gets a cookie")
}

// fromMessage returns the session of a message with a token.
func fromMessage(ctx context.Context, sessions *session.Manager, token string) (*session.Session, error) {
	cookie := &http.Cookie{Name: sessions.CookieName(), Value: token}
	return sessions.Load(ctx, []*http.Cookie{cookie})
}

// signInForMessage returns the token of a new session.
func signInForMessage(ctx context.Context, sessions *session.Manager, user string) (string, error) {
	s, err := sessions.Load(ctx, nil)
	if err != nil {
		return "", err
	}
	s.SignIn(user)
	if err := s.Save(ctx); err != nil {
		return "", err
	}
	return s.Cookie().Value, nil
}

func TestTokenInAMessage(t *testing.T) {
	sessions := memstore.NewManager()
	value, err := signInForMessage(t.Context(), sessions, "ann")
	require.NoError(t, err)
	s, err := fromMessage(t.Context(), sessions, value)
	require.NoError(t, err)
	require.Equal(t, "ann", s.User())

	r := httptest.NewRequest("GET", "https://example.com/", nil)
	r.AddCookie(&http.Cookie{Name: sessions.CookieName(), Value: value})
	user := ""
	gateway(sessions, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { user = r.Header.Get("X-User") })).
		ServeHTTP(httptest.NewRecorder(), r)
	require.Equal(t, "ann", user)
}
