package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/holdfast-go/session"
)

// withOptions returns requests to read or write one value.
func withOptions(opts ...session.Option) []variant {
	return append(oneValue(small, smallValue, opts...), oneValue(cart, items, opts...)...)
}

func oneValue[T any](key session.Key[T], value T, opts ...session.Option) []variant {
	m, err := session.New(&instant{}, secret, append(opts, session.WithLogger(slog.New(slog.DiscardHandler)))...)
	if err != nil {
		panic(err)
	}
	handler := func(f func(s *session.Session)) http.Handler {
		return m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f(session.FromContext(r.Context()))
			writeAnswer(w, r)
		}))
	}
	write := handler(func(s *session.Session) { key.Set(s, value) })
	cookie := signIn(write)
	read := handler(func(s *session.Session) {
		if _, ok := key.Get(s); !ok {
			panic("the session was not read")
		}
	})
	return []variant{call("read", read, cookie), call("write", write, cookie)}
}

// encryption measures the additional time of a request with WithEncryption.
func encryption(_ context.Context, out io.Writer, c *config) error {
	n, each := c.timing(50*time.Millisecond, 5*time.Millisecond)
	plain, encrypted := withOptions(), withOptions(session.WithEncryption())
	t := newTable(out, "request", "plain", "encrypted", "more", "goal")
	for i, name := range []string{"reads a small key", "writes a small key", "reads the ten-item cart", "writes the ten-item cart"} {
		s := rounds(n, each, []variant{plain[i], encrypted[i]})
		cell := func(m []sample) string {
			return fmt.Sprintf("%s, %.0f allocations", micros(mid(m, cpuOf)), mid(m, allocsOf))
		}
		t.row(name, cell(s[0]), cell(s[1]),
			fmt.Sprintf("%s, %.0f allocations", micros(over(s[1], s[0], cpuOf)), over(s[1], s[0], allocsOf)), "≤ 1.5 µs, ≤ 4")
	}
	return t.end()
}
