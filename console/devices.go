package console

import (
	"bytes"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/holdfast-go/session"
)

const (
	endField  = "session-end"   // name of the buttons of a form
	others    = "others"        // value of the button that ends all other sessions
	doneField = "session-ended" // parameter of the address after a form
)

// Devices is a handler with a page on which a signed-in user sees the devices on
// which they are signed in, and signs out on them. Create it with [NewDevices]. It
// is safe for concurrent use. Mount it inside [session.Manager.Wrap] of its Manager:
//
//	mux.Handle("/account/devices", devices)
//
// The names of devices need [session.WithClientInfo].
//
// The forms of the page are sent to the address of the page itself. Devices
// refuses a form with status 403 unless its header Sec-Fetch-Site is same-origin or,
// in a browser without this header, its Origin is the host of the request.
type Devices struct {
	sessions *session.Manager
	texts    func(*http.Request) Texts
	log      *slog.Logger
}

// NewDevices returns Devices for the sessions of a Manager. It returns an error if
// sessions or an option is nil.
func NewDevices(sessions *session.Manager, opts ...Option) (*Devices, error) {
	var err error
	if sessions == nil {
		err = errors.New("console: NewDevices without a Manager; pass the one of session.New")
	}
	o, err2 := optionsOf(opts)
	if err = errors.Join(err, err2); err != nil {
		return nil, err
	}
	return &Devices{sessions: sessions, texts: o.texts, log: o.log}, nil
}

// deviceRow is a session as the list shows it.
type deviceRow struct {
	ID, Name, LastSeen, SignedIn, IP, EndLabel string
	This                                       bool
}

// deviceList is the data of the template.
type deviceList struct {
	Texts
	EndField, Others string
	Style            template.HTML
	Devices          []deviceRow
	Notice           string
	Problem          string // a page with a problem has nothing more
}

// Fragment returns the list of the devices of the signed-in user, for a page of the
// program. The page must be in the program's own layout, inside Wrap, and its style
// can be [DevicesStyle]. The forms of the fragment are sent to the address of the
// page with method POST, so route these requests to Devices:
//
//	mux.HandleFunc("GET /account", account) // writes the fragment
//	mux.Handle("POST /account", devices)
//
// After a form, Devices redirects the browser to the page. Fragment returns
// [session.ErrNotFound] if nobody is signed in, and the error of
// [session.Manager.List] if the store failed.
func (d *Devices) Fragment(r *http.Request) (template.HTML, error) {
	list, err := d.list(r)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = templates.ExecuteTemplate(&b, "device-list", list)
	return template.HTML(b.String()), err
}

func (d *Devices) list(r *http.Request) (*deviceList, error) {
	s, texts := d.sessions.FromContext(r.Context()), d.texts(r).orEnglish()
	user := s.User()
	if user == "" {
		return nil, session.ErrNotFound
	}
	infos, err := d.sessions.List(r.Context(), user)
	if err != nil {
		return nil, err
	}
	l := &deviceList{Texts: texts, EndField: endField, Others: others, Style: styleElement(DevicesStyle)}
	now, this := time.Now().UTC(), s.ID()
	for _, i := range infos[:min(len(infos), maxRows)] {
		row := deviceRow{
			ID: i.ID.String(), Name: texts.Device(deviceOf(i.UserAgent)), IP: i.ClientIP, This: i.ID == this,
			LastSeen: texts.LastSeen(i.LastSeenAt.UTC(), now), SignedIn: texts.SignedIn(i.SignedInAt.UTC(), now),
		}
		row.EndLabel = texts.EndDevice(row.Name, row.LastSeen)
		l.Devices = append(l.Devices, row)
	}
	// The device of the request comes first.
	slices.SortStableFunc(l.Devices, func(a, b deviceRow) int {
		switch {
		case a.This:
			return -1
		case b.This:
			return 1
		}
		return 0
	})
	switch r.URL.Query().Get(doneField) {
	case others:
		l.Notice = texts.OthersEnded
	case "one":
		l.Notice = texts.Ended
	}
	return l, nil
}

// ServeHTTP serves the page, and the forms of the page or of the fragment.
func (d *Devices) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w, DevicesStyle)
	texts := d.texts(r).orEnglish()
	if d.sessions.FromContext(r.Context()).User() == "" {
		d.refuse(w, http.StatusForbidden, texts, texts.NotSignedIn)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		d.page(w, r, texts)
	case http.MethodPost:
		if !sameOrigin(r) {
			d.refuse(w, http.StatusForbidden, texts, texts.Refused)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		d.end(w, r, texts)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		d.refuse(w, http.StatusMethodNotAllowed, texts, texts.BadForm)
	}
}

func (d *Devices) page(w http.ResponseWriter, r *http.Request, texts Texts) {
	list, err := d.list(r)
	if err != nil {
		d.failed(w, r, texts, err)
		return
	}
	d.show(w, http.StatusOK, list)
}

// show sends a page. Texts of the program cannot make the template fail.
func (d *Devices) show(w http.ResponseWriter, status int, list *deviceList) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, "devices.html", list); err != nil {
		d.log.Error("console: cannot render devices", "error", err)
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // an error means a lost client
}

// refuse sends a page with a problem.
func (d *Devices) refuse(w http.ResponseWriter, status int, texts Texts, text string) {
	d.show(w, status, &deviceList{Texts: texts, Style: styleElement(DevicesStyle), Problem: text})
}

// end ends one or all other sessions and redirects to the page.
func (d *Devices) end(w http.ResponseWriter, r *http.Request, texts Texts) {
	s := d.sessions.FromContext(r.Context())
	value, done := r.PostFormValue(endField), "one"
	id, err := session.ParseID(value)
	switch {
	case value == others:
		done = others
		_, err = s.RevokeOthers(r.Context())
	case err != nil || id == s.ID(): // the page does not offer to end its own session
		d.refuse(w, http.StatusBadRequest, texts, texts.BadForm)
		return
	default:
		err = d.sessions.Revoke(r.Context(), s.User(), id)
		if errors.Is(err, session.ErrNotFound) { // it had ended before
			err = nil
		}
	}
	if err != nil {
		d.failed(w, r, texts, err)
		return
	}
	w.Header().Set("Location", "?"+url.Values{doneField: {done}}.Encode())
	w.WriteHeader(http.StatusSeeOther)
}

// failed logs an error and responds with its status.
func (d *Devices) failed(w http.ResponseWriter, r *http.Request, texts Texts, err error) {
	d.log.ErrorContext(r.Context(), "console: list of devices failed", "error", err)
	d.refuse(w, session.HTTPStatus(err), texts, texts.Failed)
}

// sameOrigin reports whether a page of the same origin sent a form.
func sameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	origin, err := url.Parse(r.Header.Get("Origin"))
	return err == nil && origin.Host != "" && origin.Host == r.Host
}
