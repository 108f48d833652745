package session_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// If the context has ended, the client may still be waiting for the response.
func TestContextEnds_ClientConnected(t *testing.T) {
	deadline := func(next http.Handler) http.Handler { // like chi's Timeout
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), time.Nanosecond)
			defer cancel()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
	cancelled := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
	same := func(next http.Handler) http.Handler { return next }
	for name, c := range map[string]struct {
		shutdown bool // cancel the server's base context
		around   middleware
	}{
		"the server shuts down":                          {true, same},
		"the server shuts down, in a compressing writer": {true, zip},
		"the server shuts down, with Unwrap":             {true, onlyUnwrap},
		"a middleware's deadline":                        {false, deadline},
		"a middleware's deadline, with Unwrap":           {false, func(next http.Handler) http.Handler { return deadline(onlyUnwrap(next)) }},
		"a middleware cancels":                           {false, cancelled},
	} {
		t.Run(name, func(t *testing.T) {
			bothProtocols(t, func(t *testing.T, http2 bool) {
				base, end := context.WithCancel(background)
				defer end()
				h := c.around(newManager(t, memstore.New()).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if c.shutdown {
						end()
					}
					<-r.Context().Done()
					session.FromContext(r.Context()).SignIn("ann")
					write(w)
				})))
				srv := httptest.NewUnstartedServer(h)
				srv.Config.BaseContext = func(net.Listener) context.Context { return base }
				v := startServer(t, srv, http2)
				res := v.send("GET", srv.URL)
				require.NoError(t, res.err)
				require.Equal(t, 200, res.StatusCode)
				require.Equal(t, page, res.body)
				require.Len(t, res.Cookies(), 1)
			})
		})
	}
}

// TestClientGone_BothProtocols repeats TestClientGone over HTTP/2 and with a
// wrapping writer.
func TestClientGone_BothProtocols(t *testing.T) {
	same := func(next http.Handler) http.Handler { return next }
	for name, around := range map[string]middleware{"bare": same, "with Unwrap": onlyUnwrap} {
		t.Run(name, func(t *testing.T) {
			bothProtocols(t, func(t *testing.T, http2 bool) {
				log, store := new(logs), memstore.New()
				ctx, leave := context.WithCancel(background)
				h, wait := awaited(around(newManager(t, store, log.option()).Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					leave()
					<-r.Context().Done()
					session.FromContext(r.Context()).SignIn("ann")
				}))))
				srv, v := start(t, h, http2)
				_, err := v.Do(must(http.NewRequestWithContext(ctx, "GET", srv.URL, nil)))
				require.Error(t, err)
				wait()
				require.Zero(t, store.Len(), "no record without a cookie")
				require.Contains(t, log.String(), "the client is gone")
			})
		})
	}
}
