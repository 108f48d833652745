package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

// appEnv makes this program run the app under test. Each replica is one
// process.
const appEnv = "PROVE_APP"

// appConfig is the configuration of an app, sent by the parent process.
type appConfig struct {
	URI     string
	Secret  string
	Timeout time.Duration // the store timeout
	Log     string        // path of the log file
	Pool    int           // maxPoolSize; 0 means the default
	Listen  string        // host:port; empty means a free port
}

var (
	keyCart  = session.Key[[]string]("cart")
	keyCount = session.Key[int]("count")
	keySlots = func(i int) session.Key[string] { return session.Key[string]("slot" + strconv.Itoa(i)) }
)

// state is the app's response: the session at the end of the request.
type state struct {
	ID, User string
	Count    int
	Cart     []string
	Devices  []string `json:",omitempty"`
}

// usage contains figures of the app itself, independent of sessions.
type usage struct {
	Goroutines int
	Heap       uint64 // bytes
	CPU        time.Duration
	Ops        int64         // number of store calls, counted by the observer
	Slowest    time.Duration // the longest time spent in the handler
}

type app struct {
	sessions *session.Manager
	ops      atomic.Int64
	slowest  highest
}

// highest keeps the highest of its values.
type highest struct{ atomic.Int64 }

func (h *highest) take(n int64) {
	for old := h.Load(); n > old && !h.CompareAndSwap(old, n); old = h.Load() {
	}
}

// appMain runs an app until its standard input is closed or it receives
// SIGTERM. Then it waits for requests to finish, closes the store and looks for
// remaining goroutines.
func appMain(config string) int {
	var c appConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		return 2
	}
	if err := serveApp(c); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		return 1
	}
	return 0
}

func serveApp(c appConfig) error {
	file, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	log := slog.New(slog.NewJSONHandler(file, &slog.HandlerOptions{Level: slog.LevelDebug}))
	uri := c.URI
	if c.Pool > 0 {
		uri += "&maxPoolSize=" + strconv.Itoa(c.Pool)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	store, err := mongostore.Open(ctx, uri, mongostore.WithLogger(log))
	if err != nil {
		return err
	}
	a := new(app)
	if a.sessions, err = a.manager(store, c, log); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", cmp.Or(c.Listen, "127.0.0.1:0"))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: a.handler(), ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	fmt.Println("http://" + ln.Addr().String())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	<-ctx.Done()
	return errors.Join(shutDown(server, store), left(served))
}

func (a *app) manager(store session.Store, c appConfig, log *slog.Logger) (*session.Manager, error) {
	return session.New(store, c.Secret,
		session.WithStoreTimeout(c.Timeout), session.WithLogger(log), session.DangerouslyAllowHTTP(),
		session.WithObserver(func(_ context.Context, e session.Event) { countCall(&a.ops, e) }),
		session.WithErrorHandler(answerError))
}

func shutDown(server *http.Server, store *mongostore.Store) error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(ctx), store.Close(ctx))
}

// left waits until all goroutines of the server and the driver have ended.
func left(served <-chan error) error {
	<-served
	const own = 4 // main, the reader of standard input, two of os/signal
	var n int
	for range 200 {
		if n = runtime.NumGoroutine(); n <= own {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	return fmt.Errorf("%d goroutines left:\n%s", n-own, buf[:runtime.Stack(buf, true)])
}

// answerError sends the full error text to the client, so the search for tokens
// covers error texts.
func answerError(w http.ResponseWriter, _ *http.Request, err error) {
	if errors.Is(err, session.ErrUncertain) {
		w.Header().Set("X-Uncertain", "1")
	}
	http.Error(w, err.Error(), session.HTTPStatus(err))
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) { a.answer(w, r, nil) })
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignIn(r.FormValue("user"))
		a.answer(w, r, nil)
	})
	mux.HandleFunc("POST /cart", a.cart)
	mux.HandleFunc("POST /slot", a.slot)
	mux.HandleFunc("POST /count", a.count)
	mux.HandleFunc("POST /renew", func(w http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).Renew()
		a.answer(w, r, nil)
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignOut()
		a.answer(w, r, nil)
	})
	mux.HandleFunc("GET /devices", a.devices)
	mux.HandleFunc("POST /revoke", a.revoke)
	outer := http.NewServeMux()
	outer.HandleFunc("GET /usage", a.usage)
	inner := a.sessions.Wrap(mux)
	outer.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		defer func(began time.Time) { a.slowest.take(int64(time.Since(began))) }(time.Now())
		inner.ServeHTTP(w, r)
	})
	return outer
}

func (a *app) answer(w http.ResponseWriter, r *http.Request, devices []string) {
	s := session.FromContext(r.Context())
	st := state{User: s.User(), Count: keyCount.GetOr(s, 0), Cart: keyCart.GetOr(s, nil), Devices: devices}
	if id := s.ID(); !id.IsZero() {
		st.ID = id.String()
	}
	_ = json.NewEncoder(w).Encode(st)
}

// cart appends an item with Set. The visitor sends one such request at a time.
func (a *app) cart(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	items := append(keyCart.GetOr(s, nil), r.FormValue("item"))
	keyCart.Set(s, items[max(0, len(items)-8):])
	a.answer(w, r, nil)
}

// slot writes a separate key.
func (a *app) slot(w http.ResponseWriter, r *http.Request) {
	i, _ := strconv.Atoi(r.FormValue("i"))
	keySlots(i).Set(session.FromContext(r.Context()), r.FormValue("v"))
	a.answer(w, r, nil)
}

func (a *app) count(w http.ResponseWriter, r *http.Request) {
	if _, err := keyCount.Update(r.Context(), session.FromContext(r.Context()), func(n int) int { return n + 1 }); err != nil {
		answerError(w, r, err)
		return
	}
	a.answer(w, r, nil)
}

func (a *app) devices(w http.ResponseWriter, r *http.Request) {
	infos, err := a.sessions.List(r.Context(), session.FromContext(r.Context()).User())
	if err != nil {
		answerError(w, r, err)
		return
	}
	ids := make([]string, len(infos))
	for i := range infos {
		ids[i] = infos[i].ID.String()
	}
	slices.Sort(ids)
	a.answer(w, r, ids)
}

func (a *app) revoke(w http.ResponseWriter, r *http.Request) {
	if _, err := session.FromContext(r.Context()).RevokeOthers(r.Context()); err != nil {
		answerError(w, r, err)
		return
	}
	a.answer(w, r, nil)
}

func (a *app) usage(w http.ResponseWriter, _ *http.Request) {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	_ = json.NewEncoder(w).Encode(usage{
		Goroutines: runtime.NumGoroutine(), Heap: mem.HeapInuse + mem.StackInuse, CPU: cpuTime(), Ops: a.ops.Load(),
		Slowest: time.Duration(a.slowest.Load()),
	})
}

// cpuTime returns the CPU time used by this process.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// countCall counts an event that is not a step in the life of a session.
func countCall(n *atomic.Int64, e session.Event) {
	if e.Reason == "" {
		n.Add(1)
	}
}
