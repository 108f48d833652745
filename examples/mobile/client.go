package main

import (
	"net/http"
	"strings"
	"sync"
)

// appTransport is the part of the app that handles tokens. It adds the token to each request and keeps the new one of
// a response.
type appTransport struct {
	http.RoundTripper
	mu    sync.Mutex
	token string // an app keeps it in the Keychain or Keystore
}

func (t *appTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.Lock()
	sent := t.token
	t.mu.Unlock()
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", strings.TrimSpace("Bearer "+sent)) // "Bearer" if there is no token yet
	res, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if values := res.Header["Session-Token"]; len(values) > 0 {
		t.receive(sent, values[0])
	}
	return res, nil
}

// receive keeps a new token. An empty value ends the token that was sent. The app may have a newer one already, if it
// has several requests in progress.
func (t *appTransport) receive(sent, got string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if got != "" || t.token == sent {
		t.token = got
	}
}
