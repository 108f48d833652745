// Command devices has a page on which users see where they are signed in, and sign out on other devices. It uses the
// page of package console, with its list inside the app's own layout, in English and German.
package main

import (
	"context"
	"html/template"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/console"
	"github.com/holdfast-go/session/mongostore"
)

var page = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><title>Account</title>
<style>{{.Style}}</style><h1>{{.User}}</h1>{{.Devices}}`))

func main() {
	store, err := mongostore.Open(context.Background(), os.Getenv("MONGO_URI"))
	if err != nil {
		log.Fatal(err)
	}
	// The names of devices come from the User-Agent header.
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"), session.WithClientInfo())
	if err != nil {
		log.Fatal(err)
	}
	mux, err := handler(sessions)
	if err != nil {
		log.Fatal(err)
	}
	app := http.NewCrossOriginProtection().Handler(sessions.Wrap(mux))
	log.Print("open http://localhost:8080/account")
	log.Fatal((&http.Server{Addr: "localhost:8080", Handler: app, ReadHeaderTimeout: 10 * time.Second}).ListenAndServe())
}

func handler(sessions *session.Manager) (http.Handler, error) {
	devices, err := console.NewDevices(sessions, console.WithTexts(texts))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(_ http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignIn("ann") // after your own check of the credentials
	})
	mux.HandleFunc("GET /account", func(w http.ResponseWriter, r *http.Request) {
		user := session.FromContext(r.Context()).User()
		if user == "" {
			http.Error(w, "Sign in first.", http.StatusForbidden)
			return
		}
		list, err := devices.Fragment(r)
		if err != nil {
			http.Error(w, "Please try again.", session.HTTPStatus(err))
			return
		}
		_ = page.Execute(w, map[string]any{"User": user, "Devices": list, "Style": template.CSS(console.DevicesStyle)})
	})
	mux.Handle("POST /account", devices) // the forms of the list
	return mux, nil
}

// texts returns the words of the list in the user's language. A text without a translation stays English.
func texts(r *http.Request) console.Texts {
	if strings.HasPrefix(r.Header.Get("Accept-Language"), "de") {
		return console.Texts{Lang: "de", This: "dieses Gerät", End: "Abmelden", EndOthers: "Auf allen anderen Geräten abmelden"}
	}
	return console.English()
}
