package reference_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/console"
	"github.com/holdfast-go/session/memstore"
)

// TestConsole checks that the console has words for each kind of event and each
// reason, and does not show their names as they are.
func TestConsole(t *testing.T) {
	constants := values(t, "")
	event := func(name string) bool { return strings.HasPrefix(name, "Event") }
	reason := func(name string) bool { return strings.HasPrefix(name, "Reason") }
	maps.DeleteFunc(constants, func(name, _ string) bool { return !event(name) && !reason(name) })
	require.Greater(t, len(constants), 20)
	for name, value := range constants {
		e := session.Event{Kind: session.EventKind(value), Err: session.ErrUnavailable}
		if reason(name) {
			e = session.Event{Kind: session.EventRevoked, Reason: session.EventReason(value)}
		}
		rec := console.NewRecorder("")
		rec.Observe(t.Context(), e)
		c, err := console.New(memstore.NewManager(), memstore.New(),
			func(*http.Request) (string, console.Access) { return "", console.ReadOnly }, console.WithRecorder(rec))
		require.NoError(t, err)
		shown := 0
		for _, page := range []string{"/events", "/events?all"} {
			w := httptest.NewRecorder()
			c.ServeHTTP(w, httptest.NewRequest("GET", page, nil))
			shown += strings.Count(w.Body.String(), `<div class="when">`)
			require.NotContains(t, w.Body.String(), ">"+value+"<", name)
		}
		require.Equal(t, 1, shown, "%s is in one list", name)
	}
}
