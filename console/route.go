package console

import (
	"net/http"
	"path"
	"strings"
)

// maxForm is the maximum size of a form in bytes.
const maxForm = 16 << 10

// request is one request of an operator.
type request struct {
	*Console
	w        http.ResponseWriter
	r        *http.Request
	operator string
	access   Access
}

// pageOf returns the page of a name, or nil.
func pageOf(name string) func(*request) {
	switch name {
	case "":
		return (*request).overview
	case "events":
		return (*request).events
	case "find":
		return (*request).find
	case "user":
		return (*request).user
	case "session":
		return (*request).session
	}
	return nil
}

// actionOf returns the action of a name, or nil.
func actionOf(name string) func(*request) {
	switch name {
	case "end":
		return (*request).end
	case "end-all":
		return (*request).endAll
	}
	return nil
}

// ServeHTTP serves the page of the last segment of the path.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w, consoleStyle)
	operator, access := c.authorize(r)
	if access != ReadOnly && access != FullAccess {
		refuse(w, http.StatusForbidden, "You may not use this console.")
		return
	}
	full, _, _ := strings.Cut(r.RequestURI, "?") // the path before StripPrefix
	if r.URL.Path == "" && !strings.HasSuffix(full, "/") {
		// Relative links would be wrong.
		w.Header().Set("Location", "./"+path.Base(full)+"/")
		w.WriteHeader(http.StatusPermanentRedirect)
		return
	}
	q := &request{c, w, r, operator, access}
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	if action := actionOf(name); action != nil {
		q.act(action)
	} else if page := pageOf(name); page != nil {
		q.read(page)
	} else {
		q.problem(http.StatusNotFound, "This page does not exist.")
	}
}

// read serves a page.
func (q *request) read(page func(*request)) {
	if q.r.Method != http.MethodGet && q.r.Method != http.MethodHead {
		q.w.Header().Set("Allow", "GET, HEAD")
		q.problem(http.StatusMethodNotAllowed, "This page can only be read.")
		return
	}
	page(q)
}

// act serves a form.
func (q *request) act(action func(*request)) {
	switch {
	case q.r.Method != http.MethodPost:
		q.w.Header().Set("Allow", http.MethodPost)
		q.problem(http.StatusMethodNotAllowed, "This address takes only forms of the console.")
	case q.access != FullAccess:
		q.problem(http.StatusForbidden, "You may look at sessions but not end them.")
	case q.r.Header.Get("Sec-Fetch-Site") != "same-origin":
		q.problem(http.StatusForbidden, "Only a page of the console can end sessions, in a current browser and over HTTPS.")
	default:
		q.r.Body = http.MaxBytesReader(q.w, q.r.Body, maxForm)
		action(q)
	}
}
