package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// client sends requests and records the responses.
type client struct {
	http  http.Client
	trace *trace
}

func newClient(t *trace) *client {
	return &client{
		http: http.Client{
			Transport: &http.Transport{MaxIdleConnsPerHost: 256},
			Timeout:   time.Minute, // a hanging request appears in the latencies
		},
		trace: t,
	}
}

// answer is the response received by a visitor.
type answer struct {
	state
	status    int // 0 if there was no response
	cookie    string
	sets      bool // it has a Set-Cookie for the session
	cleared   bool
	uncertain bool
	body      string
	began     time.Time
	took      time.Duration
}

// failed reports whether the store or the app was unreachable.
func (a *answer) failed() bool { return a.status == 0 || a.status >= 500 }

// ask sends one request with the visitor's cookie.
func (c *client) ask(method, app, path, cookie string) answer {
	a := answer{began: time.Now()}
	req, err := http.NewRequestWithContext(context.Background(), method, app+path, nil)
	if err != nil {
		a.body = err.Error()
		return a
	}
	if cookie != "" {
		req.Header.Set("Cookie", "session="+cookie)
	}
	res, err := c.http.Do(req)
	if err == nil {
		a.read(res)
	} else {
		a.body = err.Error()
	}
	a.uncertain = a.uncertain || a.status == 0
	a.took = time.Since(a.began)
	c.trace.note(method+" "+path, &a)
	return a
}

func (a *answer) read(res *http.Response) {
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		a.body = err.Error()
		return
	}
	a.status, a.body = res.StatusCode, string(body)
	a.uncertain = res.Header.Get("X-Uncertain") != ""
	if a.status == http.StatusOK {
		if err := json.Unmarshal(body, &a.state); err != nil {
			a.status = 0
		}
	}
	for _, k := range res.Cookies() {
		if k.Name == "session" {
			a.sets, a.cookie, a.cleared = true, k.Value, k.MaxAge < 0
		}
	}
}

// trace contains the requests and responses of a run, to be judged and
// searched.
type trace struct {
	mu      sync.Mutex
	cookies map[string]bool // all issued cookies
	bodies  strings.Builder
	all     int
	failed  int // 5xx or no response
	slowest time.Duration
	spans   []span
	limit   time.Duration
	mortal  bool // apps are killed, so a missing response is no failure
	failures
}

// span is the time of a request, with its failure.
type span struct {
	from, to time.Time
	why      string // reason of the failure; empty if it succeeded
}

func (t *trace) note(what string, a *answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all++
	bad := a.failed()
	t.slowest = max(t.slowest, a.took)
	s := span{from: a.began, to: a.began.Add(a.took)}
	if bad {
		t.failed++
		s.why = fmt.Sprintf("%s %v: %s", what, a.took.Round(time.Second), differs.ReplaceAllString(a.body, "…"))
	}
	t.spans = append(t.spans, s)
	if a.status == 0 && !t.mortal || a.status == http.StatusInternalServerError {
		t.add("%s: status %d: %s", what, a.status, a.body)
	}
	// A revocation has the store timeout for each session it ends.
	if t.limit > 0 && a.took > t.limit && !strings.HasSuffix(what, "/revoke") {
		t.add("%s: status %d after %v", what, a.status, a.took)
	}
	if a.cookie != "" {
		if t.cookies == nil {
			t.cookies = make(map[string]bool)
		}
		t.cookies[a.cookie] = true
	}
	t.bodies.WriteString(a.body)
}

var differs = regexp.MustCompile(`\?\S*|[0-9a-f]{8}-[0-9a-f-]{27}|127\.0\.0\.1:\d+(->127\.0\.0\.1:\d+)?|\(127\S+\)|connection\(\S*\)|, current topology: .*`)

// reasons returns the most frequent failures of some requests.
func reasons(spans []span) []string {
	times := make(map[string]int)
	for _, s := range spans {
		if s.why != "" {
			times[s.why]++
		}
	}
	var list []string
	for _, why := range slices.SortedFunc(maps.Keys(times), func(a, b string) int { return times[b] - times[a] }) {
		list = append(list, fmt.Sprintf("%d × %s", times[why], strings.TrimSpace(why)))
	}
	return list[:min(len(list), 8)]
}

// wrong records a violated guarantee.
func (t *trace) wrong(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(format, args...)
}

// tokenOf returns the token (record ID and secret) in a cookie's value, without
// using the signing key.
func tokenOf(cookie string) []byte {
	outer, err := base64.URLEncoding.DecodeString(cookie)
	if err != nil {
		return nil
	}
	parts := strings.SplitN(string(outer), "|", 3)
	if len(parts) < 2 {
		return nil
	}
	token, err := base64.URLEncoding.DecodeString(parts[1])
	if err != nil || len(token) != 48 {
		return nil
	}
	return token
}

func query(path string, pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return path + "?" + v.Encode()
}
