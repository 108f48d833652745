package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-go/session"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var staticFS embed.FS

var (
	templates   = template.Must(template.ParseFS(templateFiles, "templates/*.html"))
	staticFiles = cached(http.FileServerFS(staticFS))
)

func cached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache") // embedded files have no modification time, and a new build must show
		next.ServeHTTP(w, r)
	})
}

// secured sets the security headers of every page. Pages contain no inline
// script or style.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		next.ServeHTTP(w, r)
	})
}

func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
}

// page is the data of the one page of the app.
type page struct {
	Replica       string
	PID           int
	Notice        notice
	User          string
	Count         int
	Goods         []string
	Cart          []line
	Devices       []device
	DevicesFailed bool
	Ends          string // when the session ends
	Stored        bool   // the session is stored
	Document      string
	State         *state // nil if the demo did not respond
}

type line struct {
	Item string
	N    int
}

// TouchSeconds is the shortest time between two records of a visitor's activity.
func (page) TouchSeconds() int { return int(touchInterval / time.Second) }

// notice is a message on the page after an action, in the section of the action.
type notice struct{ Section, Text string }

// notices are the messages by their name in the query.
var notices = map[string]notice{
	"signed-in":    {"session", "You are signed in. The session has a new token, and the one before is no longer valid."},
	"signed-out":   {"session", "You are signed out. The session is deleted in MongoDB, so that no copy of its cookie works any more."},
	"renewed":      {"session", "The session has a new token and has kept everything else. A copy of the old cookie no longer works."},
	"back":         {"session", "Everything is up again, and your session is as it was."},
	"device-ended": {"devices", "That device is signed out."},
	"others-ended": {"devices", "All your other devices are signed out."},
	"killed":       {"replicas", "Killed. Keep clicking: the other replica answers, and knows you."},
	"outage":       {"replicas", "The database is away for five seconds. Click something that needs it."},
}

func (p page) show(w http.ResponseWriter) { render(w, http.StatusOK, "page.html", p) }

// ends says when the session ends without further activity, and when at the
// latest.
func ends(i session.Info) string {
	if i.Deadline.IsZero() {
		return ""
	}
	const day = "2 January"
	return fmt.Sprintf("The session ends if you stay away until %s, and on %s in any case.",
		i.ExpiresAt.Local().Format(day), i.Deadline.Local().Format(day))
}

// device is a session of the user, as text for people.
type device struct {
	ID, Client, IP, Seen string
	This                 bool
}

func devices(infos []session.Info, this session.ID, now time.Time) []device {
	var ds []device
	for _, i := range infos {
		ds = append(ds, device{
			ID: i.ID.String(), Client: client(i.UserAgent), IP: i.ClientIP,
			Seen: ago(now.Sub(i.LastSeenAt)), This: i.ID == this,
		})
	}
	return ds
}

// client returns the browser and the operating system of a User-Agent header.
func client(agent string) string {
	find := func(names ...string) string {
		for i := 0; i < len(names); i += 2 {
			if strings.Contains(agent, names[i]) {
				return names[i+1]
			}
		}
		return ""
	}
	browser := find("Edg/", "Edge", "OPR/", "Opera", "Firefox/", "Firefox", "Chrome/", "Chrome", "Safari/", "Safari", "curl/", "curl",
		"Go-http-client", "A Go program")
	system := find("Android", "Android", "iPhone", "iPhone", "iPad", "iPad", "Windows", "Windows", "Mac OS", "macOS", "Linux", "Linux")
	switch {
	case browser == "":
		return "Another client"
	case system == "":
		return browser
	default:
		return browser + " on " + system
	}
}

func ago(d time.Duration) string {
	switch {
	case d < touchInterval:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	default:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
}

// problem is a page that describes an error.
type problem struct {
	Status      int
	Title, Text string
	Wait        bool // the page waits until the replicas and the database are back, and then goes on by itself
}

func (p problem) show(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	render(w, p.Status, "problem.html", p)
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	problem{Status: http.StatusNotFound, Title: "There is no such page", Text: "The demo has only one."}.show(w)
}

// showError is the error handler of the app. The Manager calls it if the
// session cannot be loaded or saved.
func showError(w http.ResponseWriter, r *http.Request, err error) {
	p := problem{Status: session.HTTPStatus(err)}
	switch {
	case errors.Is(err, session.ErrSuperseded):
		w.Header().Set("Retry-After", "1")
		p.Title = "Your session has just been renewed"
		p.Text = "Another of your requests renewed the token during this one. This request changed nothing. Please repeat it."
	case p.Status == http.StatusConflict:
		p.Title = "Your session has ended"
		p.Text = "It was signed out during this request, here or on another device. Nothing was changed."
	case p.Status == http.StatusForbidden:
		p.Title = "This came from another site"
		p.Text = "A request from another site cannot start a session. Nothing was changed."
	case p.Status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "2")
		p.Title = "The database does not answer"
		p.Text = "Nothing is lost: your session is safe in the database, and you stay signed in."
		if r.Method == http.MethodPost {
			p.Text += " Your change was not confirmed, so check whether it was made before you repeat it."
		}
		p.Wait = true
	default:
		p.Title = "Something went wrong"
		p.Text = "The app has logged the error."
	}
	p.show(w)
}

// render writes the page only after the template has been executed without an
// error.
func render(w http.ResponseWriter, status int, name string, data any) {
	var buf bytes.Buffer
	if err := templates.ExecuteTemplate(&buf, name, data); err != nil {
		log.Print(err)
		http.Error(w, "This page could not be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = buf.WriteTo(w)
}
