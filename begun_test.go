package session_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// Some calls look as if they began the response but do not begin it. The
// assertions in their callbacks use package assert, because ending the
// goroutine of a TimeoutHandler would make it wait forever.
func TestResponse_CallsThatDoNotBegin(t *testing.T) {
	for name, c := range map[string]struct {
		call   func(t *testing.T, w http.ResponseWriter)
		around middleware
		owed   bool // the call is refused once there is a cookie to send
	}{
		"an empty ReadFrom": {call: func(t *testing.T, w http.ResponseWriter) {
			n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader(""))
			assert.NoError(t, err)
			assert.Zero(t, n)
		}},
		"a failing ReadFrom": {call: func(t *testing.T, w http.ResponseWriter) {
			_, err := w.(io.ReaderFrom).ReadFrom(iotest.ErrReader(errDown))
			assert.ErrorIs(t, err, errDown)
		}},
		"Flush in a TimeoutHandler": {call: func(t *testing.T, w http.ResponseWriter) {
			assert.ErrorIs(t, flush(w), http.ErrNotSupported)
		}, around: timeout},
		"Flush in a compressing writer": {call: func(t *testing.T, w http.ResponseWriter) {
			assert.ErrorIs(t, flush(w), http.ErrNotSupported)
		}, around: zip},
		"Hijack in a TimeoutHandler": {call: func(t *testing.T, w http.ResponseWriter) {
			_, _, err := w.(http.Hijacker).Hijack()
			assert.ErrorIs(t, err, http.ErrNotSupported)
		}, around: timeout, owed: true},
	} {
		t.Run(name, func(t *testing.T) {
			bothProtocols(t, func(t *testing.T, http2 bool) {
				testBeginsLater(t, http2, c.around, !c.owed, c.call)
			})
		})
	}
	t.Run("Hijack over HTTP2", func(t *testing.T) {
		testBeginsLater(t, true, nil, false, func(t *testing.T, w http.ResponseWriter) {
			_, _, err := w.(http.Hijacker).Hijack()
			assert.ErrorIs(t, err, http.ErrNotSupported)
		})
	})
}

func testBeginsLater(t *testing.T, http2 bool, around middleware, again bool, call func(t *testing.T, w http.ResponseWriter)) {
	store := memstore.New()
	h := newManager(t, store).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		if r.URL.Path == "/first" {
			s.SignIn("first")
			return
		}
		color.Set(s, "red")
		call(t, w)
		// The response has not begun: a sign-in works, and its headers replace
		// those of the handler.
		s.SignIn("ann")
		assert.NoError(t, s.Save(r.Context()))
		if again {
			call(t, w)
		}
		shape.Set(s, "round")
		w.Header().Set("Cache-Control", "public")
		w.Header().Set("CDN-Cache-Control", "public")
		w.Header().Set("X-Page", "1")
		w.Header().Add("Set-Cookie", host+"=mine")
		w.WriteHeader(201)
		write(w)
	}))
	if around != nil {
		h = around(h)
	}
	srv, v := start(t, h, http2)
	v.send("GET", srv.URL+"/first")
	res := v.send("GET", srv.URL)
	require.NoError(t, res.err)
	require.Equal(t, 201, res.StatusCode)
	require.Equal(t, page, res.body)
	require.Equal(t, "1", res.Header.Get("X-Page"))
	require.Equal(t, []string{"no-store"}, res.Header["Cache-Control"])
	require.Empty(t, res.Header.Get("CDN-Cache-Control"))
	require.Len(t, res.Cookies(), 1)
	require.Greater(t, len(res.Cookies()[0].Value), 100)
	require.Equal(t, 1, store.Len(), "the second sign-in replaces the session of the first")
}

// The headers of a response without a cookie are written again too.
func TestResponse_PrivateAfterRefusedFlush(t *testing.T) {
	srv, v := start(t, timeout(newManager(t, memstore.New()).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).User()
		_ = flush(w)
		w.Header().Del("Cache-Control") // like http.ServeContent for an error
		w.Header().Del("Vary")
		write(w)
	}))), false)
	res := v.send("GET", srv.URL)
	require.Equal(t, "private", res.Header.Get("Cache-Control"))
	require.Equal(t, "Cookie", res.Header.Get("Vary"))
}

// A call that did not begin the response adds no cookie to later hints.
func TestResponse_HintsAfterRefusedFlush(t *testing.T) {
	noFlush := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(struct{ http.ResponseWriter }{w}, r) })
	}
	srv, v := start(t, noFlush(newManager(t, memstore.New()).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		color.Set(session.FromContext(r.Context()), "red")
		require.ErrorIs(t, flush(w), http.ErrNotSupported)
		w.WriteHeader(103)
		write(w)
	}))), false)
	hinted := false
	trace := &httptrace.ClientTrace{Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
		hinted = true
		require.Empty(t, append(h["Set-Cookie"], h["Session-Token"]...))
		return nil
	}}
	res, err := v.Do(must(http.NewRequest("GET", srv.URL, nil)).WithContext(httptrace.WithClientTrace(background, trace)))
	require.NoError(t, err)
	res.Body.Close()
	require.True(t, hinted)
	require.Len(t, res.Header["Set-Cookie"], 1)
}

// An empty Write begins the response, as in net/http.
func TestResponse_EmptyWriteBegins(t *testing.T) {
	for name, do := range map[string]func(w http.ResponseWriter){
		"Write":       func(w http.ResponseWriter) { w.Write(nil) },
		"WriteString": func(w http.ResponseWriter) { io.WriteString(w, "") },
	} {
		t.Run(name, func(t *testing.T) {
			store := memstore.New()
			srv, v := start(t, newManager(t, store).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s := session.FromContext(r.Context())
				color.Set(s, "red")
				do(w)
				s.SignIn("ann")
				require.ErrorIs(t, s.Save(r.Context()), session.ErrUndeliverable)
				s.Discard()
			})), false)
			res := v.send("GET", srv.URL)
			require.NoError(t, res.err)
			require.Len(t, res.Cookies(), 1)
			require.Equal(t, 1, store.Len())
		})
	}
}

// With two managers, each writes to the response writer of the other.
func TestResponse_RefusedFlushOfTwoManagers(t *testing.T) {
	one, two := newManager(t, memstore.New()), newManager(t, memstore.New(), session.WithCookieName("two"))
	srv, v := start(t, timeout(one.Wrap(two.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.ErrorIs(t, flush(w), http.ErrNotSupported)
		one.FromContext(r.Context()).SignIn("ann")
		two.FromContext(r.Context()).SignIn("bob")
		write(w)
	})))), false)
	require.Len(t, v.send("GET", srv.URL).Cookies(), 2)
}

// copier is a writer with an optimized ReadFrom, like the one of net/http.
type copier struct {
	*httptest.ResponseRecorder
	from io.Reader
}

func (c *copier) ReadFrom(src io.Reader) (int64, error) {
	c.from = src
	return io.Copy(c.ResponseRecorder, src)
}

func TestResponse_ReadFromPassesTheSourceOn(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.txt")
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	m := newManager(t, memstore.New())
	for _, begun := range []bool{false, true} {
		file := must(os.Open(name))
		defer file.Close()
		limited := io.LimitReader(file, 40_000)
		w := &copier{ResponseRecorder: httptest.NewRecorder()}
		m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			color.Set(session.FromContext(r.Context()), "red")
			if begun {
				w.WriteHeader(200)
			}
			n, err := w.(io.ReaderFrom).ReadFrom(limited)
			require.NoError(t, err)
			require.EqualValues(t, 40_000, n)
		})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		require.Same(t, limited, w.from)
		require.Equal(t, content[:40_000], w.Body.String())
		require.Len(t, w.Result().Cookies(), 1)
	}
}

// A source may return io.EOF or an error together with its last bytes.
func TestResponse_ReadFromShortSources(t *testing.T) {
	for name, c := range map[string]struct {
		src  io.Reader
		want string
		err  error
	}{
		"the end with the data":  {iotest.DataErrReader(strings.NewReader(page)), page, nil},
		"byte by byte":           {iotest.OneByteReader(strings.NewReader(page)), page, nil},
		"an error with the data": {iotest.DataErrReader(io.MultiReader(strings.NewReader(page), iotest.ErrReader(errDown))), page, errDown},
		"reads of nothing":       {&hesitant{src: strings.NewReader(page)}, page, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			newManager(t, memstore.New()).Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				n, err := w.(io.ReaderFrom).ReadFrom(c.src)
				require.EqualValues(t, len(c.want), n)
				if c.err == nil {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, c.err)
				}
			})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			require.Equal(t, c.want, w.Body.String())
		})
	}
}

// hesitant returns no bytes and no error from every other Read.
type hesitant struct {
	src  io.Reader
	turn bool
}

func (h *hesitant) Read(b []byte) (int, error) {
	if h.turn = !h.turn; h.turn {
		return 0, nil
	}
	return h.src.Read(b)
}

// If the commit in Hijack fails, the handler can still respond.
func TestHijack_FailedCommitIsNotTheResponse(t *testing.T) {
	store := newFaulty()
	a, v := newApp(t, newManager(t, store)), newVisitor(t)
	v.login(a, "ann")
	res := v.do(a, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		color.Set(s, "red")
		store.fail("Update", errDown)
		_, _, err := w.(http.Hijacker).Hijack()
		require.ErrorIs(t, err, errDown)
		store.fail("Update", nil)
		s.Renew()
		require.NoError(t, s.Save(r.Context()))
		w.WriteHeader(502)
	})
	require.Equal(t, 502, res.StatusCode)
	require.NotNil(t, res.setCookie(host))
}
