package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/console"
	"github.com/holdfast-go/session/mongostore"
)

// Keys of the values in a session.
const (
	count session.Key[int]            = "count"
	cart  session.Key[map[string]int] = "cart"
)

var goods = []string{"Bread", "Honey", "Tea"}

// touchInterval is short so that "last seen" changes while one watches. The default of an hour causes fewer writes.
const touchInterval = 5 * time.Second

// app is the small web app of the demo.
type app struct {
	name     string
	store    *mongostore.Store
	sessions *session.Manager
	recorder *console.Recorder
	demo     string // URL of the demo, which serves its state
}

// runReplica serves the app until ctx is done.
func runReplica(ctx context.Context) error {
	a := &app{name: os.Getenv("DEMO_REPLICA"), demo: os.Getenv("DEMO_URL")}
	a.recorder = console.NewRecorder(a.name)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})).With("replica", a.name)
	slog.SetDefault(log)

	var err error
	a.store, err = mongostore.Open(ctx, os.Getenv("MONGO_URI"), mongostore.WithDatabase(os.Getenv("DEMO_DATABASE")))
	if err != nil {
		return err
	}
	defer a.store.Close(context.Background())
	storeTimeout, err := time.ParseDuration(os.Getenv(storeTimeoutVar))
	if err != nil {
		return fmt.Errorf("%s: %w", storeTimeoutVar, err)
	}
	a.sessions, err = session.New(a.store, os.Getenv("SESSION_SECRET"),
		session.WithStoreTimeout(storeTimeout),
		session.WithTouchInterval(touchInterval),
		session.WithClientInfo(),
		session.WithTrustedProxies(netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")),
		session.WithErrorHandler(showError),
		session.WithObserver(observe),
		session.WithObserver(a.recorder.Observe),
	)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	site := a.site()
	if err := a.addOperator(ctx, site); err != nil {
		return err
	}
	srv := &http.Server{Handler: timed(a.name, site), ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(stopped)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = srv.Shutdown(ctx)
	})
	if err := printHello(map[string]string{"addr": ln.Addr().String()}); err != nil {
		return err
	}
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-stopped
	return nil
}

// site returns the app. Files and health checks need no session and are outside Wrap. The protection against
// cross-origin requests is outside Wrap too.
func (a *app) site() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.home)
	mux.HandleFunc("GET /me", a.me)
	mux.HandleFunc("POST /sign-in", a.signIn)
	mux.HandleFunc("POST /sign-out", a.signOut)
	mux.HandleFunc("POST /renew", a.renew)
	mux.HandleFunc("POST /count", a.increment)
	mux.HandleFunc("POST /cart", a.addToCart)
	mux.HandleFunc("POST /cart/empty", a.emptyCart)
	mux.HandleFunc("POST /devices/end", a.endDevice)
	mux.HandleFunc("POST /devices/end-others", a.endOtherDevices)
	mux.HandleFunc("/", notFound)
	if os.Getenv("DEMO_CHECK") != "" {
		a.addCheckRoutes(mux)
	}

	site := http.NewServeMux()
	site.Handle("/static/", staticFiles)
	site.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	site.Handle("/", secured(http.NewCrossOriginProtection().Handler(a.sessions.Wrap(mux))))
	return site
}

func (a *app) signIn(w http.ResponseWriter, r *http.Request) {
	name := strings.Join(strings.Fields(r.PostFormValue("user")), " ")
	if name == "" || len(name) > 40 || !utf8.ValidString(name) {
		problem{
			Status: http.StatusUnprocessableEntity, Title: "This name cannot be used",
			Text: "Give a name of 1 to 40 letters.",
		}.show(w)
		return
	}
	// A real app checks a password here.
	session.FromContext(r.Context()).SignIn(name)
	back(w, r, "signed-in", "session")
}

func (a *app) signOut(w http.ResponseWriter, r *http.Request) {
	session.FromContext(r.Context()).SignOut()
	back(w, r, "signed-out", "session")
}

func (a *app) renew(w http.ResponseWriter, r *http.Request) {
	session.FromContext(r.Context()).Renew()
	back(w, r, "renewed", "session")
}

// increment is exact even if many requests count at once on both replicas.
func (a *app) increment(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	if _, err := count.Update(r.Context(), s, func(n int) int { return n + 1 }); err != nil {
		a.fail(w, r, err)
		return
	}
	back(w, r, "", "session")
}

func (a *app) addToCart(w http.ResponseWriter, r *http.Request) {
	item := r.PostFormValue("item")
	if !slices.Contains(goods, item) {
		problem{Status: http.StatusUnprocessableEntity, Title: "We do not sell that", Text: "Choose one of the goods on the page."}.show(w)
		return
	}
	s := session.FromContext(r.Context())
	_, err := cart.Update(r.Context(), s, func(c map[string]int) map[string]int {
		if c == nil {
			c = make(map[string]int)
		}
		c[item]++
		return c
	})
	if err != nil {
		a.fail(w, r, err)
		return
	}
	back(w, r, "", "session")
}

func (a *app) emptyCart(w http.ResponseWriter, r *http.Request) {
	cart.Delete(session.FromContext(r.Context()))
	back(w, r, "", "session")
}

func (a *app) endDevice(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	id, err := session.ParseID(r.PostFormValue("id"))
	if err == nil {
		err = a.sessions.Revoke(r.Context(), s.User(), id)
	} else {
		err = session.ErrNotFound
	}
	// Another device may have ended the session just before, which is the desired result.
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		a.fail(w, r, err)
		return
	}
	back(w, r, "device-ended", "devices")
}

func (a *app) endOtherDevices(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	if s.User() == "" {
		back(w, r, "", "session")
		return
	}
	if _, err := s.RevokeOthers(r.Context()); err != nil {
		a.fail(w, r, err)
		return
	}
	back(w, r, "others-ended", "devices")
}

// fail responds to an error of a call in a handler, as the library does to its own errors.
func (a *app) fail(w http.ResponseWriter, r *http.Request, err error) {
	if session.HTTPStatus(err) >= http.StatusInternalServerError {
		slog.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "error", err)
	}
	showError(w, r, err)
}

// back redirects the browser to the page with GET. A reload then repeats nothing.
func back(w http.ResponseWriter, r *http.Request, notice, section string) {
	to := "/"
	if notice != "" {
		to += "?notice=" + url.QueryEscape(notice)
	}
	http.Redirect(w, r, to+"#"+section, http.StatusSeeOther)
}

// me responds with the session as JSON, for programs.
func (a *app) me(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(whoami{s.User(), a.name, count.GetOr(s, 0), cart.GetOr(s, nil)})
}

type whoami struct {
	User    string         `json:"user"`
	Replica string         `json:"replica"`
	Count   int            `json:"count"`
	Cart    map[string]int `json:"cart"`
}

// home shows the page. The list of devices and the document are optional parts, so the page is shown even if they
// cannot be read.
func (a *app) home(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	p := page{
		Replica: a.name, PID: os.Getpid(), Notice: notices[r.URL.Query().Get("notice")],
		User: s.User(), Count: count.GetOr(s, 0), Goods: goods, Cart: lines(cart.GetOr(s, nil)),
	}
	info := s.Info()
	id := info.ID
	p.Ends = ends(info)
	if p.User != "" {
		infos, err := a.sessions.List(r.Context(), p.User)
		p.Devices, p.DevicesFailed = devices(infos, id, time.Now()), err != nil
	}
	if !id.IsZero() {
		p.Stored = true
		p.Document = a.document(r.Context(), id)
	}
	p.State = a.state(r.Context())
	p.show(w)
}

// document returns the stored document of the session, or an empty string if it cannot be read.
func (a *app) document(ctx context.Context, id session.ID) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	raw, err := a.store.Collection().FindOne(ctx, bson.D{{Key: "_id", Value: bson.Binary{Subtype: bson.TypeBinaryUUID, Data: id[:]}}}).Raw()
	if err != nil {
		return ""
	}
	text, err := bson.MarshalExtJSONIndent(raw, false, false, "", "  ")
	if err != nil {
		return ""
	}
	return oneLiners.ReplaceAllStringFunc(string(text), func(object string) string {
		return strings.Join(strings.Fields(object), " ")
	})
}

// oneLiners are the objects for dates and bytes in extended JSON. They are easier to read on one line.
var oneLiners = regexp.MustCompile(`\{\s*"\$date":[^}]*\}|\{\s*"\$binary":[^}]*\}\s*\}`)

// state returns the state of the demo around the app, or nil if it cannot be read.
func (a *app) state(ctx context.Context) *state {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.demo+"/demo/state", nil)
	if err != nil {
		return nil
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	st := new(state)
	if json.NewDecoder(res.Body).Decode(st) != nil {
		return nil
	}
	return st
}

func lines(c map[string]int) []line {
	var ls []line
	for item, n := range c {
		ls = append(ls, line{item, n})
	}
	slices.SortFunc(ls, func(a, b line) int { return cmp.Compare(a.Item, b.Item) })
	return ls
}
