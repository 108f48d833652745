package console

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-go/session"
)

//go:embed *.html
var templateFiles embed.FS

var templates = template.Must(template.New("").ParseFS(templateFiles, "*.html"))

const (
	maxRows   = 200 // of sessions or keys on a page
	maxRecent = 8   // events on the overview
	refresh   = 10  // seconds between two loads of a page that refreshes itself
)

// view is the data of a page.
type view struct {
	Style     template.HTML
	Title     string
	Page      string // name of the page in the navigation
	Operator  string
	CanEnd    bool
	Recorded  bool // there is a Recorder
	Replica   string
	Find      string // content of the search field
	Notice    string
	Refresh   int // seconds; zero if the page does not refresh itself
	CanReload bool
	Query     string // of the page without the refresh
	Body      any
}

func (q *request) view(title, page string, body any) *view {
	v := &view{
		Style: styleElement(consoleStyle), Title: title, Page: page, Operator: q.operator, CanEnd: q.access == FullAccess,
		Notice: q.notice(), Body: body,
	}
	if q.recorder != nil {
		v.Recorded, v.Replica = true, q.recorder.replica
	}
	return v
}

// reloadable lets the operator switch on that the page refreshes itself.
func (v *view) reloadable(r *http.Request) *view {
	v.CanReload = true
	if r.URL.Query().Has("all") {
		v.Query = "all"
	}
	if r.URL.Query().Has("refresh") {
		v.Refresh = refresh
	}
	return v
}

// show sends a page. A template that fails has not sent half a page.
func (q *request) show(status int, name string, v *view) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, v); err != nil {
		q.log.ErrorContext(q.r.Context(), "console: cannot render page", "page", name, "error", err)
		refuse(q.w, http.StatusInternalServerError, "This page cannot be shown.")
		return
	}
	q.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	q.w.WriteHeader(status)
	_, _ = q.w.Write(b.Bytes()) // an error means a lost client
}

func (q *request) problem(status int, text string) {
	q.show(status, "problem.html", q.view(http.StatusText(status), "", text))
}

// storeFailed logs an error of the store and shows a page that says so.
func (q *request) storeFailed(err error) {
	q.log.ErrorContext(q.r.Context(), "console: store failed", "error", err)
	text := "The store of the sessions does not respond. Nothing was changed. Try again in a moment."
	if q.r.Method == http.MethodPost {
		text = "The store of the sessions failed. Some sessions may not have ended. Go back and try again."
	}
	q.problem(http.StatusServiceUnavailable, text)
}

// redirect sends the browser to another page of the console. The address is
// relative, because the Console does not know where it is mounted.
func (q *request) redirect(page string, query url.Values) {
	if len(query) > 0 {
		page += "?" + query.Encode()
	}
	q.w.Header().Set("Location", page)
	q.w.WriteHeader(http.StatusSeeOther)
}

// notice returns the text of an action that redirected to this page.
func (q *request) notice() string {
	query := q.r.URL.Query()
	switch query.Get("done") {
	case "ended":
		return "The session has ended."
	case "gone":
		return "The session had ended before."
	case "all":
		n, err := strconv.Atoi(query.Get("n"))
		if err == nil && n >= 0 {
			return plural(n, "session") + " ended. Sign-ins in progress were stopped too."
		}
	}
	return ""
}

// overview makes no store call, so it works while the store does not respond.
func (q *request) overview() {
	type row struct {
		Kind          string
		Calls, Failed string
		HasFailed     bool
		Median, High  string
		Slowest       string
	}
	var body struct {
		Began             moment
		Latency, Calls    plot
		Rows              []row
		Counts            *plot
		Events            []eventRow
		Total, FailedTile string
		HasFailed         bool
		Median, High      string
	}
	if q.recorder != nil {
		now := time.Now()
		slots, notable, _, cs := q.recorder.snapshot(now)
		var hour tally
		for i, kind := range calls {
			var t tally
			for j := range slots {
				t.merge(&slots[j].kinds[i])
			}
			hour.merge(&t)
			body.Rows = append(body.Rows, row{
				string(kind), thousands(t.calls), thousands(t.failed), t.failed > 0,
				duration(t.quantile(0.5)), duration(t.quantile(0.95)), duration(t.slowest),
			})
		}
		body.Began = newMoment(q.recorder.began, now)
		body.Latency, body.Calls = latencyPlot(slots, &hour), callsPlot(slots, &hour)
		body.Total, body.FailedTile, body.HasFailed = thousands(hour.calls), thousands(hour.failed), hour.failed > 0
		body.Median, body.High = duration(hour.quantile(0.5)), duration(hour.quantile(0.95))
		body.Events = rowsOf(notable, now, maxRecent)
		if len(cs) > 0 {
			p := countsPlot(cs, now)
			body.Counts = &p
		}
	}
	q.show(http.StatusOK, "overview.html", q.view("Overview", "overview", &body).reloadable(q.r))
}

func (q *request) events() {
	if q.recorder == nil {
		q.problem(http.StatusNotFound, "No events are recorded. See console.WithRecorder.")
		return
	}
	now := time.Now()
	_, notable, activity, _ := q.recorder.snapshot(now)
	body := struct {
		All    bool
		Max    int
		Events []eventRow
	}{All: q.r.URL.Query().Has("all"), Max: maxEvents, Events: rowsOf(notable, now, maxEvents)}
	if body.All {
		body.Events = rowsOf(activity, now, maxEvents)
	}
	q.show(http.StatusOK, "events.html", q.view("Events", "events", &body).reloadable(q.r))
}

// find shows the session with an ID, or the sessions of a user. The name of a user
// may be a UUID too, so find first looks for sessions of such a user.
func (q *request) find() {
	text := q.r.URL.Query().Get("q")
	id, err := session.ParseID(strings.TrimSpace(text))
	if text == "" {
		q.redirect("./", nil)
		return
	}
	if err == nil {
		infos, err := q.sessions.List(q.r.Context(), strings.TrimSpace(text))
		if err != nil {
			q.storeFailed(err)
			return
		}
		if len(infos) == 0 {
			q.redirect("session", url.Values{"id": {id.String()}})
			return
		}
		text = infos[0].User
	}
	q.redirect("user", url.Values{"name": {text}})
}

// isUser reports whether name can be the name of a user.
func isUser(name string) bool {
	return name != "" && utf8.ValidString(name) && !strings.ContainsRune(name, 0)
}

func (q *request) user() {
	name := q.r.URL.Query().Get("name")
	if !isUser(name) {
		q.problem(http.StatusNotFound, "This is not the name of a user.")
		return
	}
	infos, err := q.sessions.List(q.r.Context(), name)
	if err != nil {
		q.storeFailed(err)
		return
	}
	now := time.Now()
	body := struct {
		User     string
		Count    int
		Heading  string
		Sessions []sessionRow
		Hidden   int
		Events   []eventRow
	}{User: name, Count: len(infos), Heading: plural(len(infos), "live session")}
	for _, i := range infos[:min(len(infos), maxRows)] {
		body.Sessions = append(body.Sessions, newSessionRow(&i, now))
	}
	body.Hidden = len(infos) - len(body.Sessions)
	if q.recorder != nil {
		body.Events = q.recorder.eventsOf(now, func(e *event) bool { return e.user == clip(name, maxUser) })
		for i := range body.Events {
			body.Events[i].User = "" // the heading names the user
		}
	}
	v := q.view("Sessions of "+name, "", &body)
	v.Find = name
	q.show(http.StatusOK, "user.html", v)
}

// key is the name of a key and the size of its encoded value in bytes.
type key struct{ Name, Size string }

// session shows one session, or the recorded events of one that has ended.
func (q *request) session() {
	id, err := session.ParseID(q.r.URL.Query().Get("id"))
	if err != nil {
		q.problem(http.StatusNotFound, "This is not the ID of a session.")
		return
	}
	rec, err := q.load(id)
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		q.storeFailed(err)
		return
	}
	now := time.Now()
	body := struct {
		ID       string
		Live     bool
		Session  sessionRow
		Keys     []key
		KeyCount int
		Events   []eventRow
	}{ID: id.String(), Live: err == nil}
	status := http.StatusNotFound
	if body.Live {
		status = http.StatusOK
		body.Session, body.KeyCount = newSessionRow(&rec.Info, now), len(rec.Values)
		for _, name := range slices.Sorted(maps.Keys(rec.Values)) {
			if len(body.Keys) == maxRows {
				break
			}
			body.Keys = append(body.Keys, key{name, thousands(uint64(len(rec.Values[name].Data)))})
		}
	}
	if q.recorder != nil {
		body.Events = q.recorder.eventsOf(now, func(e *event) bool { return e.id == id })
	}
	v := q.view("Session", "", &body)
	v.Find = id.String()
	q.show(status, "session.html", v)
}

// load returns the record of a live session, or ErrNotFound. Only the Manager knows
// whether a record is a live session and not an expired one or a revocation marker.
func (q *request) load(id session.ID) (*session.Record, error) {
	if _, err := q.sessions.LoadID(q.r.Context(), id); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(q.r.Context(), storeTimeout)
	defer cancel()
	return q.store.Load(ctx, id)
}
