package console_test

import (
	"errors"
	"fmt"
	"html/template"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/console"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/memstore"
)

// serveVar makes the test binary serve pages with an hour of history, for the
// tests in internal/browser. They cannot set the time of an event.
const serveVar = "CONSOLE_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serveVar) != "" {
		if err := serve(); err != nil {
			log.Fatal(err)
		}
		return
	}
	os.Exit(testserver.Main(m))
}

// serve prints the address of a server and serves until its standard input ends.
func serve() error {
	handler, err := seeded(time.Now())
	if err != nil {
		return err
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	fmt.Println("Open", server.URL)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

var agents = []string{
	"Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0",
	`<script>alert("agent")</script>`,
	"",
}

// hostile is a user name that would change a page that does not escape it.
const hostile = "<img src=x onerror=alert(1)>\" '&\u202e"

const (
	cart  = session.Key[[]string]("cart")
	theme = session.Key[string]("theme")
	mean  = session.Key[string](`<b onclick="alert(1)">key</b>`)
)

// seeded returns a program with users, their sessions and an hour of history.
// /login?user= signs a user in. /admin/ is a console with all rights, /look/ one
// without, and /devices the page of devices.
func seeded(now time.Time) (http.Handler, error) {
	rec, store := console.NewRecorder("web-7f4c"), memstore.New()
	sessions, err := session.New(store, "an example secret of 32 bytes or more",
		session.WithClientInfo(), session.WithObserver(rec.Observe))
	if err != nil {
		return nil, err
	}
	access := func(a console.Access) console.Authorize {
		return func(*http.Request) (string, console.Access) { return "olga", a }
	}
	admin, err1 := console.New(sessions, store, access(console.FullAccess), console.WithRecorder(rec))
	look, err2 := console.New(sessions, store, access(console.ReadOnly), console.WithRecorder(rec))
	bare, err3 := console.New(sessions, store, access(console.FullAccess))
	devices, err4 := console.NewDevices(sessions)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/admin/", admin)
	mux.Handle("/look/", http.StripPrefix("/look", look))
	mux.Handle("/bare/", bare)
	mux.Handle("/devices", sessions.Wrap(devices))
	mux.Handle("GET /account", sessions.Wrap(account(devices)))
	mux.Handle("POST /account", sessions.Wrap(devices))
	mux.Handle("/login", sessions.Wrap(http.HandlerFunc(login)))
	mux.HandleFunc("/outage", func(_ http.ResponseWriter, r *http.Request) {
		store.Fail(errors.New(r.FormValue("error")))
		if r.FormValue("error") == "" {
			store.Fail(nil)
		}
	})
	for i, user := range []string{"ann", "ann", "ann", "ann", "ann", hostile} {
		r := httptest.NewRequest("POST", "/login", nil)
		r.Form = map[string][]string{"user": {user}}
		r.Header.Set("User-Agent", agents[i%len(agents)])
		r.RemoteAddr = fmt.Sprintf("192.0.2.%d:4711", 10+i)
		mux.ServeHTTP(httptest.NewRecorder(), r)
	}
	history(rec, now)
	return mux, nil
}

func login(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	s.SignIn(r.FormValue("user"))
	cart.Set(s, []string{"a secret value"})
	theme.Set(s, "dark")
	mean.Set(s, "mean")
	http.Redirect(w, r, "/devices", http.StatusSeeOther)
}

// account returns a page of the program with the list of devices.
func account(devices *console.Devices) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		list, err := devices.Fragment(r)
		if errors.Is(err, session.ErrNotFound) {
			list = "<p>You are not signed in.</p>"
		} else if err != nil {
			http.Error(w, err.Error(), session.HTTPStatus(err))
			return
		}
		err = accountPage.Execute(w, map[string]any{
			"User": session.FromContext(r.Context()).User(), "Devices": list, "Style": template.CSS(console.DevicesStyle),
		})
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

var accountPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Account</title>
<link rel="icon" href="data:,">
<style>{{.Style}} body { font-family: sans-serif; margin: 1rem; background: Canvas; color: CanvasText }</style>
<main><h1>Account</h1><p>{{.User}}</p>{{.Devices}}</main>
</html>
`))

// history records an hour with an outage of the database and a day of counts.
func history(rec *console.Recorder, now time.Time) {
	rng := rand.New(rand.NewPCG(1, 2))
	rec.BeganAt(now.Add(-52 * time.Minute))
	call := func(at time.Time, kind session.EventKind, d time.Duration, err error) {
		rec.ObserveAt(at, session.Event{Kind: kind, Duration: d, Err: err})
	}
	down := errors.New("mongostore: server selection error: connection() error occurred during connection handshake")
	for at := now.Add(-52 * time.Minute); at.Before(now); at = at.Add(time.Duration(rng.IntN(900)) * time.Millisecond) {
		ago := now.Sub(at)
		if ago < 18*time.Minute && ago > 18*time.Minute-25*time.Second {
			call(at, session.EventLoad, 5*time.Second, down)
			continue
		}
		d := time.Duration((0.6 + rng.ExpFloat64()*0.8) * float64(time.Millisecond))
		if rng.IntN(40) == 0 {
			d *= 12
		}
		call(at, session.EventLoad, d, nil)
		switch rng.IntN(9) {
		case 0:
			call(at, session.EventUpdate, d*2, nil)
		case 1:
			call(at, session.EventInsert, d*3, nil)
		case 2:
			call(at, session.EventList, d*4, nil)
		}
	}
	for i := range 24 * 60 {
		at := now.Add(-24*time.Hour + time.Duration(i+1)*time.Minute)
		day := float64((at.Hour()*60+at.Minute())%1440) / 1440
		wave := 1 - 2*(day-0.5)*(day-0.5)*2
		rec.AddCount(at, int64(3200+2400*wave)+rng.Int64N(60), int64(900+1800*wave)+rng.Int64N(120), i/30 == 20)
	}
	id := session.ID{1, 2, 3, 4, 5, 6, 0x70, 8, 0x80}
	for i, e := range []session.Event{
		{Kind: session.EventEvicted, Reason: session.ReasonMaxPerUser, ID: id, User: "bob", ClientIP: "198.51.100.7", UserAgent: agents[2]},
		{Kind: session.EventLostChange, Err: errors.New("session: store unavailable: context deadline exceeded")},
		{Kind: session.EventRevoked, Reason: session.ReasonRevokeAll, ID: id, User: hostile, ClientIP: "2001:db8::17", UserAgent: agents[3]},
		{Kind: session.EventStaleToken, ID: id},
		{Kind: session.EventSignedIn, Reason: session.ReasonSignIn, ID: id, User: "ann", ClientIP: "198.51.100.7", UserAgent: agents[0]},
		{Kind: session.EventSignedOut, Reason: session.ReasonSignOut, ID: id, User: "ann", ClientIP: "198.51.100.7", UserAgent: agents[0]},
	} {
		rec.ObserveAt(now.Add(time.Duration(i-7)*2*time.Minute), e)
	}
}
