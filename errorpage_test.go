package session_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// answerOfFailedCommit returns the response to a request whose handler changes
// a session that the store refuses to insert.
func answerOfFailedCommit(t *testing.T, http2 bool, do handler, opts ...session.Option) answer {
	t.Helper()
	store := newFaulty()
	store.fail("Insert", errDown)
	m := newManager(t, store, opts...)
	srv, v := start(t, m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		color.Set(s, "red")
		do(w, r, s)
	})), http2)
	return v.send("GET", srv.URL)
}

const errorPage = "Your session cannot be read or saved at the moment. It is not lost. Please try again.\n"

// A reverse proxy aborts if Write returns an error, because it assumes that the
// client is gone.
func TestErrorPage_ArrivesThroughReverseProxy(t *testing.T) {
	for name, c := range map[string]struct {
		upstream      func(w http.ResponseWriter, r *http.Request)
		flushInterval int
		onlyHTTP1     bool
	}{
		"a page":         {upstream: func(w http.ResponseWriter, _ *http.Request) { write(w) }},
		"a large page":   {upstream: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat(content, 100)) }},
		"nothing":        {upstream: func(http.ResponseWriter, *http.Request) {}},
		"a page at once": {upstream: func(w http.ResponseWriter, _ *http.Request) { write(w) }, flushInterval: -1},
		"an endless stream": {upstream: func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				fmt.Fprintln(w, "data")
				_ = flush(w)
			}
		}, flushInterval: -1},
		"an endless stream of events": {upstream: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for r.Context().Err() == nil {
				fmt.Fprint(w, "data: 1\n\n")
				_ = flush(w)
			}
		}},
		"a stream without events": {upstream: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_ = flush(w)
			<-r.Context().Done()
		}, onlyHTTP1: true}, // over HTTP/2 the client receives the page, but not the end of the stream
	} {
		t.Run(name, func(t *testing.T) {
			bothProtocols(t, func(t *testing.T, http2 bool) {
				if http2 && c.onlyHTTP1 {
					return
				}
				ended := make(chan bool, 1)
				upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer func() { ended <- true }()
					c.upstream(w, r)
				}))
				t.Cleanup(upstream.Close)
				target := must(url.Parse(upstream.URL))
				proxy := &httputil.ReverseProxy{
					Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(target) },
					ErrorLog: discard(),
				}
				if c.flushInterval < 0 {
					proxy.FlushInterval = -1
				}
				res := answerOfFailedCommit(t, http2, func(w http.ResponseWriter, r *http.Request, _ *session.Session) { proxy.ServeHTTP(w, r) })
				require.NoError(t, res.err)
				require.Equal(t, 503, res.StatusCode)
				require.Equal(t, errorPage, res.body)
				<-ended
			})
		})
	}
}

func TestErrorPage_Arrives(t *testing.T) {
	for name, do := range map[string]func(w http.ResponseWriter) error{
		"Write":       func(w http.ResponseWriter) error { _, err := w.Write([]byte(page)); return err },
		"WriteString": func(w http.ResponseWriter) error { _, err := io.WriteString(w, page); return err },
		"ReadFrom": func(w http.ResponseWriter) error {
			n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader(content))
			if err == nil && int(n) != len(content) {
				err = errors.New("short")
			}
			return err
		},
		"WriteHeader": func(w http.ResponseWriter) error { w.WriteHeader(200); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			bothProtocols(t, func(t *testing.T, http2 bool) {
				res := answerOfFailedCommit(t, http2, func(w http.ResponseWriter, _ *http.Request, _ *session.Session) {
					must(0, do(w)) // many handlers panic if they cannot write
					must(0, do(w))
					require.ErrorIs(t, flush(w), errDown)
					_, _, err := http.NewResponseController(w).Hijack()
					require.ErrorIs(t, err, errDown)
					if name != "WriteHeader" {
						require.ErrorIs(t, do(w), errDown, "a streaming handler receives the error")
					}
				})
				require.NoError(t, res.err)
				require.Equal(t, 503, res.StatusCode)
				require.Equal(t, errorPage, res.body)
			})
		})
	}
}

// A handler that copies an endless source receives the error too.
func TestErrorPage_EndlessCopy(t *testing.T) {
	res := answerOfFailedCommit(t, false, func(w http.ResponseWriter, _ *http.Request, _ *session.Session) {
		_, err := io.Copy(w, endless{})
		require.ErrorIs(t, err, errDown)
	})
	require.NoError(t, res.err)
	require.Equal(t, errorPage, res.body)
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// The Manager recovers only http.ErrAbortHandler, because the error page is
// already the response. Other panics are bugs of the program and propagate.
func TestErrorPage_HandlerAborts(t *testing.T) {
	bothProtocols(t, func(t *testing.T, http2 bool) {
		res := answerOfFailedCommit(t, http2, func(w http.ResponseWriter, _ *http.Request, _ *session.Session) {
			write(w)
			panic(http.ErrAbortHandler)
		})
		require.NoError(t, res.err)
		require.Equal(t, 503, res.StatusCode)
		require.Equal(t, errorPage, res.body)
	})
	m := newManager(t, &faulty{Store: memstore.New(), faults: map[string]error{"Insert": errDown}})
	require.PanicsWithValue(t, "boom", func() {
		m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			color.Set(session.FromContext(r.Context()), "red")
			write(w)
			panic("boom")
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	})
}

// An error handler may abort the connection itself. The Manager does not
// recover this panic, because there is no error page.
func TestWithErrorHandler_Aborts(t *testing.T) {
	abort := session.WithErrorHandler(func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) })
	for _, do := range []handler{nothing, func(w http.ResponseWriter, _ *http.Request, _ *session.Session) { write(w) }} {
		bothProtocols(t, func(t *testing.T, http2 bool) {
			require.Error(t, answerOfFailedCommit(t, http2, do, abort).err)
		})
	}
}

// The status of an error is never 200, whatever the error handler does.
func TestWithErrorHandler_SetsNoStatus(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request, err error)
		status int
		body   string
	}{
		"nothing":        {func(http.ResponseWriter, *http.Request, error) {}, 503, ""},
		"only a body":    {func(w http.ResponseWriter, _ *http.Request, _ error) { io.WriteString(w, "sorry") }, 503, "sorry"},
		"only headers":   {func(w http.ResponseWriter, _ *http.Request, _ error) { w.Header().Set("X-Page", "sorry") }, 503, ""},
		"another status": {func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(500); w.WriteHeader(200) }, 500, ""},
		"no content":     {func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(204) }, 204, ""},
		"hints first": {func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(103)
			io.WriteString(w, "sorry")
		}, 503, "sorry"},
	} {
		t.Run(name, func(t *testing.T) {
			bothProtocols(t, func(t *testing.T, http2 bool) {
				for _, do := range []handler{nothing, func(w http.ResponseWriter, _ *http.Request, _ *session.Session) { write(w) }} {
					res := answerOfFailedCommit(t, http2, do, session.WithErrorHandler(c.answer))
					require.NoError(t, res.err)
					require.Equal(t, c.status, res.StatusCode)
					require.Equal(t, c.body, res.body)
				}
				// A failed load is handled in the same way.
				store := newFaulty()
				a, v := newApp(t, newManager(t, store, session.WithErrorHandler(c.answer))), newVisitor(t)
				v.login(a, "ann")
				store.fail("Load", errDown)
				res := request(v, a, func(*session.Session) { t.Error("the handler was called") })
				require.Equal(t, c.status, res.StatusCode)
				require.Equal(t, c.body, res.body)
			})
		})
	}
}

// A compressing middleware changes the length of the page.
func TestErrorPage_Compressed(t *testing.T) {
	store := newFaulty()
	store.fail("Insert", errDown)
	srv, v := start(t, zip(newManager(t, store).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		color.Set(session.FromContext(r.Context()), "red")
		write(w)
	}))), false)
	res := v.send("GET", srv.URL)
	require.NoError(t, res.err)
	require.Equal(t, errorPage, res.body)
}

func TestErrorPage_StoreFails(t *testing.T) {
	log := new(logs)
	store := newFaulty()
	a, v := newApp(t, newManager(t, store, log.option())), newVisitor(t)
	v.login(a, "ann")
	store.fail("Load", errDown)
	ran := false
	res := v.do(a, func(http.ResponseWriter, *http.Request, *session.Session) { ran = true })
	require.False(t, ran)
	require.Equal(t, 503, res.StatusCode)
	require.Equal(t, "5", res.Header.Get("Retry-After"))
	require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	require.Empty(t, res.Header["Set-Cookie"])
	require.NotContains(t, res.body, "down")
	require.Contains(t, log.String(), "down")
	store.fail("Load", nil)
	require.Equal(t, "ann", v.user(a), "signed out by an outage")

	store.fail("Update", errDown)
	res = v.do(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		color.Set(s, "red")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(201)
		w.Write([]byte("{}"))
		require.ErrorIs(t, flush(w), errDown)
	})
	require.Equal(t, 503, res.StatusCode)
	require.NotContains(t, res.body, "{}")
	require.Equal(t, "text/plain; charset=utf-8", res.Header.Get("Content-Type"))
}

func TestWithErrorHandler_Custom(t *testing.T) {
	store := newFaulty()
	m := newManager(t, store, session.WithErrorHandler(func(w http.ResponseWriter, _ *http.Request, err error) {
		w.WriteHeader(session.HTTPStatus(err))
		w.Write([]byte("ours"))
	}), session.WithLogger(slog.New(slog.DiscardHandler)))
	a, v := newApp(t, m), newVisitor(t)
	store.fail("Insert", errDown)
	res := request(v, a, func(s *session.Session) { color.Set(s, "red") })
	require.Equal(t, 503, res.StatusCode)
	require.Equal(t, "ours", res.body)
}
