package main

import (
	"context"
	"encoding/gob"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/gorilla/sessions"

	"github.com/holdfast-go/session"
)

const secret = "a secret for benchmarks alone, of more than 32 bytes"

// small is the key for most reads, such as a user or a counter.
var small = session.Key[string]("name")

const smallName, smallValue = "name", "Ada Lovelace"

// instant is a store that returns a prepared record at once.
type instant struct{ rec *session.Record }

func (s *instant) Load(context.Context, session.ID) (*session.Record, error) { return s.rec, nil }
func (s *instant) Insert(_ context.Context, rec *session.Record) error {
	s.rec = rec
	return nil
}
func (s *instant) Update(context.Context, session.ID, *session.Change) error { return nil }
func (s *instant) Delete(context.Context, session.ID) error                  { return nil }
func (s *instant) List(context.Context, string) ([]session.Info, error)      { return nil, nil }

// instantSCS is such a store for scs.
type instantSCS struct{ data []byte }

func (s *instantSCS) Find(string) ([]byte, bool, error) { return s.data, true, nil }
func (s *instantSCS) Commit(_ string, b []byte, _ time.Time) error {
	s.data = b
	return nil
}
func (s *instantSCS) Delete(string) error { return nil }

// sink is a response writer with nearly no cost.
type sink struct{ h http.Header }

func (w *sink) Header() http.Header         { return w.h }
func (w *sink) WriteHeader(int)             {}
func (w *sink) Write(b []byte) (int, error) { return len(b), nil }

var answer = []byte("ok")

func writeAnswer(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer) }

// call returns a variant that serves one request repeatedly. It uses a new copy
// each time, because gorilla writes to it.
func call(name string, h http.Handler, cookie *http.Cookie) variant {
	model := httptest.NewRequest(http.MethodGet, "/cart", nil)
	model.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	model.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	model.Header.Set("Accept-Language", "en-GB,en;q=0.5")
	if cookie != nil {
		model.AddCookie(cookie)
	}
	w, r := &sink{h: make(http.Header)}, new(http.Request)
	return variant{name, func(int) {
		*r = *model
		clear(w.h)
		h.ServeHTTP(w, r)
	}}
}

// signIn returns the cookie from a handler.
func signIn(h http.Handler) *http.Cookie {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	cookies := w.Result().Cookies()
	if len(cookies) != 1 {
		panic(fmt.Sprintf("want one cookie, got %v", cookies))
	}
	return &http.Cookie{Name: cookies[0].Name, Value: cookies[0].Value}
}

func oursInProcess() []variant {
	m, err := session.New(&instant{}, secret, session.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		panic(err)
	}
	handler := func(f func(s *session.Session)) http.Handler {
		return m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f(session.FromContext(r.Context()))
			writeAnswer(w, r)
		}))
	}
	write := handler(func(s *session.Session) { small.Set(s, smallValue) })
	cookie := signIn(write)
	read := handler(func(s *session.Session) {
		if v, _ := small.Get(s); v != smallValue {
			panic("the session was not read")
		}
	})
	return []variant{
		call("anonymous", m.Wrap(http.HandlerFunc(writeAnswer)), nil),
		call("read", read, cookie),
		call("write", write, cookie),
	}
}

func scsInProcess() []variant {
	m := scs.New()
	m.Store = &instantSCS{}
	handler := func(f func(ctx context.Context)) http.Handler {
		return m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f(r.Context())
			writeAnswer(w, r)
		}))
	}
	write := handler(func(ctx context.Context) { m.Put(ctx, smallName, smallValue) })
	cookie := signIn(write)
	read := handler(func(ctx context.Context) {
		if m.GetString(ctx, smallName) != smallValue {
			panic("the session was not read")
		}
	})
	return []variant{
		call("anonymous", m.LoadAndSave(http.HandlerFunc(writeAnswer)), nil),
		call("read", read, cookie),
		call("write", write, cookie),
	}
}

// gorillaInProcess keeps the data in the cookie, so it needs no store. It also
// cannot end a session or store more than 4 KB.
func gorillaInProcess() []variant {
	gob.Register(map[any]any{})
	store := sessions.NewCookieStore([]byte(secret))
	handler := func(f func(w http.ResponseWriter, r *http.Request, s *sessions.Session)) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := store.Get(r, "session")
			if err != nil {
				panic(err)
			}
			f(w, r, s)
			writeAnswer(w, r)
		})
	}
	write := handler(func(w http.ResponseWriter, r *http.Request, s *sessions.Session) {
		s.Values[smallName] = smallValue
		if err := s.Save(r, w); err != nil {
			panic(err)
		}
	})
	cookie := signIn(write)
	read := handler(func(_ http.ResponseWriter, _ *http.Request, s *sessions.Session) {
		if s.Values[smallName] != smallValue {
			panic("the session was not read")
		}
	})
	return []variant{
		call("anonymous", handler(func(http.ResponseWriter, *http.Request, *sessions.Session) {}), nil),
		call("read", read, cookie),
		call("write", write, cookie),
	}
}

// inProcess measures the time of the library itself. The store responds at once
// and there is no network. The result is CPU time, which excludes other
// processes.
func inProcess(_ context.Context, out io.Writer, c *config) error {
	n, each := c.timing(50*time.Millisecond, 5*time.Millisecond)
	ours, peer, gorilla := oursInProcess(), scsInProcess(), gorillaInProcess()
	bare := call("bare", http.HandlerFunc(writeAnswer), nil)
	t := newTable(out, "request", "this library over the bare handler", "best round", "goal", "scs", "gorilla CookieStore", "of scs's time", "of its best round", "goal")
	goals := [][2]string{{"≤ 0.5 µs, ≤ 3", ""}, {"≤ 4 µs, ≤ 25", "≤ 0.20"}, {"≤ 5.5 µs, ≤ 32", "≤ 0.20"}}
	for i, goal := range goals {
		s := rounds(n, each, []variant{bare, ours[i], peer[i], gorilla[i]})
		cell := func(v int) string {
			return fmt.Sprintf("%s, %.0f allocations", micros(over(s[v], s[0], cpuOf)), over(s[v], s[0], allocsOf))
		}
		t.row(ours[i].name, cell(1), micros(best(s[1], cpuOf)-best(s[0], cpuOf)), goal[0], cell(2), cell(3),
			fmt.Sprintf("%.2f", ratio(s[1], s[2], cpuOf)), fmt.Sprintf("%.2f", best(s[1], cpuOf)/best(s[2], cpuOf)), goal[1])
	}
	return t.end()
}
