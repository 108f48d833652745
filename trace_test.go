package session_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// recorder is a Tracer that writes the path of each operation down, and how it
// ended.
type recorder struct {
	mu    sync.Mutex
	lines []string
	sizes []int
	open  int
}

type recorderKey struct{}

func (r *recorder) Start(ctx context.Context, op session.Operation) context.Context {
	if s, ok := session.TryFromContext(ctx); ok {
		s.User() // a Tracer may read the session
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open++
	path, _ := ctx.Value(recorderKey{}).(string)
	return context.WithValue(ctx, recorderKey{}, strings.TrimPrefix(path+"/"+string(op.Kind), "/"))
}

func (r *recorder) End(ctx context.Context, res session.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open--
	r.lines = append(r.lines, fmt.Sprint(ctx.Value(recorderKey{}), " ", res.Outcome))
	if res.Outcome == session.OutcomeStored {
		r.sizes = append(r.sizes, res.Size)
	}
}

// take returns the lines since the last call.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines, r.sizes = nil, nil
	return lines
}

func traced(t *testing.T, store session.Store, opts ...session.Option) (*app, *recorder, *clock) {
	t.Helper()
	r := new(recorder)
	a, now := clocked(t, store, append(opts, session.WithTracer(r))...)
	t.Cleanup(func() { require.Zero(t, r.open, "each Start has its End") })
	return a, r, now
}

func TestWithTracer_StepsOfARequest(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		a, r, now := traced(t, store)
		v := newVisitor(t)
		step := func(do func(s *session.Session), want ...string) {
			t.Helper()
			request(v, a, do)
			require.Equal(t, want, r.take())
		}
		step(nothingOf, "admit none")
		step(func(s *session.Session) { color.Set(s, "red") }, "admit none", "commit/insert ok", "commit stored")
		step(nothingOf, "admit/load ok", "admit current", "commit unchanged")
		step(func(s *session.Session) { color.Set(s, "blue") },
			"admit/load ok", "admit current", "commit/update ok", "commit stored")
		step(func(s *session.Session) { s.SignIn("ann") },
			"admit/load ok", "admit current", "commit/update ok", "commit/load not_found", "commit stored")
		step(func(s *session.Session) { must(visits.Update(background, s, func(n int) int { return n + 1 })) },
			"admit/load ok", "admit current", "update ok", "commit unchanged")
		now.advance(2 * time.Hour)
		step(nothingOf, "admit/load ok", "admit/update ok", "admit current", "commit unchanged")
		step(func(s *session.Session) { must(a.m.List(background, "ann")) },
			"admit/load ok", "admit current", "list ok", "commit unchanged")
		step(func(s *session.Session) { s.SignOut(); require.NoError(t, s.Save(background)) },
			"admit/load ok", "admit current", "commit/delete ok", "commit stored")
	})
}

func TestWithTracer_Admissions(t *testing.T) {
	store := newFaulty()
	a, r, now := traced(t, store, session.WithIdleTimeout(time.Hour))
	v := newVisitor(t)
	admitted := func(cookies string) string {
		t.Helper()
		r.take()
		ask(t, a, cookies, nothing)
		for _, line := range r.take() {
			if out, ok := strings.CutPrefix(line, "admit "); ok {
				return out
			}
		}
		return "no admission"
	}
	v.login(a, "ann")
	old := v.cookies(a)
	require.Equal(t, "current", admitted(old))
	v.login(a, "ann")
	last := v.cookies(a)
	require.Equal(t, "superseded", admitted(old))
	require.Equal(t, "current", admitted(old+"; "+last))
	now.advance(31 * time.Second)
	require.Equal(t, "stale", admitted(old))
	require.Equal(t, "forged", admitted(host+"=forged"))
	require.Equal(t, "none", admitted("other=1"))
	store.fail("Load", errDown)
	require.Equal(t, "unavailable", admitted(last))
	store.fail("Load", nil)
	now.advance(2 * time.Hour)
	require.Equal(t, "expired", admitted(last))
	must(a.m.RevokeAll(background, "ann"))
	require.Equal(t, "not_found", admitted(last))
}

// Each outcome of a commit, as a handler causes it.
func TestWithTracer_CommitOutcomes(t *testing.T) {
	type calls = func(w http.ResponseWriter, s *session.Session)
	set := func(_ http.ResponseWriter, s *session.Session) { color.Set(s, "red") }
	signIn := func(_ http.ResponseWriter, s *session.Session) { s.SignIn("ann") }
	for want, c := range map[session.Outcome]struct {
		before calls
		calls  calls
		store  func(store *faulty, a *app, v *visitor, now *clock)
		header string
	}{
		session.OutcomeUnchanged: {signIn, func(http.ResponseWriter, *session.Session) {}, nil, ""},
		session.OutcomeStored:    {nil, set, nil, ""},
		session.OutcomeNotFound: {signIn, set, func(store *faulty, _ *app, _ *visitor, _ *clock) {
			store.fail("Update", session.ErrNotFound)
		}, ""},
		session.OutcomeConflict: {signIn, func(_ http.ResponseWriter, s *session.Session) { s.Renew() }, func(store *faulty, _ *app, _ *visitor, _ *clock) {
			store.fail("Update", session.ErrConflict)
		}, ""},
		session.OutcomeSuperseded: {signIn, func(_ http.ResponseWriter, s *session.Session) { s.Renew() }, func(_ *faulty, a *app, v *visitor, _ *clock) {
			request(v, a, (*session.Session).Renew)
		}, ""},
		session.OutcomeRevoked: {nil, signIn, func(store *faulty, a *app, _ *visitor, now *clock) {
			store.once(readsMarker, func(c call) error {
				now.advance(time.Second)
				must(a.m.RevokeAll(background, "ann"))
				return c.do()
			})
		}, ""},
		session.OutcomeCrossSite: {nil, set, nil, "cross-site"},
		session.OutcomeTooLarge:  {nil, func(_ http.ResponseWriter, s *session.Session) { color.Set(s, strings.Repeat("x", 1<<20)) }, nil, ""},
		session.OutcomeUndeliverable: {nil, func(w http.ResponseWriter, s *session.Session) {
			io.WriteString(w, "begun")
			s.SignIn("ann")
		}, nil, ""},
		session.OutcomeUncertain: {nil, set, func(store *faulty, _ *app, _ *visitor, _ *clock) {
			store.fail("Insert", session.ErrUncertain)
			store.fail("Load", errDown)
		}, ""},
		session.OutcomeError: {nil, set, func(store *faulty, _ *app, _ *visitor, _ *clock) { store.fail("Insert", errDown) }, ""},
	} {
		t.Run(string(want), func(t *testing.T) {
			store := newFaulty()
			a, r, now := traced(t, store, session.WithStoreTimeout(10*time.Millisecond))
			v := newVisitor(t)
			if c.before != nil {
				v.do(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) { c.before(w, s) })
			}
			v.try(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
				if c.store != nil {
					c.store(store, a, v, now)
				}
				r.take()
				c.calls(w, s)
			}, "Sec-Fetch-Site", c.header)
			var commits []string
			for _, line := range r.take() {
				if strings.HasPrefix(line, "commit ") {
					commits = append(commits, line)
				}
			}
			require.Contains(t, commits, "commit "+string(want))
			require.LessOrEqual(t, len(commits), 2, "one, and another one after the response has begun")
		})
	}
}

func TestWithTracer_Size(t *testing.T) {
	a, r, _ := traced(t, memstore.New())
	v := newVisitor(t)
	request(v, a, func(s *session.Session) { color.Set(s, "red") })
	request(v, a, func(s *session.Session) { shape.Set(s, "round") })
	require.Equal(t, []int{len(`color"red"`), len(`color"red"shape"round"`)}, r.sizes)
}

// A store that panics does not leave an operation without an end.
func TestWithTracer_StorePanics(t *testing.T) {
	store := newFaulty()
	a, r, _ := traced(t, store)
	store.set(func(call) error { panic(http.ErrAbortHandler) })
	newVisitor(t).try(a, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { color.Set(s, "red") })
	a.Close()
	require.Equal(t, []string{"admit none", "commit/insert error", "commit error"}, r.take())
}

// The contexts of several Tracers nest, and each gets its own back.
func TestWithTracer_Several(t *testing.T) {
	r := new(recorder)
	other := new(recorder)
	a, _ := clocked(t, memstore.New(), session.WithTracer(r), session.WithTracer(other))
	request(newVisitor(t), a, func(s *session.Session) { color.Set(s, "red") })
	require.Equal(t, []string{"admit none", "commit/commit/insert ok", "commit stored"}, r.take())
	require.Equal(t, []string{"admit/admit none", "commit/commit/insert/insert ok", "commit/commit stored"}, other.take())
}

// The context of the Tracer reaches the store.
func TestWithTracer_ContextReachesTheStore(t *testing.T) {
	paths := map[string]bool{}
	a, _, _ := traced(t, pathStore{memstore.New(), paths})
	v := newVisitor(t)
	v.login(a, "ann")
	v.login(a, "ann")
	require.Equal(t, map[string]bool{"commit/insert": true, "admit/load": true, "commit/load": true, "commit/update": true}, paths)
}

type pathStore struct {
	session.Store
	paths map[string]bool
}

func (s pathStore) note(ctx context.Context) {
	s.paths[ctx.Value(recorderKey{}).(string)] = true
}

func (s pathStore) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	s.note(ctx)
	return s.Store.Load(ctx, id)
}

func (s pathStore) Insert(ctx context.Context, rec *session.Record) error {
	s.note(ctx)
	return s.Store.Insert(ctx, rec)
}

func (s pathStore) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	s.note(ctx)
	return s.Store.Update(ctx, id, ch)
}
