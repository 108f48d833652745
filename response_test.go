package session_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

type middleware = func(http.Handler) http.Handler

// start serves over HTTP/1.1 or, with TLS, HTTP/2.
func start(t *testing.T, h http.Handler, http2 bool) (*httptest.Server, *visitor) {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	return srv, startServer(t, srv, http2)
}

// startServer starts a configured server and returns a client.
func startServer(t *testing.T, srv *httptest.Server, http2 bool) *visitor {
	t.Helper()
	srv.Config.ErrorLog = discard()
	v := newVisitor(t)
	if http2 {
		srv.EnableHTTP2 = true
		srv.StartTLS()
		v.Transport = sender.client(t, srv.Client().Transport)
	} else {
		srv.Start()
	}
	t.Cleanup(func() { v.CloseIdleConnections(); srv.Close() })
	return v
}

func bothProtocols(t *testing.T, f func(t *testing.T, http2 bool)) {
	t.Run("HTTP1", func(t *testing.T) { f(t, false) })
	t.Run("HTTP2", func(t *testing.T) { f(t, true) })
}

const page = "the handler's page"

var content = strings.Repeat("0123456789", 5000)

// zip is a compressing middleware whose writer has no Unwrap method, like many.
func zip(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		zw := gzip.NewWriter(w)
		w.Header().Set("Content-Encoding", "gzip")
		next.ServeHTTP(zipWriter{w, zw}, r)
		zw.Close()
	})
}

type zipWriter struct {
	http.ResponseWriter
	zw *gzip.Writer
}

func (w zipWriter) Write(b []byte) (int, error) { return w.zw.Write(b) }

// onlyUnwrap is a middleware whose writer has no optional methods except
// Unwrap.
func onlyUnwrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(unwrapper{w}, r) })
}

type unwrapper struct{ w http.ResponseWriter }

func (u unwrapper) Header() http.Header         { return u.w.Header() }
func (u unwrapper) Write(b []byte) (int, error) { return u.w.Write(b) }
func (u unwrapper) WriteHeader(status int)      { u.w.WriteHeader(status) }
func (u unwrapper) Unwrap() http.ResponseWriter { return u.w }
func maxBytes(next http.Handler) http.Handler   { return http.MaxBytesHandler(next, 1<<10) }
func timeout(next http.Handler) http.Handler    { return http.TimeoutHandler(next, time.Minute, "late") }
func write(w http.ResponseWriter)               { io.WriteString(w, page) }
func flush(w http.ResponseWriter) error         { return http.NewResponseController(w).Flush() }

// TestResponse_EveryKind changes the session and then responds in one way. The
// Manager must save before the first byte. So the response has the cookie once,
// and if the save fails it has no part of the handler's response.
func TestResponse_EveryKind(t *testing.T) {
	for name, c := range map[string]struct {
		do             func(w http.ResponseWriter, r *http.Request)
		inside, around middleware
		method         string
		header         []string
		status         int
		body           string
	}{
		"nothing written": {do: func(http.ResponseWriter, *http.Request) {}},
		"Write":           {do: func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(page)) }, body: page},
		"WriteString":     {do: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, page) }, body: page},
		"WriteHeader":     {do: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(418) }, status: 418},
		"WriteHeader twice": {do: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(201)
			w.WriteHeader(500)
			write(w)
		}, status: 201, body: page},
		"a 5xx saves too": {do: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, page, 500) }, status: 500, body: page + "\n"},
		"Flush first":     {do: func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush(); write(w) }, body: page},
		"103 first": {do: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(103)
			w.WriteHeader(201)
			write(w)
		}, status: 201, body: page},
		"100 first": {do: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(100); write(w) }, body: page},
		"ReadFrom": {do: func(w http.ResponseWriter, _ *http.Request) {
			io.Copy(w, io.LimitReader(strings.NewReader(content), 1<<20))
		}, body: content},
		"ServeContent": {do: func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "a.txt", time.Time{}, strings.NewReader(content))
		}, body: content},
		"a range": {do: func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "a.txt", time.Time{}, strings.NewReader(content))
		}, header: []string{"Range", "bytes=10-14"}, status: 206, body: "01234"},
		"HEAD":         {do: func(w http.ResponseWriter, _ *http.Request) { write(w) }, method: "HEAD"},
		"204":          {do: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, status: 204},
		"304":          {do: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }, status: 304},
		"redirect":     {do: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/next", http.StatusSeeOther) }, status: 303, body: "<a href=\"/next\">See Other</a>.\n\n"},
		"a controller": {do: func(w http.ResponseWriter, _ *http.Request) { _ = flush(w); write(w) }, body: page},
		"deadlines": {do: func(w http.ResponseWriter, _ *http.Request) {
			rc := http.NewResponseController(w)
			must(0, rc.SetReadDeadline(time.Now().Add(time.Minute)))
			must(0, rc.SetWriteDeadline(time.Now().Add(time.Minute)))
			write(w)
		}, body: page},
		"full duplex": {do: func(w http.ResponseWriter, r *http.Request) {
			err := http.NewResponseController(w).EnableFullDuplex()
			if r.ProtoMajor == 1 {
				must(0, err)
			}
			write(w)
		}, body: page},
		"trailers": {do: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			write(w)
			w.Header().Set("X-Sum", "1")
		}, body: page},
		"events": {do: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				_ = flush(w)
			}
		}, body: "data: 0\n\ndata: 1\n\ndata: 2\n\n"},
		"TimeoutHandler inside":  {do: func(w http.ResponseWriter, _ *http.Request) { write(w) }, inside: timeout, body: page},
		"TimeoutHandler outside": {do: func(w http.ResponseWriter, _ *http.Request) { write(w) }, around: timeout, body: page},
		"MaxBytes inside":        {do: func(w http.ResponseWriter, _ *http.Request) { write(w) }, inside: maxBytes, body: page},
		"MaxBytes outside":       {do: func(w http.ResponseWriter, _ *http.Request) { write(w) }, around: maxBytes, body: page},
		"gzip inside":            {do: func(w http.ResponseWriter, _ *http.Request) { write(w) }, inside: zip, body: page},
		"gzip outside":           {do: func(w http.ResponseWriter, _ *http.Request) { write(w) }, around: zip, body: page},
		"only Unwrap inside":     {do: func(w http.ResponseWriter, _ *http.Request) { _ = flush(w); write(w) }, inside: onlyUnwrap, body: page},
		"only Unwrap outside":    {do: func(w http.ResponseWriter, _ *http.Request) { _ = flush(w); write(w) }, around: onlyUnwrap, body: page},
	} {
		t.Run(name, func(t *testing.T) {
			bothProtocols(t, func(t *testing.T, http2 bool) {
				store := newFaulty()
				m := newManager(t, store)
				var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					color.Set(session.FromContext(r.Context()), "red")
					w.Header().Set("X-Page", "1")
					c.do(w, r)
				})
				if c.inside != nil {
					h = c.inside(h)
				}
				h = m.Wrap(h)
				if c.around != nil {
					h = c.around(h)
				}
				srv, v := start(t, h, http2)
				method, status := c.method, c.status
				if method == "" {
					method = "GET"
				}
				if status == 0 {
					status = 200
				}
				res := v.send(method, srv.URL, c.header...)
				require.NoError(t, res.err)
				require.Equal(t, status, res.StatusCode)
				require.Equal(t, c.body, res.body)
				require.Equal(t, "1", res.Header.Get("X-Page"))
				require.Len(t, res.Header["Set-Cookie"], 1)
				require.Equal(t, 1, store.Store.(*memstore.Store).Len())

				store.fail("Insert", errDown)
				v.Jar = nil
				res = v.send(method, srv.URL, c.header...)
				require.NoError(t, res.err)
				require.Equal(t, 503, res.StatusCode)
				require.NotContains(t, res.body, page)
				require.Empty(t, res.Header["X-Page"])
				require.Empty(t, res.Header["Set-Cookie"])
				require.Empty(t, res.Header["Link"])
			})
		})
	}
}

// The handler changes a stored session after the response has begun.
func TestLateChange_Outcomes(t *testing.T) {
	bothProtocols(t, func(t *testing.T, http2 bool) {
		log := new(logs)
		store := newFaulty()
		m := newManager(t, store, log.option())
		var do func(s *session.Session)
		var early func(s *session.Session)
		srv, v := start(t, m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := session.FromContext(r.Context())
			if early != nil {
				early(s)
			}
			write(w)
			_ = flush(w)
			do(s)
		})), http2)
		run := func(first, late func(s *session.Session)) (cut bool) {
			early, do = first, late
			res := v.send("GET", srv.URL)
			return res.err != nil
		}
		noop := func(*session.Session) {}
		require.False(t, run(func(s *session.Session) { s.SignIn("ann") }, noop))
		require.False(t, run(nil, func(s *session.Session) { color.Set(s, "red") }), "a late change without a new cookie is saved")
		seen := ""
		run(func(s *session.Session) { seen = color.GetOr(s, "") }, noop)
		require.Equal(t, "red", seen)

		require.True(t, run(nil, func(s *session.Session) { s.Renew(); color.Set(s, "lost") }), "the response must not look like a success")
		require.Contains(t, log.String(), "change could not be saved")
		require.Contains(t, log.String(), "response_test.go:")
		require.Contains(t, log.String(), "new cookie cannot be delivered")
		run(func(s *session.Session) { seen = s.User() + color.GetOr(s, "") }, noop)
		require.Equal(t, "annred", seen)

		require.False(t, run(nil, func(s *session.Session) {
			s.SignIn("bob")
			require.ErrorIs(t, s.Save(background), session.ErrUndeliverable)
			s.Discard()
		}))
		store.fail("Update", errDown)
		require.True(t, run(nil, func(s *session.Session) { color.Set(s, "blue") }), "the store failed")
		store.fail("Update", nil)

		require.True(t, run(nil, func(s *session.Session) { s.SignOut(); color.Set(s, "bye") }), "needs a cookie")
		require.Zero(t, store.Store.(*memstore.Store).Len(), "a late SignOut deletes the session")
		run(func(s *session.Session) { s.SignIn("ann") }, noop)
		require.False(t, run(nil, (*session.Session).SignOut))
		require.Zero(t, store.Store.(*memstore.Store).Len())
		require.True(t, run(nil, func(s *session.Session) { color.Set(s, "red") }), "a visitor without a session")
		require.Zero(t, store.Store.(*memstore.Store).Len(), "no record without a cookie")
	})
}

func TestLateChange_AfterHandlerReturned(t *testing.T) {
	log := new(logs)
	a, v := newApp(t, newManager(t, memstore.New(), log.option())), newVisitor(t)
	v.login(a, "ann")
	var kept *session.Session
	request(v, a, func(s *session.Session) { kept = s })
	color.Set(kept, "red")
	require.Contains(t, log.String(), "change could not be saved")
	require.Contains(t, log.String(), "response_test.go:")
	require.ErrorContains(t, kept.Save(background), "the request's handler has returned; use Manager.LoadID")
	_, err := visits.Update(background, kept, func(n int) int { return n + 1 })
	require.NoError(t, err, "Update stores immediately")
	_, n, col := v.see(a)
	require.Equal(t, "", col)
	require.Equal(t, 1, n)
}

func TestPanic_DiscardsChanges(t *testing.T) {
	for name, value := range map[string]any{"abort": http.ErrAbortHandler, "panic": "boom"} {
		t.Run(name, func(t *testing.T) {
			store := memstore.New()
			m := newManager(t, store)
			var passed any
			a := newApp(t, m, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer func() {
						if passed = recover(); passed != nil {
							w.WriteHeader(500)
						}
					}()
					next.ServeHTTP(w, r)
				})
			})
			v := newVisitor(t)
			v.login(a, "ann")
			res := request(v, a, func(s *session.Session) { color.Set(s, "red"); s.SignOut(); panic(value) })
			require.Equal(t, 500, res.StatusCode)
			require.Equal(t, value, passed, "the panic propagates")
			user, _, col := v.see(a)
			require.Equal(t, "ann", user)
			require.Equal(t, "", col)
			// Changes stored by Save are not lost with the page.
			res = request(v, a, func(s *session.Session) {
				s.Renew()
				require.NoError(t, s.Save(background))
				color.Set(s, "red")
				panic(value)
			})
			require.NotNil(t, res.setCookie(host))
			require.Equal(t, "ann", v.user(a))
			require.Equal(t, 1, store.Len())
		})
	}
}

func TestClientGone(t *testing.T) {
	log := new(logs)
	store := memstore.New()
	served := make(chan bool, 100)
	a := newApp(t, newManager(t, store, log.option()), func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() { served <- r.Header.Get("X-Leave") != "" }()
			next.ServeHTTP(w, r)
		})
	})
	v := newVisitor(t)
	v.login(a, "ann")
	leave := func(do func(s *session.Session)) {
		t.Helper()
		ctx, cancel := context.WithCancel(background)
		req := must(http.NewRequestWithContext(ctx, "GET", a.URL, nil))
		req.Header.Set("X-Leave", "1")
		req.Header.Set("X-Do", a.add(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			cancel()
			<-r.Context().Done()
			do(s)
		}))
		_, err := v.Do(req)
		require.Error(t, err)
		for !<-served { // until this request and its commit are finished
		}
	}
	leave(func(s *session.Session) { visits.Set(s, 5) })
	_, n, _ := v.see(a)
	require.Equal(t, 5, n, "the commit runs although the client is gone")
	leave(func(s *session.Session) { s.Renew(); visits.Set(s, 6) })
	_, n, _ = v.see(a)
	require.Equal(t, 5, n, "the token is unchanged, because the client cannot receive a new one")
	require.Contains(t, log.String(), "the client is gone")
	leave(func(s *session.Session) { s.SignOut(); color.Set(s, "bye") })
	require.Zero(t, store.Len(), "signed out, although the client is gone")
}

func TestHijack(t *testing.T) {
	store := memstore.New()
	m := newManager(t, store)
	upgrade := func(w http.ResponseWriter, header string) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, err.Error(), 500)
			return
		}
		defer conn.Close()
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n%s\r\n", header)
		rw.Flush()
		line, _ := rw.ReadString('\n')
		rw.WriteString("echo " + line)
		rw.Flush()
	}
	srv, v := start(t, m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		header := ""
		switch r.URL.Path {
		case "/login":
			s.SignIn("ann")
			return
		case "/owes":
			s.SignIn("ann")
			require.Equal(t, 0, store.Len())
			_, _, err := http.NewResponseController(w).Hijack()
			require.ErrorIs(t, err, session.ErrUndeliverable)
			require.Equal(t, 0, store.Len(), "stored although Hijack was refused")
			s.Discard()
			w.WriteHeader(500)
			return
		case "/set":
			color.Set(s, "red")
		case "/saved":
			s.Renew()
			require.NoError(t, s.Save(r.Context()))
			sent := http.Header{}
			s.SetHeader(sent)
			require.Equal(t, []string{s.Cookie().String()}, sent["Set-Cookie"])
			require.Equal(t, "no-store", sent.Get("Cache-Control"))
			header = "Set-Cookie: " + sent.Get("Set-Cookie") + "\r\n"
		}
		upgrade(w, header)
		if r.URL.Path == "/set" {
			visits.Set(s, 7) // late, but it needs no cookie
		}
	})), false)
	require.Equal(t, 500, v.send("GET", srv.URL+"/owes").StatusCode)
	v.send("GET", srv.URL+"/login")
	for _, path := range []string{"/set", "/saved"} {
		conn := must(net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://")))
		defer conn.Close()
		u := must(http.NewRequest("GET", srv.URL+path, nil))
		u.Header.Set("Connection", "Upgrade")
		u.Header.Set("Upgrade", "echo")
		for _, c := range v.Jar.Cookies(u.URL) {
			u.AddCookie(c)
		}
		require.NoError(t, u.Write(conn))
		br := bufio.NewReader(conn)
		res := must(http.ReadResponse(br, u))
		require.Equal(t, 101, res.StatusCode)
		if path == "/saved" {
			require.Len(t, res.Cookies(), 1)
			v.Jar.SetCookies(u.URL, res.Cookies())
		}
		fmt.Fprint(conn, "hello\n")
		require.Equal(t, "echo hello\n", must(br.ReadString('\n')))
	}
	a := newApp(t, m)
	v.Jar.SetCookies(must(http.NewRequest("GET", a.URL, nil)).URL, v.Jar.Cookies(must(http.NewRequest("GET", srv.URL, nil)).URL))
	require.Eventually(t, func() bool { _, n, col := v.see(a); return n == 7 && col == "red" }, 5*time.Second, time.Millisecond)
}

// Some libraries write the status 101 themselves.
func TestWriteHeader_SwitchingProtocols(t *testing.T) {
	srv, v := start(t, newManager(t, memstore.New()).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignIn("ann")
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "echo")
		w.WriteHeader(101)
		conn, _, err := w.(http.Hijacker).Hijack()
		require.NoError(t, err)
		conn.Close()
	})), false)
	req := must(http.NewRequest("GET", srv.URL, nil))
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	res, err := v.Do(req)
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, 101, res.StatusCode)
	require.Len(t, res.Cookies(), 1)
}

func TestWriteHeader_EarlyHints(t *testing.T) {
	store := memstore.New()
	hinted := make(chan int)
	bothProtocols(t, func(t *testing.T, http2 bool) {
		srv, v := start(t, newManager(t, store).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</a.css>; rel=preload")
			w.WriteHeader(103)
			<-hinted // the client has received the hints
			color.Set(session.FromContext(r.Context()), "red")
		})), http2)
		req := must(http.NewRequest("GET", srv.URL, nil))
		got := 0
		req = req.WithContext(httptrace.WithClientTrace(background, &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				got = code
				require.Empty(t, append(h["Set-Cookie"], h["Session-Token"]...))
				hinted <- code
				return nil
			},
		}))
		res, err := v.Do(req)
		require.NoError(t, err)
		res.Body.Close()
		require.Equal(t, 103, got)
		require.Len(t, res.Cookies(), 1)
	})
}

// Some frameworks write their error page after the middleware has returned.
func TestResponse_WriteAfterReturn(t *testing.T) {
	m := newManager(t, memstore.New())
	srv, v := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var inner http.ResponseWriter
		m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inner = w
			color.Set(session.FromContext(r.Context()), "red")
		})).ServeHTTP(w, r)
		inner.WriteHeader(404)
		inner.Write([]byte(page))
	}), false)
	res := v.send("GET", srv.URL)
	require.Equal(t, 404, res.StatusCode)
	require.Equal(t, page, res.body)
	require.Len(t, res.Header["Set-Cookie"], 1)
}

func TestWrap_UploadsAndPattern(t *testing.T) {
	m := newManager(t, memstore.New())
	mux := http.NewServeMux()
	var file string
	mux.HandleFunc("POST /up/{name}", func(_ http.ResponseWriter, r *http.Request) {
		require.NoError(t, r.ParseMultipartForm(1))
		f := must(r.MultipartForm.File["f"][0].Open())
		file = f.(*os.File).Name()
		f.Close()
		require.FileExists(t, file)
	})
	pattern := ""
	srv, v := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.Wrap(mux).ServeHTTP(w, r)
		pattern = r.Pattern
	}), false)
	var body bytes.Buffer
	mw := multipart.NewWriter(&body)
	must(must(mw.CreateFormFile("f", "f.txt")).Write(bytes.Repeat([]byte("x"), 11<<20)))
	mw.Close()
	res, err := v.Post(srv.URL+"/up/me", mw.FormDataContentType(), &body)
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, "POST /up/{name}", pattern)
	require.Eventually(t, func() bool { _, err := os.Stat(file); return errors.Is(err, os.ErrNotExist) }, 5*time.Second, time.Millisecond)
}

// If the underlying writer lacks a feature, the method returns an error. No
// method bypasses the commit.
func TestResponse_UnsupportedFeatures(t *testing.T) {
	m := newManager(t, memstore.New())
	plain := struct{ http.ResponseWriter }{httptest.NewRecorder()}
	m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, unwraps := w.(interface{ Unwrap() http.ResponseWriter })
		require.False(t, unwraps)
		rc := http.NewResponseController(w)
		require.ErrorIs(t, rc.SetReadDeadline(time.Time{}), http.ErrNotSupported)
		require.ErrorIs(t, rc.SetWriteDeadline(time.Time{}), http.ErrNotSupported)
		require.ErrorIs(t, rc.EnableFullDuplex(), http.ErrNotSupported)
		require.ErrorIs(t, w.(http.Pusher).Push("/", nil), http.ErrNotSupported)
		_, _, err := rc.Hijack()
		require.ErrorIs(t, err, http.ErrNotSupported)
		require.ErrorIs(t, rc.Flush(), http.ErrNotSupported)
		require.NotNil(t, w.(interface{ CloseNotify() <-chan bool }).CloseNotify())
	})).ServeHTTP(plain, httptest.NewRequest("GET", "/", nil))
}

func TestTimeoutHandler_CutsShort(t *testing.T) {
	store := memstore.New()
	m := newManager(t, store)
	release := make(chan struct{})
	finished := make(chan error, 1)
	slow := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		<-release
		s := session.FromContext(r.Context())
		color.Set(s, "late")
		finished <- s.Save(background)
	})
	t.Run("inside", func(t *testing.T) {
		srv, v := start(t, m.Wrap(http.TimeoutHandler(slow, 10*time.Millisecond, "cut")), false)
		res := v.send("GET", srv.URL)
		require.Equal(t, 503, res.StatusCode)
		require.Empty(t, res.Header["Set-Cookie"])
		release <- struct{}{}
		require.Error(t, <-finished, "Save returns an error in the handler's goroutine")
		require.Zero(t, store.Len())
	})
	t.Run("outside", func(t *testing.T) {
		var own error
		h := m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			color.Set(session.FromContext(r.Context()), "late")
			write(w)
			own = flush(w)
			finished <- own
		}))
		srv, v := start(t, http.TimeoutHandler(h, 10*time.Millisecond, "cut"), false)
		res := v.send("GET", srv.URL)
		require.Equal(t, 503, res.StatusCode)
		require.ErrorIs(t, <-finished, session.ErrUndeliverable)
		require.Zero(t, store.Len(), "no record without a cookie")
	})
}
