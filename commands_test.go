package session_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/mongostore"
)

// commands records the names of the commands sent by the driver.
type commands struct {
	mu   sync.Mutex
	sent []string
}

func counted(t testing.TB) (*mongo.Collection, *commands) {
	t.Helper()
	c := new(commands)
	monitor := &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sent = append(c.sent, e.CommandName)
	}}
	return testserver.Collection(t, options.Client().SetMonitor(monitor)), c
}

// noSweep disables the sweep, whose commands would be counted too.
var noSweep = mongostore.WithExpiry(mongostore.ExpiryNone)

func (c *commands) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := strings.Join(c.sent, " ")
	c.sent = nil
	return sent
}

func TestCommands_PerRequest(t *testing.T) {
	coll, count := counted(t)
	now := newClock()
	m := newManager(t, openMongo(t, coll, noSweep))
	m.SetClock(now.Now)
	a, v := newApp(t, m), newVisitor(t)
	expect := func(what, commands string, do func(s *session.Session)) {
		t.Helper()
		count.take()
		res := request(v, a, do)
		require.Equal(t, http.StatusOK, res.StatusCode, res.body)
		require.Equal(t, commands, count.take(), what)
	}
	expect("anonymous", "", func(s *session.Session) { color.Get(s) })
	v.send("GET", a.URL, "Cookie", host+"=forged", "X-Do", a.add(nothing))
	require.Empty(t, count.take(), "forged")
	expect("first write", "insert", func(s *session.Session) { color.Set(s, "red") })
	expect("read-only", "find", func(s *session.Session) { color.Get(s) })
	expect("change", "find update", func(s *session.Session) { color.Set(s, "blue"); shape.Set(s, "round") })
	expect("update", "find update", func(s *session.Session) {
		_, err := visits.Update(background, s, func(n int) int { return n + 1 })
		require.NoError(t, err)
	})
	expect("sign-in with changes", "find update find", func(s *session.Session) { s.SignIn("ann"); color.Set(s, "green") })
	expect("renewal", "find update", (*session.Session).Renew)
	now.advance(59 * time.Minute)
	expect("inside the touch interval", "find", func(s *session.Session) { color.Get(s) })
	now.advance(2 * time.Minute)
	expect("touch", "find update", func(s *session.Session) { color.Get(s) })
	expect("touched already", "find", func(s *session.Session) { color.Get(s) })
	expect("sign-out", "find delete", (*session.Session).SignOut)
	expect("after it", "", func(s *session.Session) { color.Get(s) })
	expect("sign-in with no session before", "insert find", func(s *session.Session) { s.SignIn("ann") })
}
