package session_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// recoverer is a middleware that recovers every panic, like the one of
// gorilla/handlers. It does not treat http.ErrAbortHandler specially.
func recoverer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if err := recover(); err != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// awaited returns a handler, and a function to wait until one more request has
// been handled.
func awaited(h http.Handler) (http.Handler, func()) {
	handled := make(chan bool, 100)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { handled <- true }()
		h.ServeHTTP(w, r)
	}), func() { <-handled }
}

// afterLogin returns a handler that signs ann in at /login and otherwise runs do.
func afterLogin(do handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		if r.URL.Path == "/login" {
			s.SignIn("ann")
			return
		}
		do(w, r, s)
	})
}

// sends are the ways to send further bytes.
var sends = map[string]func(w http.ResponseWriter) error{
	"Write":       func(w http.ResponseWriter) error { _, err := w.Write([]byte("more")); return err },
	"WriteString": func(w http.ResponseWriter) error { _, err := io.WriteString(w, "more"); return err },
	"ReadFrom": func(w http.ResponseWriter) error {
		_, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("more"))
		return err
	},
	"Flush": flush,
}

func TestLateChange_StoredBeforeFurtherBytes(t *testing.T) {
	for name, send := range sends {
		t.Run(name, func(t *testing.T) {
			bothProtocols(t, func(t *testing.T, http2 bool) {
				store := memstore.New()
				m := newManager(t, store)
				srv, v := start(t, m.Wrap(afterLogin(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
					stored := func() string { return color.GetOr(must(m.LoadID(background, s.ID())), "") }
					write(w)
					_ = flush(w)
					for _, value := range []string{"red", "blue"} {
						color.Set(s, value)
						require.NotEqual(t, value, stored())
						require.NoError(t, send(w))
						require.Equal(t, value, stored())
					}
					// Update modifies the pending value.
					color.Set(s, "green")
					must(color.Update(background, s, func(c string) string { return "dark " + c }))
					require.NoError(t, send(w))
					require.Equal(t, "dark green", stored())
				})), http2)
				v.send("GET", srv.URL+"/login")
				require.NoError(t, v.send("GET", srv.URL).err)
			})
		})
	}
}

// The client must notice that the response is incomplete, even if an outer
// middleware recovers the panic.
func TestLateChange_FailedCommitCutsTheResponse(t *testing.T) {
	declare := func(n int) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) { w.Header().Set("Content-Length", strconv.Itoa(n)) }
	}
	for name, c := range map[string]struct {
		before func(w http.ResponseWriter)
		after  func(w http.ResponseWriter) error
		flush  bool
	}{
		"chunked, and more bytes":              {nil, sends["Write"], true},
		"chunked, and a flush":                 {nil, sends["Flush"], true},
		"chunked, and a copy":                  {nil, sends["ReadFrom"], true},
		"chunked, and no more bytes":           {nil, nil, true},
		"nothing sent yet":                     {nil, nil, false},
		"nothing sent yet, and more bytes":     {nil, sends["Write"], false},
		"of declared length, and more bytes":   {declare(len(page) + len("more")), sends["Write"], true},
		"of declared length, not sent yet":     {declare(len(page)), nil, false},
		"of declared length, and bytes missed": {declare(len(page) + len("more")), nil, true},
	} {
		for _, around := range []string{"bare", "in a recoverer", "around a recoverer"} {
			for cause, change := range map[string]func(s *session.Session, store *faulty){
				"a store error":   func(s *session.Session, store *faulty) { color.Set(s, "blue"); store.fail("Update", errDown) },
				"a needed cookie": func(s *session.Session, _ *faulty) { s.SignIn("bob") },
			} {
				t.Run(name+"/"+around+"/"+cause, func(t *testing.T) {
					bothProtocols(t, func(t *testing.T, http2 bool) {
						log, store := new(logs), newFaulty()
						var told error
						var h http.Handler = afterLogin(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
							if c.before != nil {
								c.before(w)
							}
							write(w)
							if c.flush {
								_ = flush(w)
							}
							change(s, store)
							if c.after != nil {
								told = c.after(w)
								write(w)
							}
						})
						if around == "around a recoverer" {
							h = recoverer(h)
						}
						h = newManager(t, store, log.option()).Wrap(h)
						if around == "in a recoverer" {
							h = recoverer(h)
						}
						h, wait := awaited(h)
						srv, v := start(t, h, http2)
						v.send("GET", srv.URL+"/login")
						wait()
						res := v.send("GET", srv.URL)
						wait()
						require.Error(t, res.err, res.body)
						require.NotContains(t, res.body, "more")
						require.Equal(t, 1, strings.Count(log.String(), "change could not be saved"), log.String())
						require.Contains(t, log.String(), "late_test.go:")
						if c.after != nil {
							require.Error(t, told)
						}
					})
				})
			}
		}
	}
}

// If the client has received all bytes of a declared length, it cannot notice
// the loss of a later change. The Manager logs the loss.
func TestLateChange_AfterTheLastByteOfDeclaredLength(t *testing.T) {
	log, store := new(logs), newFaulty()
	h, wait := awaited(recoverer(newManager(t, store, log.option()).Wrap(afterLogin(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		w.Header().Set("Content-Length", strconv.Itoa(len(page)))
		write(w)
		_ = flush(w)
		store.fail("Update", errDown)
		color.Set(s, "blue")
	}))))
	srv, v := start(t, h, false)
	v.send("GET", srv.URL+"/login")
	wait()
	res := v.send("GET", srv.URL)
	require.NoError(t, res.err)
	require.Equal(t, page, res.body)
	wait()
	require.Contains(t, log.String(), "change could not be saved")
}

// A reverse proxy flushes in another goroutine, where a panic would crash the
// program.
func TestLateChange_FailedCommitInAnotherGoroutine(t *testing.T) {
	store := newFaulty()
	a, v := newApp(t, newManager(t, store)), newVisitor(t)
	v.login(a, "ann")
	res := v.try(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		write(w)
		_ = flush(w)
		store.fail("Update", errDown)
		color.Set(s, "blue")
		flushed := make(chan error)
		go func() { flushed <- flush(w) }()
		require.ErrorIs(t, <-flushed, errDown)
	})
	require.Error(t, res.err)
}

// The context ends too, for handlers that ignore the errors of Write.
func TestLateChange_FailedCommitEndsTheContext(t *testing.T) {
	bothProtocols(t, func(t *testing.T, http2 bool) {
		store := newFaulty()
		ended := make(chan error, 1)
		srv, v := start(t, newManager(t, store).Wrap(afterLogin(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			write(w)
			_ = flush(w)
			store.fail("Update", errDown)
			color.Set(s, "blue")
			w.Write(nil)
			<-r.Context().Done()
			ended <- r.Context().Err()
		})), http2)
		v.send("GET", srv.URL+"/login")
		require.Error(t, v.send("GET", srv.URL).err)
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

// A handler that sets a deadline for each write does not undo the cut.
func TestLateChange_DeadlinesOfTheHandler(t *testing.T) {
	bothProtocols(t, func(t *testing.T, http2 bool) {
		store := newFaulty()
		h, wait := awaited(recoverer(newManager(t, store).Wrap(afterLogin(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			write(w)
			_ = flush(w)
			store.fail("Update", errDown)
			color.Set(s, "blue")
			write(w)
			err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute))
			assert.ErrorIs(t, err, errDown)
		}))))
		srv, v := start(t, h, http2)
		v.send("GET", srv.URL+"/login")
		wait()
		require.Error(t, v.send("GET", srv.URL).err)
		wait()
	})
}

// If the writer does not support deadlines, only the panic at the end cuts the
// connection.
func TestLateChange_FailedCommitWithoutDeadlines(t *testing.T) {
	store := newFaulty()
	m := newManager(t, store)
	s := must(m.Load(background, nil))
	s.SignIn("ann")
	require.NoError(t, s.Save(background))
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(s.Cookie())
	w := httptest.NewRecorder()
	require.PanicsWithValue(t, http.ErrAbortHandler, func() {
		m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			write(w)
			color.Set(session.FromContext(r.Context()), "blue")
			store.fail("Update", errDown)
			_, err := io.WriteString(w, "more")
			require.ErrorIs(t, err, errDown)
			store.fail("Update", nil)
			_, err = io.WriteString(w, "more")
			require.ErrorIs(t, err, errDown, "later writes return the first error")
		})).ServeHTTP(w, r)
	})
	require.Equal(t, page, w.Body.String())
}

// The handler deals with a late Save that fails.
func TestLateChange_FailedSaveThenDiscard(t *testing.T) {
	store := newFaulty()
	a, v := newApp(t, newManager(t, store)), newVisitor(t)
	v.login(a, "ann")
	res := v.do(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		write(w)
		store.fail("Update", errDown)
		color.Set(s, "blue")
		require.ErrorIs(t, s.Save(background), errDown)
		s.Discard()
		store.fail("Update", nil)
		io.WriteString(w, " not saved")
	})
	require.Equal(t, page+" not saved", res.body)
}

// A panic discards unsaved changes. Before the first byte these are all
// changes; after it, those since the last byte.
func TestPanic_AfterTheFirstByte(t *testing.T) {
	for name, value := range map[string]any{"abort": http.ErrAbortHandler, "panic": errors.New("boom")} {
		t.Run(name, func(t *testing.T) {
			a, v := newApp(t, newManager(t, memstore.New())), newVisitor(t)
			v.login(a, "ann")
			res := v.try(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
				color.Set(s, "red")
				visits.Set(s, 1)
				write(w)
				_ = flush(w)
				visits.Set(s, 2)
				write(w)
				visits.Set(s, 3)
				s.SignOut()
				panic(value)
			})
			require.Error(t, res.err)
			user, n, col := v.see(a)
			require.Equal(t, "ann", user)
			require.Equal(t, "red", col)
			require.Equal(t, 2, n)
		})
	}
}
