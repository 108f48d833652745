package main

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/holdfast-go/session"
)

// addCheckRoutes adds the routes that only -check needs.
func (a *app) addCheckRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /check/note", a.checkNote)
	mux.HandleFunc("GET /check/notes", a.checkNotes)
	mux.HandleFunc("POST /check/slow", a.checkSlow)
	mux.HandleFunc("POST /check/impatient", a.checkImpatient)
}

const (
	checkNotes = 50
	checkIdle  = time.Second
)

func note(i int) session.Key[string] { return session.Key[string](fmt.Sprintf("note-%d", i)) }

// checkNote sets one of many keys.
func (a *app) checkNote(w http.ResponseWriter, r *http.Request) {
	var i int
	if _, err := fmt.Sscan(r.PostFormValue("number"), &i); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	note(i).Set(session.FromContext(r.Context()), r.PostFormValue("text"))
}

func (a *app) checkNotes(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	for i := range checkNotes {
		if text, ok := note(i).Get(s); ok {
			fmt.Fprintf(w, "%d %s\n", i, text)
		}
	}
}

// checkSlow sends an informational response once the session is loaded. It saves after the client has sent the whole
// body.
func (a *app) checkSlow(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusEarlyHints)
	_, _ = io.Copy(io.Discard, r.Body)
	note(0).Set(session.FromContext(r.Context()), "written after the sign-out")
}

// checkImpatient gives the session a short idle timeout.
func (a *app) checkImpatient(_ http.ResponseWriter, r *http.Request) {
	session.FromContext(r.Context()).SetTimeouts(checkIdle, time.Hour)
}
