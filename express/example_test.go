package express_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/express"
	"github.com/holdfast-go/session/memstore"
)

// memory is a store of Express in memory. Programs use express.NewMongoStore.
type memory map[string]string

func (m memory) Load(_ context.Context, id string) (express.Stored, error) {
	text, ok := m[id]
	if !ok {
		return express.Stored{}, session.ErrNotFound
	}
	return express.Stored{JSON: []byte(text)}, nil
}

func (m memory) Mark(_ context.Context, _ string, mark express.Mark) (express.Mark, error) {
	return mark, nil
}

func (m memory) Delete(_ context.Context, id string) error {
	delete(m, id)
	return nil
}

func (m memory) Sample(context.Context) ([]express.Stored, error) { return nil, nil }

// Visitors of an Express app keep their user and their cart.
func Example() {
	const cart session.Key[[]string] = "cart"

	store := memory{"0123456789abcdefghijABCDEFGHIJ_-": `{"cookie":{"path":"/"},"passport":{"user":"ada"},"cart":["tea"]}`}
	old, err := express.Open(context.Background(), store, "keyboard cat", express.WithProperty("cart", cart))
	if err != nil {
		fmt.Println(err)
		return
	}
	sessions := memstore.NewManager()
	app := sessions.Wrap(old.Move(sessions, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		fmt.Fprintln(w, s.User(), cart.GetOr(s, nil))
	})))

	// A browser with the cookie of express-session.
	r := httptest.NewRequest("GET", "https://example.com/", nil)
	r.Header.Set("Cookie", "connect.sid=s%3A0123456789abcdefghijABCDEFGHIJ_-.DowV8%2BFommDmrFOW7N9prLNuqduq%2BH1EmdJixNe7Y1Y")
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	fmt.Print(w.Body)
	fmt.Println(w.Result().Cookies()[0].Name)
	// Output:
	// ada [tea]
	// __Host-session
}

// While Express is the only writer, Go reads its sessions.
func ExampleSessions_Load() {
	const cart express.Key[[]string] = "cart"

	store := memory{"0123456789abcdefghijABCDEFGHIJ_-": `{"cookie":{"path":"/"},"passport":{"user":"ada"},"cart":["tea"]}`}
	old, err := express.Open(context.Background(), store, "keyboard cat")
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("GET", "https://example.com/", nil)
	r.Header.Set("Cookie", "connect.sid=s%3A0123456789abcdefghijABCDEFGHIJ_-.DowV8%2BFommDmrFOW7N9prLNuqduq%2BH1EmdJixNe7Y1Y")
	s, err := old.Load(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.User(), cart.GetOr(s, nil))
	// Output:
	// ada [tea]
}

// The app stores an object as passport.user and the time of the sign-in. Sessions from before a sign-out everywhere
// do not count.
func ExampleWithUser() {
	type passport struct {
		User struct {
			ID string `json:"id"`
		} `json:"user"`
	}
	const (
		oldPassport express.Key[passport]  = "passport"
		oldSignedIn express.Key[time.Time] = "signedInAt"
	)
	signedOutAt := func(context.Context, string) (time.Time, error) { // in a database of the app
		return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), nil
	}

	store := memory{}
	old, err := express.Open(context.Background(), store, "keyboard cat",
		express.WithUser(func(ctx context.Context, s *express.Session) (string, error) {
			user := oldPassport.GetOr(s, passport{}).User.ID
			if user == "" {
				return "", nil
			}
			revoked, err := signedOutAt(ctx, user) // the last "sign out everywhere" of the user, zero if never
			if err != nil {
				return "", fmt.Errorf("%w: users: %w", session.ErrUnavailable, err)
			}
			if oldSignedIn.GetOr(s, time.Time{}).Before(revoked) {
				return "", session.ErrRevoked
			}
			return user, nil
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, signedIn := range []string{"2026-03-01T11:00:00.000Z", "2026-03-01T13:00:00.000Z"} {
		store["0123456789abcdefghijABCDEFGHIJ_-"] = `{"cookie":{},"passport":{"user":{"id":"ada"}},"signedInAt":"` + signedIn + `"}`
		r := httptest.NewRequest("GET", "https://example.com/", nil)
		r.Header.Set("Cookie", "connect.sid=s%3A0123456789abcdefghijABCDEFGHIJ_-.DowV8%2BFommDmrFOW7N9prLNuqduq%2BH1EmdJixNe7Y1Y")
		s, err := old.Load(r)
		fmt.Printf("%q %v\n", s.User(), err)
	}
	// Output:
	// "" <nil>
	// "ada" <nil>
}
