package stress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
)

const (
	// serveEnv makes this test binary serve the app, on the database of
	// targetEnv.
	serveEnv  = "STRESS_SERVE"
	targetEnv = "STRESS_TARGET"
	secret    = "an example secret of 32 bytes or more"

	count session.Key[int] = "count"
)

// Serve runs the app in a process that the rounds have started, and ends it.
// Otherwise it does nothing. TestMain calls it first.
func Serve(open func(ctx context.Context, target string, quiet *slog.Logger) (session.Store, error)) {
	if os.Getenv(serveEnv) != "" {
		fmt.Fprintln(os.Stderr, serve(open))
		os.Exit(1)
	}
}

// serve runs the app. Each of its paths does one thing to the session, and
// every request touches the session.
func serve(open func(context.Context, string, *slog.Logger) (session.Store, error)) error {
	quiet := slog.New(slog.DiscardHandler) // dropped replies would fill the log
	store, err := open(context.Background(), os.Getenv(targetEnv), quiet)
	if err != nil {
		return err
	}
	m, err := session.New(store, secret,
		session.WithTouchInterval(0), session.WithStoreTimeout(time.Minute), session.WithLogger(quiet),
		session.WithErrorHandler(func(w http.ResponseWriter, _ *http.Request, err error) { answer(w, err) }))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	os.Stdout.WriteString("http://" + l.Addr().String() + "\n")
	return http.Serve(l, m.Wrap(app()))
}

func app() http.Handler {
	mux := http.NewServeMux()
	on := func(path string, do func(*http.Request, *session.Session) error) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			s := session.FromContext(r.Context())
			err := do(r, s)
			id, user, n := s.ID(), s.User(), count.GetOr(s, 0)
			w.Header().Set("X-Session", id.String()+" "+user+" "+strconv.Itoa(n))
			answer(w, err)
		})
	}
	on("/read", func(*http.Request, *session.Session) error { return nil })
	on("/set", func(r *http.Request, s *session.Session) error {
		session.Key[bool](r.FormValue("key")).Set(s, true)
		return nil
	})
	on("/has", func(r *http.Request, s *session.Session) error {
		if !session.Key[bool](r.FormValue("key")).GetOr(s, false) {
			return session.ErrNotFound
		}
		return nil
	})
	on("/update", func(r *http.Request, s *session.Session) error {
		_, err := count.Update(r.Context(), s, func(n int) int { return n + 1 })
		return err
	})
	on("/login", func(r *http.Request, s *session.Session) error { s.SignIn(r.FormValue("user")); return nil })
	on("/renew", func(_ *http.Request, s *session.Session) error { s.Renew(); return nil })
	on("/destroy", func(_ *http.Request, s *session.Session) error { s.SignOut(); return nil })
	return mux
}

// answer sends the result of the request to the client.
func answer(w http.ResponseWriter, err error) {
	if errors.Is(err, session.ErrUncertain) {
		w.Header().Set("X-Uncertain", "1")
	}
	w.WriteHeader(session.HTTPStatus(err))
}

// start runs the app in two processes and returns their addresses.
func start(t *testing.T, target string) []string {
	t.Helper()
	var bases []string
	for range 2 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), serveEnv+"=1", targetEnv+"="+target)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		line := make([]byte, 100)
		n, err := out.Read(line)
		require.NoError(t, err)
		bases = append(bases, strings.TrimSpace(string(line[:n])))
	}
	return bases
}

// reply is a response of the app.
type reply struct {
	status    int
	uncertain bool
	cookie    string // the cookie to send back; empty if none was set or it was deleted
	id        session.ID
	user      string
	count     int
}

func (r reply) ok() bool { return r.status == http.StatusOK }

// client sends requests to the processes in turn.
type client struct {
	http.Client
	bases []string
}

func newClient(t *testing.T, bases []string) *client {
	transport := &http.Transport{MaxIdleConnsPerHost: 500, MaxConnsPerHost: 500}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{http.Client{Transport: transport, Timeout: 3 * time.Minute}, bases} // loading and committing take at most a minute each
}

// ask sends one request to a process.
func (c *client) ask(process int, path, cookie string) (reply, error) {
	req, err := http.NewRequest("GET", c.bases[process%len(c.bases)]+path, nil)
	if err != nil {
		return reply{}, err
	}
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	res, err := c.Do(req)
	if err != nil {
		return reply{}, err
	}
	res.Body.Close()
	r := reply{status: res.StatusCode, uncertain: res.Header.Get("X-Uncertain") != ""}
	for _, set := range res.Cookies() {
		if set.MaxAge > 0 {
			r.cookie = set.Name + "=" + set.Value
		}
	}
	if fields := strings.SplitN(res.Header.Get("X-Session"), " ", 3); len(fields) == 3 {
		r.user = fields[1]
		r.count, _ = strconv.Atoi(fields[2])
		r.id, err = session.ParseID(fields[0])
	}
	return r, err
}
