package redisstore_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/redisstore/internal/redisproxy"
	"github.com/holdfast-go/session/redisstore/internal/redisserver"
)

const theme session.Key[string] = "theme"

// The proxy counts the commands of each request on the wire.
func TestCommands_PerRequest(t *testing.T) {
	redisserver.Need(t)
	server := redisserver.Start(t)
	proxy := redisproxy.New(t, nil)
	store := open(t, "redis://"+proxy.Addr(server.Addr))
	m, err := session.New(store, "an example secret of 32 bytes or more")
	require.NoError(t, err)
	mux := http.NewServeMux()
	on := func(path string, do func(*session.Session)) {
		mux.HandleFunc(path, func(_ http.ResponseWriter, r *http.Request) { do(session.FromContext(r.Context())) })
	}
	on("/read", func(s *session.Session) { theme.GetOr(s, "") })
	on("/write", func(s *session.Session) { theme.Set(s, time.Now().String()) })
	on("/in", func(s *session.Session) { s.SignIn("ann") })
	on("/out", func(s *session.Session) { s.SignOut() })
	site := m.Wrap(mux)
	cookie := ""
	ask := func(path string) []string {
		proxy.Forget()
		r, w := httptest.NewRequest("GET", "https://example.com"+path, nil), httptest.NewRecorder()
		if cookie != "" {
			r.Header.Set("Cookie", cookie)
		}
		site.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code)
		for _, c := range w.Result().Cookies() {
			cookie = c.Name + "=" + c.Value
		}
		names := []string{}
		for _, c := range proxy.Seen(isStoreCommand) {
			names = append(names, c.Name())
		}
		return names
	}
	for range 2 { // in the second round the server knows the scripts
		cookie = ""
		for _, path := range []string{"/read", "/write", "/write", "/in", "/out"} {
			ask(path)
		}
	}
	cookie = ""
	for _, c := range []struct {
		path string
		want []string
	}{
		{"/read", []string{}},
		{"/out", []string{}},
		{"/write", []string{"evalsha"}}, // the Insert of a new session
		{"/read", []string{"hgetall"}},
		{"/write", []string{"hgetall", "evalsha"}},
	} {
		assert.Equal(t, c.want, ask(c.path), c.path)
	}
	assert.Contains(t, ask("/in"), "evalsha")
	assert.Equal(t, []string{"hgetall"}, ask("/read"), "/read of a user")
	assert.Equal(t, []string{"hgetall", "evalsha"}, ask("/write"), "/write of a user")
}

// member is what List reads of an index.
func members(t *testing.T, server *redisserver.Server) int {
	t.Helper()
	n := 0
	for _, k := range server.Do("keys", "session:u:*").([]any) {
		n += int(server.Do("zcard", k).(int64))
	}
	return n
}

func TestExpiry_ByTheServer(t *testing.T) {
	redisserver.Need(t)
	server := redisserver.Start(t)
	store := open(t, server.URL())
	rec := newRecord("ann")
	expires := func() time.Time {
		return time.UnixMilli(server.Do("pexpiretime", key(rec.ID)).(int64)).UTC()
	}
	require.NoError(t, store.Insert(t.Context(), rec))
	assert.Equal(t, rec.ExpiresAt.Add(5*time.Minute), expires())
	earlier := rec.ExpiresAt.Add(-time.Hour)
	require.NoError(t, store.Update(t.Context(), rec.ID, &session.Change{ExpiresAt: earlier}))
	assert.Equal(t, earlier.Add(5*time.Minute), expires())
	require.NoError(t, store.Update(t.Context(), rec.ID, &session.Change{LastSeenAt: time.Now()}))
	assert.Equal(t, earlier.Add(5*time.Minute), expires(), "another change moved the expiry")

	index := server.Do("keys", "session:u:*").([]any)[0]
	until := func() time.Time { return time.UnixMilli(server.Do("pexpiretime", index).(int64)).UTC() }
	assert.Equal(t, rec.Deadline.Add(10*time.Minute), until())
	next := newRecord("ann")
	next.Deadline = rec.Deadline.Add(-time.Hour)
	require.NoError(t, store.Insert(t.Context(), next))
	assert.Equal(t, rec.Deadline.Add(10*time.Minute), until(), "a shorter session shortened the index")
	later := rec.Deadline.Add(time.Hour)
	require.NoError(t, store.Update(t.Context(), rec.ID, &session.Change{Deadline: later}))
	assert.Equal(t, later.Add(10*time.Minute), until(), "the index would expire before the session")

	forever := newRecord("")
	forever.ExpiresAt, forever.Deadline = time.Time{}, time.Time{}
	require.NoError(t, store.Insert(t.Context(), forever))
	assert.EqualValues(t, -1, server.Do("pexpiretime", key(forever.ID)))

	gone := newRecord("bob")
	gone.ExpiresAt = time.Now().Add(-5*time.Minute - time.Second)
	gone.Deadline = gone.ExpiresAt.Add(-5 * time.Minute)
	require.NoError(t, store.Insert(t.Context(), gone))
	assert.EqualValues(t, 0, server.Do("exists", key(gone.ID)))
}

// Every end of a session removes its member from the index.
func TestIndex_KeepsOnlySessions(t *testing.T) {
	redisserver.Need(t)
	server := redisserver.Start(t)
	store := open(t, server.URL())
	ctx := t.Context()
	rec := newRecord("ann")
	require.NoError(t, store.Insert(ctx, rec))
	require.ErrorIs(t, store.Insert(ctx, rec), session.ErrConflict)
	assert.Equal(t, 1, members(t, server), "a refused Insert left a member")
	require.NoError(t, store.Update(ctx, rec.ID, &session.Change{User: "ann", Deadline: rec.Deadline}))
	assert.Equal(t, 1, members(t, server), "a second sign-in left a member")
	require.NoError(t, store.Update(ctx, rec.ID, &session.Change{User: "bob", Deadline: rec.Deadline}))
	assert.Equal(t, 1, members(t, server), "another user left a member")
	require.ErrorIs(t, store.Update(ctx, newID(), &session.Change{User: "ann"}), session.ErrNotFound)
	require.ErrorIs(t, store.Update(ctx, rec.ID, &session.Change{User: "ann", If: session.Guard{Verifier: make([]byte, 32)}}), session.ErrConflict)
	assert.Equal(t, 1, members(t, server), "a refused Update left a member")
	require.NoError(t, store.Delete(ctx, rec.ID))
	assert.Equal(t, 0, members(t, server), "Delete left a member")
}

// A member without a record is removed by List when its record can no longer be
// written, and never before.
func TestIndex_Pruned(t *testing.T) {
	redisserver.Need(t)
	server := redisserver.Start(t)
	store := open(t, server.URL())
	ctx := context.Background()
	young, old := newRecord("ann"), newRecord("ann")
	require.NoError(t, store.Insert(ctx, young))
	index := server.Do("keys", "session:u:*").([]any)[0]
	member := server.Do("zrange", index, 0, -1).([]any)[0].(string)
	hourAgo := time.Now().Add(-time.Hour - time.Minute).UnixMilli()
	stale := string(old.ID[:]) + string([]byte{
		byte(hourAgo >> 40), byte(hourAgo >> 32), byte(hourAgo >> 24), byte(hourAgo >> 16), byte(hourAgo >> 8), byte(hourAgo), 0, 0,
	})
	server.Do("zadd", index, young.Deadline.UnixMilli(), stale)
	server.Do("zadd", index, young.Deadline.UnixMilli(), "a member of a newer version")
	server.Do("del", key(young.ID))
	infos, err := store.List(ctx, "ann")
	require.NoError(t, err)
	require.Empty(t, infos)
	assert.ElementsMatch(t, []any{"a member of a newer version", member}, server.Do("zrange", index, 0, -1))

	server.Do("zadd", index, time.Now().Add(-25*time.Hour).UnixMilli(), member) // its deadline was a day ago
	require.NoError(t, store.Insert(ctx, newRecord("ann")))
	assert.NotContains(t, server.Do("zrange", index, 0, -1), member)
}

func TestUpdate_KeepsUnknownFields(t *testing.T) {
	redisserver.Need(t)
	server := redisserver.Start(t)
	store := open(t, server.URL())
	rec := newRecord("ann")
	require.NoError(t, store.Insert(t.Context(), rec))
	server.Do("hset", key(rec.ID), "of a newer version", "1", "d:short", "1234567", "seen", "damaged")
	idle := time.Duration(0)
	require.NoError(t, store.Update(t.Context(), rec.ID, &session.Change{IdleTimeout: &idle, If: session.Guard{SeenBefore: time.Now()}}))
	got, err := store.Load(t.Context(), rec.ID)
	require.NoError(t, err)
	assert.Nil(t, got.Values["short"].Data, "a damaged value")
	require.NoError(t, store.Update(t.Context(), rec.ID, &session.Change{Replace: true}))
	assert.Equal(t, "1", server.Do("hget", key(rec.ID), "of a newer version"))
	got, err = store.Load(t.Context(), rec.ID)
	require.NoError(t, err)
	assert.Empty(t, got.Values)
}

// The figure of docs/explanation/performance.md.
func TestMemory_OfASession(t *testing.T) {
	redisserver.Need(t)
	server := redisserver.Start(t)
	store := open(t, server.URL())
	rec := newRecord("ann")
	require.NoError(t, store.Insert(t.Context(), rec))
	small := server.Do("memory", "usage", key(rec.ID)).(int64)
	index := server.Do("memory", "usage", server.Do("keys", "session:u:*").([]any)[0]).(int64)
	large := newRecord("ann")
	large.Values["cart"] = session.Value{Data: make([]byte, 1000), Version: 1}
	require.NoError(t, store.Insert(t.Context(), large))
	larger := server.Do("memory", "usage", key(large.ID)).(int64)
	t.Logf("a session with a user and a small value: %d bytes, with a value of 1,000 bytes: %d, an index of one session: %d", small, larger, index)
	assert.Less(t, small, int64(500))
	assert.Less(t, larger, int64(3500))
	assert.Less(t, index, int64(250))
}
