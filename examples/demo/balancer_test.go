package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// backend is a replica for the balancer. If dies is set, it closes the connection in the middle of each request.
func backend(t *testing.T, dies bool) (addr string, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if dies {
			panic(http.ErrAbortHandler)
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String(), requests
}

func TestBalancer_Retries(t *testing.T) {
	dying, died := backend(t, true)
	well, served := backend(t, false)
	gone := closedPort(t)
	for _, c := range []struct {
		name, first, second, method string
		status                      int
		died, served                int64
	}{
		{"a read goes to the other replica", dying, well, "GET", 200, 1, 1},
		{"a write that was sent does not", dying, well, "POST", 502, 1, 0},
		{"a write that was not sent does, with its body", gone, well, "POST", 200, 0, 1},
		{"both die", dying, dying, "GET", 502, 2, 0},
		{"one is known to be down", "", well, "POST", 200, 0, 1},
		{"both are known to be down", "", "", "GET", 503, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			died.Store(0)
			served.Store(0)
			// The balancer starts with the second replica of the list.
			front := newBalancer(&supervisor{replicas: []*replica{{name: "A", addr: c.second}, {name: "B", addr: c.first}}})
			body := io.Reader(http.NoBody)
			if c.method == "POST" {
				body = strings.NewReader("hello")
			}
			rec := httptest.NewRecorder()
			front.ServeHTTP(rec, httptest.NewRequest(c.method, "/", body))
			if rec.Code != c.status || died.Load() != c.died || served.Load() != c.served {
				t.Errorf("%d, %d died, %d served; want %d, %d, %d", rec.Code, died.Load(), served.Load(), c.status, c.died, c.served)
			}
			switch {
			case rec.Code == 200 && c.method == "POST" && rec.Body.String() != "hello":
				t.Errorf("the body %q", rec.Body)
			case rec.Code != 200 && (rec.Header().Get("Retry-After") == "" || !strings.Contains(rec.Body.String(), "you stay signed in")):
				t.Errorf("Retry-After %q: %s", rec.Header().Get("Retry-After"), rec.Body)
			}
		})
	}
}
