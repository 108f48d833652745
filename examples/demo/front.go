package main

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

const defaultPort = 8080

// listen opens the address of the demo. If addr is empty, it takes the first free port from 8080 on both loopback
// addresses, because browsers resolve localhost to either.
func listen(addr string) ([]net.Listener, string, error) {
	if addr != "" {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, "", err
		}
		return []net.Listener{ln}, "http://" + readable(ln.Addr()), nil
	}
	for port := defaultPort; ; port++ {
		p := strconv.Itoa(port)
		v4, err := net.Listen("tcp", "127.0.0.1:"+p)
		if err != nil {
			if port == defaultPort+100 {
				return nil, "", err
			}
			continue
		}
		v6, err := net.Listen("tcp", "[::1]:"+p)
		switch {
		case err == nil:
			return []net.Listener{v4, v6}, "http://localhost:" + p, nil
		case errors.Is(err, syscall.EADDRINUSE):
			v4.Close()
		default: // the machine has no IPv6
			return []net.Listener{v4}, "http://localhost:" + p, nil
		}
	}
}

// readable returns the address of a listener as a browser on this machine reaches it.
func readable(addr net.Addr) string {
	tcp := addr.(*net.TCPAddr)
	if tcp.IP.IsUnspecified() {
		return net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
	}
	return tcp.String()
}

func closeAll(lns []net.Listener) {
	for _, ln := range lns {
		ln.Close()
	}
}

// serveFront serves h until the returned function is called.
func serveFront(lns []net.Listener, h http.Handler) (stop func()) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	for _, ln := range lns {
		go func() {
			if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				log.Print(err)
			}
		}()
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if srv.Shutdown(ctx) != nil {
			srv.Close() // a browser still holds a connection
		}
	}
}

// newFront returns the handler for the browser. It serves the demo's controls and the static files, which pages need
// even if no replica is up. The balancer serves all other requests.
func newFront(s *supervisor) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/demo/", secured(newControls(s)))
	mux.Handle("/static/", secured(staticFiles))
	mux.Handle("/", newBalancer(s)) // the replicas secure their pages
	return mux
}
