package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
	"github.com/holdfast-go/session/mongostore"
)

const visits session.Key[int] = "visits"

func home(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	n, err := visits.Update(r.Context(), s, func(n int) int { return n + 1 }) // atomic across replicas
	if err != nil {
		http.Error(w, "Please try again.", session.HTTPStatus(err))
		return
	}
	fmt.Fprintf(w, "user %q, visit %d\n", s.User(), n)
}

func serve(ctx context.Context, mux *http.ServeMux) error {
	store, err := mongostore.Open(ctx, os.Getenv("MONGO_URI"))
	if err != nil {
		return err
	}
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"))
	if err != nil {
		return err
	}
	return http.ListenAndServe("localhost:8080", sessions.Wrap(mux))
}

// A program opens the store, creates a Manager and wraps its handler.
func Example() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", home)
	log.Fatal(serve(context.Background(), mux))
}

// browser sends requests to a handler, and keeps its cookies.
type browser struct {
	handler http.Handler
	cookies map[string]*http.Cookie
}

func newBrowser(h http.Handler) *browser { return &browser{h, map[string]*http.Cookie{}} }

// send prints the status of a response, and its Location or body.
func (b *browser) send(method, path string) {
	r := httptest.NewRequest(method, "https://example.com"+path, nil)
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		b.cookies[c.Name] = c
	}
	text := w.Body.String()
	if location := w.Header().Get("Location"); location != "" {
		text = location
	}
	fmt.Println(strings.TrimSpace(fmt.Sprint(w.Code, " ", text)))
}

func ExampleManager_Wrap() {
	sessions := memstore.NewManager() // in a program: session.New with a Store of mongostore
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", home)
	app := sessions.Wrap(mux)

	visitor := newBrowser(app)
	visitor.send("GET", "/")
	visitor.send("GET", "/")
	newBrowser(app).send("GET", "/")
	// Output:
	// 200 user "", visit 1
	// 200 user "", visit 2
	// 200 user "", visit 1
}

func ExampleKey_Update() {
	const cart session.Key[map[string]int] = "cart"

	// No item is lost if the visitor clicks on two buttons at the same time.
	add := func(w http.ResponseWriter, r *http.Request) {
		item := r.PathValue("item")
		items, err := cart.Update(r.Context(), session.FromContext(r.Context()), func(items map[string]int) map[string]int {
			if items == nil {
				items = map[string]int{}
			}
			items[item]++
			return items
		})
		if err != nil {
			http.Error(w, "Please try again.", session.HTTPStatus(err))
			return
		}
		fmt.Fprintln(w, items)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("POST /cart/{item}", add)
	visitor := newBrowser(memstore.NewManager().Wrap(mux))
	visitor.send("POST", "/cart/tea")
	visitor.send("POST", "/cart/milk")
	visitor.send("POST", "/cart/tea")
	// Output:
	// 200 map[tea:1]
	// 200 map[milk:1 tea:1]
	// 200 map[milk:1 tea:2]
}

// To refuse an update, f returns the value unchanged and sets a variable outside
// f. It sets the variable on each call, because f may be called several times.
func ExampleKey_Update_refuse() {
	const attempts session.Key[int] = "attempts"

	try := func(w http.ResponseWriter, r *http.Request) {
		var refused bool
		n, err := attempts.Update(r.Context(), session.FromContext(r.Context()), func(n int) int {
			refused = n >= 2
			if refused {
				return n
			}
			return n + 1
		})
		switch {
		case err != nil:
			http.Error(w, "Please try again.", session.HTTPStatus(err))
		case refused:
			http.Error(w, "Too many attempts.", http.StatusTooManyRequests)
		default:
			fmt.Fprintf(w, "attempt %d\n", n)
		}
	}

	visitor := newBrowser(memstore.NewManager().Wrap(http.HandlerFunc(try)))
	for range 3 {
		visitor.send("POST", "/code")
	}
	// Output:
	// 200 attempt 1
	// 200 attempt 2
	// 429 Too many attempts.
}

// A flash message is shown once, on the next page.
func ExampleKey_Pop() {
	const flash session.Key[string] = "flash"

	mux := http.NewServeMux()
	mux.HandleFunc("POST /profile", func(w http.ResponseWriter, r *http.Request) {
		flash.Set(session.FromContext(r.Context()), "Saved.")
		http.Redirect(w, r, "/profile", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /profile", func(w http.ResponseWriter, r *http.Request) {
		message, ok := flash.Pop(session.FromContext(r.Context()))
		fmt.Fprintf(w, "%q %v\n", message, ok)
	})

	visitor := newBrowser(memstore.NewManager().Wrap(mux))
	visitor.send("POST", "/profile")
	visitor.send("GET", "/profile")
	visitor.send("GET", "/profile")
	// Output:
	// 303 /profile
	// 200 "Saved." true
	// 200 "" false
}

// requireUser calls next only if a user is signed in.
func requireUser(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if session.FromContext(r.Context()).User() == "" {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		}
		next(w, r)
	}
}

func ExampleSession_SignIn() {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		// Check the user's credentials here.
		session.FromContext(r.Context()).SignIn("user-17") // a stable ID
		http.Redirect(w, r, "/account", http.StatusSeeOther)
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignOut()
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /account", requireUser(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "account of", session.FromContext(r.Context()).User())
	}))

	visitor := newBrowser(memstore.NewManager().Wrap(mux))
	visitor.send("GET", "/account")
	visitor.send("POST", "/login")
	visitor.send("GET", "/account")
	visitor.send("POST", "/logout")
	visitor.send("GET", "/account")
	// Output:
	// 303 /login
	// 303 /account
	// 200 account of user-17
	// 303 /
	// 303 /login
}

// Save stores the session before a side effect that requires it.
func ExampleSession_Save() {
	const paid session.Key[bool] = "paid"
	charge := func() { fmt.Println("charged") }

	pay := func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		if done, _ := paid.Get(s); done {
			fmt.Fprintln(w, "already paid")
			return
		}
		paid.Set(s, true)
		if err := s.Save(r.Context()); err != nil {
			http.Error(w, "Nothing was charged. Please try again.", session.HTTPStatus(err))
			return
		}
		charge()
		fmt.Fprintln(w, "thank you")
	}

	visitor := newBrowser(memstore.NewManager().Wrap(http.HandlerFunc(pay)))
	visitor.send("POST", "/pay")
	visitor.send("POST", "/pay")
	// Output:
	// charged
	// 200 thank you
	// 200 already paid
}

// Each message of another protocol contains the token. Load finds its session.
func ExampleManager_Load() {
	sessions := memstore.NewManager()

	// signIn returns the token of a new session.
	signIn := func(ctx context.Context, user string) (string, error) {
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
	receive := func(ctx context.Context, token string) error {
		s, err := sessions.Load(ctx, []*http.Cookie{{Name: sessions.CookieName(), Value: token}})
		if err != nil {
			return err
		}
		fmt.Printf("hello %q\n", s.User())
		return nil
	}

	token, err := signIn(context.Background(), "ann")
	if err != nil {
		log.Fatal(err)
	}
	if err := receive(context.Background(), token); err != nil {
		log.Fatal(err)
	}
	// Output: hello "ann"
}

// A gateway tells the app behind it who is signed in.
func ExampleManager_LoadRequest() {
	sessions := memstore.NewManager()
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %q", r.Header.Get("X-User"))
	})
	gateway := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessions.LoadRequest(r)
		if err != nil {
			http.Error(w, "Please try again.", session.HTTPStatus(err))
			return
		}
		r.Header.Set("X-User", s.User())
		s.SetHeader(w.Header()) // Vary and Cache-Control
		app.ServeHTTP(w, r)
	})

	w := httptest.NewRecorder()
	gateway.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(w.Body, w.Header().Get("Vary"))
	// Output: hello "" Cookie
}

// A mobile app sends its token in a header. Browsers use the same handler with
// a cookie.
func ExampleWithTokenHeader() {
	sessions := memstore.NewManager(session.WithTokenHeader("Authorization", "Session-Token"))
	handler := sessions.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		switch r.URL.Path {
		case "/login":
			s.SignIn("ann")
		case "/logout":
			s.SignOut()
		}
		fmt.Fprintf(w, "user %q", s.User())
	}))

	token := "" // the app has none yet
	for _, path := range []string{"/login", "/", "/logout", "/"} {
		r := httptest.NewRequest("POST", path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if values := w.Header().Values("Session-Token"); len(values) > 0 {
			token = values[0]
		}
		fmt.Println(path, w.Body, "token:", token != "")
	}
	// Output:
	// /login user "ann" token: true
	// / user "ann" token: true
	// /logout user "" token: false
	// / user "" token: false
}

// A background job stores its result in the session that has asked for it.
func ExampleManager_LoadID() {
	const report session.Key[string] = "report"
	sessions := memstore.NewManager()

	job := func(ctx context.Context, id session.ID) error {
		s, err := sessions.LoadID(ctx, id)
		if errors.Is(err, session.ErrNotFound) {
			return nil // the visitor has signed out
		} else if err != nil {
			return err
		}
		report.Set(s, "3 pages")
		return s.Save(ctx)
	}

	var id session.ID
	mux := http.NewServeMux()
	mux.HandleFunc("POST /report", func(_ http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		s.SignIn("ann")
		id = s.ID()
	})
	mux.HandleFunc("GET /report", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, report.GetOr(session.FromContext(r.Context()), "not ready"))
	})
	visitor := newBrowser(sessions.Wrap(mux))
	visitor.send("POST", "/report")
	visitor.send("GET", "/report")
	if err := job(context.Background(), id); err != nil {
		log.Fatal(err)
	}
	visitor.send("GET", "/report")
	// Output:
	// 200
	// 200 not ready
	// 200 3 pages
}

// A unit test calls a handler without Wrap.
func ExampleNewContext() {
	hello := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s", session.FromContext(r.Context()).User())
	}

	s, err := memstore.NewManager().Load(context.Background(), nil)
	if err != nil {
		log.Fatal(err)
	}
	s.SignIn("ann")
	r := httptest.NewRequest("GET", "/", nil)
	r = r.WithContext(session.NewContext(r.Context(), s))
	w := httptest.NewRecorder()
	hello(w, r)
	fmt.Println(w.Body)
	// Output: hello ann
}

// After a change of password the user's other sessions end.
func ExampleSession_RevokeOthers() {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(_ http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignIn("ann")
	})
	mux.HandleFunc("POST /password", func(w http.ResponseWriter, r *http.Request) {
		// Store the new password here.
		n, err := session.FromContext(r.Context()).RevokeOthers(r.Context())
		if err != nil {
			http.Error(w, "Other devices may still be signed in. Please try again.", session.HTTPStatus(err))
			return
		}
		fmt.Fprintf(w, "%d other devices signed out\n", n)
	})
	mux.HandleFunc("GET /", home)

	app := memstore.NewManager().Wrap(mux)
	laptop, phone := newBrowser(app), newBrowser(app)
	laptop.send("POST", "/login")
	phone.send("POST", "/login")
	laptop.send("POST", "/password")
	laptop.send("GET", "/")
	phone.send("GET", "/")
	// Output:
	// 200
	// 200
	// 200 1 other devices signed out
	// 200 user "ann", visit 1
	// 200 user "", visit 1
}

// An error handler responds to some errors itself and leaves the others to the
// default one.
func ExampleWithErrorHandler() {
	onError := func(w http.ResponseWriter, r *http.Request, err error) {
		if errors.Is(err, session.ErrUnavailable) && strings.HasPrefix(r.URL.Path, "/api/") {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Retry-After", "5")
			w.WriteHeader(session.HTTPStatus(err))
			fmt.Fprintln(w, `{"error": "try again"}`)
			return
		}
		session.DefaultErrorHandler(w, r, err)
	}

	store := memstore.New()
	sessions, err := session.New(store, "a secret with at least 32 bytes.",
		session.WithErrorHandler(onError), session.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		log.Fatal(err)
	}
	visitor := newBrowser(sessions.Wrap(http.HandlerFunc(home)))
	visitor.send("GET", "/")
	store.Fail(errors.New("connection refused"))
	visitor.send("GET", "/api/cart")
	visitor.send("GET", "/")
	// Output:
	// 200 user "", visit 1
	// 503 {"error": "try again"}
	// 503 Your session cannot be read or saved at the moment. It is not lost. Please try again.
}

// An observer counts the events and the errors of the store. An absent record and
// a guard that does not hold are no errors of the store.
func ExampleWithObserver() {
	events, failed := map[session.EventKind]int{}, 0
	count := func(_ context.Context, e session.Event) {
		events[e.Kind]++ // in a program: a counter for concurrent use
		if e.Err != nil && !errors.Is(e.Err, session.ErrNotFound) && !errors.Is(e.Err, session.ErrConflict) {
			failed++
		}
	}

	sessions := memstore.NewManager(session.WithObserver(count))
	visitor := newBrowser(sessions.Wrap(http.HandlerFunc(home)))
	visitor.send("GET", "/")
	visitor.send("GET", "/")
	fmt.Println(events, failed)
	// Output:
	// 200 user "", visit 1
	// 200 user "", visit 2
	// map[created:1 insert:1 load:1 update:1] 0
}

// This is wrong. The goroutine changes the session after the handler has returned
// and the session has been saved. The change is lost, which the Manager logs and
// reports. Pass the ID to the goroutine instead, and use LoadID and Save there.
func ExampleKey_Set_afterTheHandler() {
	const theme session.Key[string] = "theme"
	responded, done := make(chan bool), make(chan bool)

	wrong := func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		theme.Set(s, "light")
		go func() {
			<-responded
			theme.Set(s, "dark") // lost
			close(done)
		}()
		io.WriteString(w, "saved")
	}

	sessions := memstore.NewManager(
		session.WithLogger(slog.New(slog.DiscardHandler)),
		session.WithObserver(func(_ context.Context, e session.Event) {
			if e.Kind == session.EventLostChange {
				fmt.Println(e.Kind)
			}
		}))
	newBrowser(sessions.Wrap(http.HandlerFunc(wrong))).send("POST", "/theme")
	close(responded)
	<-done
	// Output:
	// 200 saved
	// lost_change
}
