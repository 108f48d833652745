package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxAlloc limits the bytes allocated by Manager.Load for any one cookie.
// Values longer than securecookie's limit of 4,096 bytes are not decoded.
const maxAlloc = 8 << 10

// proveHostile measures figure 4. It uses raw connections, because an
// http.Client refuses to send some of the cookies.
func proveHostile(ctx context.Context, r *run) error {
	return r.withSite(ctx, func(s *site) error {
		h, err := newHostile(s)
		if err != nil {
			return err
		}
		n := r.size(1_000_000, 10_000)
		s.ops.Store(0)
		s.commands.Store(0)
		began := time.Now()
		if err := h.bombard(ctx, n, r.seed); err != nil {
			return err
		}
		r.say("%d requests with hostile cookies of %d kinds (%.0f a second): %v", n, len(h.kinds), rate(n, began), h.statuses())
		panics := s.logged.count("panic")
		most, mean := h.allocations(ctx, r.seed)
		r.say("%d panics, %d 5xx, %d Set-Cookie, %d store calls, %d commands", panics, h.failed.Load(), h.sets.Load(), s.ops.Load(), s.commands.Load())
		r.say("allocated by one cookie: at most %d bytes, %d on average; the bound is %d", most, mean, maxAlloc)
		f := new(failures)
		f.zero("panics", panics)
		f.zero("responses 5xx", int(h.failed.Load()))
		f.zero("Set-Cookie", int(h.sets.Load()))
		f.zero("store calls", int(s.ops.Load()+s.commands.Load()))
		if most > maxAlloc {
			f.add("a cookie allocates %d bytes, the bound is %d", most, maxAlloc)
		}
		return f.err()
	})
}

// hostile generates cookies, some of them derived from a valid one.
type hostile struct {
	site  *site
	valid string
	kinds []func(*rand.Rand) string

	failed, sets atomic.Int64
	mu           sync.Mutex
	seen         map[int]int // number of responses by status
}

func newHostile(s *site) (*hostile, error) {
	a := newClient(new(trace)).ask("POST", s.url, "/login?user=ann", "")
	if !ok(a) || a.cookie == "" {
		return nil, fmt.Errorf("the sign-in returned %d: %s", a.status, a.body)
	}
	other, err := siteOnNothing()
	if err != nil {
		return nil, err
	}
	h := &hostile{site: s, valid: a.cookie, seen: make(map[int]int)}
	v := h.valid
	h.kinds = []func(*rand.Rand) string{
		func(g *rand.Rand) string { return octets(g, g.IntN(400)) },
		func(g *rand.Rand) string { return octets(g, 3000+g.IntN(5000)) },
		func(g *rand.Rand) string { return anyBytes(g, g.IntN(300)) },
		func(g *rand.Rand) string { return v[:g.IntN(len(v))] },
		func(g *rand.Rand) string { return v + octets(g, 1+g.IntN(20)) },
		func(g *rand.Rand) string { return flip(g, v) },
		func(g *rand.Rand) string { return reseal(g, v) },
		func(*rand.Rand) string { return other },
		func(g *rand.Rand) string { return base64.URLEncoding.EncodeToString([]byte(anyBytes(g, g.IntN(300)))) },
		func(g *rand.Rand) string { return strings.Repeat("|", g.IntN(200)) },
		func(g *rand.Rand) string {
			return base64.URLEncoding.EncodeToString([]byte(strings.Repeat("|", g.IntN(2000))))
		},
		func(g *rand.Rand) string { return strings.Repeat(v, 2+g.IntN(20)) },
		func(g *rand.Rand) string { return `"` + flip(g, v) + `"` },
		func(g *rand.Rand) string {
			return flip(g, v) + strings.Repeat("; session="+flip(g, v), g.IntN(40))
		},
		func(g *rand.Rand) string { return fmt.Sprintf(`{"$gt":"%s"}`, octets(g, 5)) },
	}
	return h, nil
}

func octets(g *rand.Rand, n int) string {
	const from = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=|$.%{}[]()+/!#&'*^`~"
	b := make([]byte, n)
	for i := range b {
		b[i] = from[g.IntN(len(from))]
	}
	return string(b)
}

// anyBytes returns random bytes except CR and LF, which would end the header.
func anyBytes(g *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		if b[i] = byte(g.Uint32()); b[i] == '\n' || b[i] == '\r' {
			b[i] = 0
		}
	}
	return string(b)
}

func flip(g *rand.Rand, v string) string {
	b := []byte(v)
	// The last characters contain bits not used by base64.
	i := g.IntN(len(b) - 4)
	b[i] = 'A' + (b[i]-'A'+1+byte(g.IntN(20)))%26
	if string(b) == v {
		b[i] ^= 1
	}
	return string(b)
}

// reseal changes the token inside a well-formed envelope.
func reseal(g *rand.Rand, v string) string {
	outer, _ := base64.URLEncoding.DecodeString(v)
	i := g.IntN(len(outer))
	outer[i] ^= 1 << g.IntN(8)
	return base64.URLEncoding.EncodeToString(outer)
}

// bombard sends n cookies over a few connections. The server may close a
// connection after a malformed request.
func (h *hostile) bombard(ctx context.Context, n int, seed uint64) error {
	const workers = 4
	errs := make(chan error, workers)
	for w := range workers {
		go func() { errs <- h.worker(ctx, n/workers, rand.New(rand.NewPCG(seed, uint64(w)))) }()
	}
	for range workers {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

func (h *hostile) worker(ctx context.Context, n int, g *rand.Rand) error {
	var conn io.ReadWriteCloser
	var in *bufio.Reader
	for i := range n {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if conn == nil {
			c, err := h.site.dial()
			if err != nil {
				return err
			}
			defer c.Close()
			conn, in = c, bufio.NewReader(c)
		}
		res, err := exchange(conn, in, h.kinds[i%len(h.kinds)](g))
		if err != nil {
			return fmt.Errorf("no response: %w", err)
		}
		if h.judge(res); res.Close {
			conn.Close()
			conn = nil
		}
	}
	return nil
}

func exchange(out io.Writer, in *bufio.Reader, cookie string) (*http.Response, error) {
	if _, err := fmt.Fprintf(out, "GET /me HTTP/1.1\r\nHost: x\r\nCookie: session=%s\r\n\r\n", cookie); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res, err
}

func (h *hostile) judge(res *http.Response) {
	if res.StatusCode >= 500 {
		h.failed.Add(1)
	}
	if res.Header.Get("Set-Cookie") != "" {
		h.sets.Add(1)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen[res.StatusCode]++
}

func (h *hostile) statuses() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.TrimPrefix(fmt.Sprint(h.seen), "map")
}

// allocations measures Manager.Load with one cookie at a time.
func (h *hostile) allocations(ctx context.Context, seed uint64) (most, mean uint64) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	g := rand.New(rand.NewPCG(seed, 99))
	const n = 3000
	var total uint64
	for i := range n {
		cookies := []*http.Cookie{{Name: "session", Value: h.kinds[i%len(h.kinds)](g)}}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := h.site.sessions.Load(ctx, cookies)
		runtime.ReadMemStats(&after)
		if err != nil {
			h.failed.Add(1)
		}
		most = max(most, after.TotalAlloc-before.TotalAlloc)
		total += after.TotalAlloc - before.TotalAlloc
	}
	return most, total / n
}
