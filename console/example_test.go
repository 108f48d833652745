package console_test

import (
	"html/template"
	"log"
	"net/http"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/console"
	"github.com/holdfast-go/session/memstore"
)

// An admin area in which the users of a list may look at all sessions, and the user
// olga may end them.
func ExampleNew() {
	store := memstore.New() // mongostore.Open in a program
	recorder := console.NewRecorder("")
	sessions, err := session.New(store, "an example secret of 32 bytes or more", session.WithObserver(recorder.Observe))
	if err != nil {
		log.Fatal(err)
	}
	support := map[string]console.Access{"olga": console.FullAccess, "sam": console.ReadOnly}
	authorize := func(r *http.Request) (string, console.Access) {
		user := session.FromContext(r.Context()).User()
		return user, support[user]
	}
	admin, err := console.New(sessions, store, authorize, console.WithRecorder(recorder))
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/admin/sessions/", sessions.Wrap(admin))
}

// The page of the devices of a user.
func ExampleNewDevices() {
	sessions := memstore.NewManager(session.WithClientInfo()) // session.New in a program
	devices, err := console.NewDevices(sessions)
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/account/devices", sessions.Wrap(devices))
}

// The list of devices as part of a page of the program.
func ExampleDevices_Fragment() {
	sessions := memstore.NewManager(session.WithClientInfo()) // session.New in a program
	devices, err := console.NewDevices(sessions)
	if err != nil {
		log.Fatal(err)
	}
	page := template.Must(template.New("").Parse(`<title>Account</title><h1>Account</h1>{{.}}`))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /account", func(w http.ResponseWriter, r *http.Request) {
		list, err := devices.Fragment(r)
		if err != nil {
			http.Error(w, "Please try again.", session.HTTPStatus(err))
			return
		}
		_ = page.Execute(w, list) // an error means a lost client
	})
	mux.Handle("POST /account", devices)
	http.Handle("/account", sessions.Wrap(mux))
}
