package main

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync/atomic"
)

// balancer sends each request to the next running replica.
type balancer struct {
	replicas  []*replica
	turn      atomic.Uint64
	transport http.RoundTripper
}

func newBalancer(s *supervisor) http.Handler {
	b := &balancer{replicas: s.replicas, transport: &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true}}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetXForwarded()
			r.Out.URL.Scheme = "http"
			r.Out.Host = r.In.Host // the app compares it with the Origin header
		},
		Transport: b,
		ModifyResponse: func(res *http.Response) error {
			if consoleReplica(res.Request.URL.Path) == "" { // the operator's requests are not those of the app
				s.requests.add(res)
			}
			return nil
		},
		ErrorHandler: showUnreachable,
		ErrorLog:     log.New(io.Discard, "", 0), // it would list the connections of killed replicas
	}
}

var errNoReplica = errors.New("no replica is up")

// RoundTrip sends the request to the next replica. It tries the other replica only if the request changes nothing or
// has not been sent, and if the request is not for the console of one replica.
func (b *balancer) RoundTrip(req *http.Request) (*http.Response, error) {
	err := errNoReplica
	first := int(b.turn.Add(1))
	for i := range b.replicas {
		rep := b.replicas[(first+i)%len(b.replicas)]
		addr, up := rep.address()
		if only := consoleReplica(req.URL.Path); !up || only != "" && only != rep.name {
			continue
		}
		try := req.Clone(req.Context())
		try.URL.Host = addr
		if req.Body != nil {
			try.Body = io.NopCloser(req.Body) // the transport closes a body that it could not send
		}
		var res *http.Response
		if res, err = b.transport.RoundTrip(try); err == nil {
			return res, nil
		}
		if !repeatable(req) && !unsent(err) || req.Context().Err() != nil {
			break
		}
	}
	return nil, err
}

func repeatable(req *http.Request) bool {
	return req.Body == nil && slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, req.Method)
}

func unsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// showUnreachable responds to a request if no replica did.
func showUnreachable(w http.ResponseWriter, r *http.Request, err error) {
	p := problem{
		Status: http.StatusServiceUnavailable,
		Title:  "Both replicas are down",
		Text:   "They were killed and are being started again. Your session is in MongoDB: you stay signed in.",
		Wait:   true,
	}
	switch {
	case r.Context().Err() != nil:
		return // the client is gone
	case errors.Is(err, errNoReplica) && consoleReplica(r.URL.Path) != "":
		p.Title = "This replica is down"
		p.Text = "It was killed and is being started again. Its console begins anew, because a process keeps its plots and events " +
			"in memory. The sessions are in MongoDB."
	case !errors.Is(err, errNoReplica):
		p.Status = http.StatusBadGateway
		p.Title = "The replica ended during this request"
		p.Text = "It is not known whether the replica carried it out, so the balancer did not send it to the other one. " +
			"Your session is in MongoDB: you stay signed in."
	}
	secure(w.Header())
	w.Header().Set("Retry-After", "1")
	p.show(w)
}
