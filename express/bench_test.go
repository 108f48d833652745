package express_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/express"
	"github.com/holdfast-go/session/memstore"
)

// BenchmarkMove compares requests through Move with the same requests without it.
func BenchmarkMove(b *testing.B) {
	old, err := express.Open(b.Context(), memory{}, secret, express.WithRollback())
	require.NoError(b, err)
	m := memstore.NewManager()
	app := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { session.FromContext(r.Context()).User() })
	visitor := func(cookies string) *http.Request {
		r := httptest.NewRequest("GET", "https://example.com/", nil)
		if cookies != "" {
			r.Header.Set("Cookie", cookies)
		}
		return r
	}
	ada := memstore.WithSession(b, m, visitor(""), func(s *session.Session) { s.SignIn("ada") }).Header.Get("Cookie")
	for _, c := range []struct{ name, cookies string }{
		{"stranger", ""}, {"session", ada}, {"session and connect.sid", ada + "; connect.sid=" + sid},
	} {
		for name, h := range map[string]http.Handler{"Wrap": m.Wrap(app), "Move": m.Wrap(old.Move(m, app))} {
			b.Run(c.name+"/"+name, func(b *testing.B) {
				r := visitor(c.cookies)
				b.ReportAllocs()
				for b.Loop() {
					h.ServeHTTP(httptest.NewRecorder(), r)
				}
			})
		}
	}
}
