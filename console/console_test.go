package console_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/console"
	"github.com/holdfast-go/session/memstore"
)

// site is a server with a console.
type site struct {
	t        *testing.T
	store    *memstore.Store
	sessions *session.Manager
	recorder *console.Recorder
	log      *bytes.Buffer
	access   console.Access
	url      string // of the console
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, store: memstore.New(), recorder: console.NewRecorder("web-1"), log: &bytes.Buffer{}, access: console.FullAccess}
	var err error
	s.sessions, err = session.New(s.store, "an example secret of 32 bytes or more",
		session.WithClientInfo(), session.WithObserver(s.recorder.Observe))
	require.NoError(t, err)
	c, err := console.New(s.sessions, s.store, func(*http.Request) (string, console.Access) { return "olga", s.access },
		console.WithRecorder(s.recorder), console.WithLogger(slog.New(slog.NewTextHandler(s.log, nil))))
	require.NoError(t, err)
	s.url = serveAt(t, "/admin/", c) + "/admin/"
	return s
}

// serveAt serves h at a path.
func serveAt(t *testing.T, path string, h http.Handler) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(path, h)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// signIn begins a session and returns its ID and the value of its cookie.
func (s *site) signIn(user string) (session.ID, string) {
	s.t.Helper()
	var id func() session.ID
	cookie := memstore.Cookie(s.t, s.sessions, func(s *session.Session) {
		if user != "" {
			s.SignIn(user)
		}
		cart.Set(s, []string{"a secret value"})
		id = s.ID
	})
	return id(), cookie.Value
}

// answer is a response and its body.
type answer struct {
	*http.Response
	body string
}

func send(t *testing.T, r *http.Request) answer {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{resp, string(body)}
}

func (s *site) get(page string) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+page, nil)
	require.NoError(s.t, err)
	return send(s.t, r)
}

func (s *site) post(page, origin string, form url.Values) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+page, strings.NewReader(form.Encode()))
	require.NoError(s.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if origin != "" {
		r.Header.Set("Sec-Fetch-Site", origin)
	}
	return send(s.t, r)
}

func (s *site) live(user string) int {
	s.t.Helper()
	infos, err := s.sessions.List(s.t.Context(), user)
	require.NoError(s.t, err)
	return len(infos)
}

func TestNew_Invalid(t *testing.T) {
	sessions, store := memstore.NewManager(), memstore.New()
	all := func(*http.Request) (string, console.Access) { return "", console.FullAccess }
	_, err := console.New(nil, nil, nil, console.WithLogger(nil), console.WithRecorder(nil), console.WithTexts(nil))
	require.Error(t, err)
	for _, text := range []string{
		"console: New without a Manager; pass the one of session.New",
		"console: New without a store; pass the store of the Manager",
		"console: New without authorize; pass a function that decides who may use the console",
		"console: WithLogger(nil): leave the option out",
		"console: WithRecorder(nil): leave the option out",
		"console: WithTexts(nil): leave the option out",
	} {
		assert.ErrorContains(t, err, text)
	}
	_, err = console.New(sessions, store, all)
	assert.NoError(t, err)
}

// paths are all addresses of a console.
var paths = []string{"", "events", "events?all", "find?q=ann", "user?name=ann", "session?id=", "style.css", "end", "end-all"}

func TestConsole_Unauthorized(t *testing.T) {
	for _, access := range []console.Access{console.NoAccess, 3, -1} {
		s := newSite(t)
		id, _ := s.signIn("ann")
		s.access = access
		var calls int
		s.store.FailFunc(func(context.Context, session.EventKind) error { calls++; return nil })
		for _, path := range paths {
			for _, a := range []answer{s.get(path), s.post(path, "same-origin", url.Values{"id": {id.String()}, "user": {"ann"}})} {
				assert.Equal(t, http.StatusForbidden, a.StatusCode, path)
				assert.Equal(t, "You may not use this console.\n", a.body)
			}
		}
		assert.Zero(t, calls, "store calls")
		s.store.FailFunc(nil)
		assert.Equal(t, 1, s.live("ann"))
	}
}

func TestConsole_ReadOnly(t *testing.T) {
	s := newSite(t)
	id, _ := s.signIn("ann")
	s.access = console.ReadOnly
	for _, path := range []string{"", "events", "user?name=ann", "session?id=" + id.String()} {
		a := s.get(path)
		assert.Equal(t, http.StatusOK, a.StatusCode, path)
		assert.Contains(t, a.body, "read-only")
		assert.NotContains(t, strings.ToLower(a.body), `method="post"`, path)
	}
	form := url.Values{"id": {id.String()}, "user": {"ann"}}
	for _, path := range []string{"end", "end-all"} {
		assert.Equal(t, http.StatusForbidden, s.post(path, "same-origin", form).StatusCode, path)
	}
	assert.Equal(t, 1, s.live("ann"))
}

func TestConsole_CrossSite(t *testing.T) {
	s := newSite(t)
	id, _ := s.signIn("ann")
	form := url.Values{"id": {id.String()}, "user": {"ann"}}
	for _, path := range []string{"end", "end-all"} {
		for _, origin := range []string{"", "none", "same-site", "cross-site", "Same-Origin"} {
			assert.Equal(t, http.StatusForbidden, s.post(path, origin, form).StatusCode, "%s from %q", path, origin)
		}
	}
	assert.Equal(t, 1, s.live("ann"))
	assert.Equal(t, http.StatusSeeOther, s.post("end", "same-origin", form).StatusCode)
	assert.Zero(t, s.live("ann"))
}

func TestConsole_Methods(t *testing.T) {
	s := newSite(t)
	for _, tc := range []struct{ method, path, allow string }{
		{"POST", "", "GET, HEAD"},
		{"PUT", "user?name=ann", "GET, HEAD"},
		{"OPTIONS", "events", "GET, HEAD"},
		{"GET", "end?id=1", "POST"},
		{"DELETE", "end-all?user=ann", "POST"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tc.method, s.url+tc.path, nil)
		require.NoError(t, err)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		a := send(t, r)
		assert.Equal(t, http.StatusMethodNotAllowed, a.StatusCode, "%s %s", tc.method, tc.path)
		assert.Equal(t, tc.allow, a.Header.Get("Allow"), "%s %s", tc.method, tc.path)
	}
	assert.Equal(t, http.StatusNotFound, s.get("nothing").StatusCode)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodHead, s.url, nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, send(t, r).StatusCode)
}

func TestConsole_End(t *testing.T) {
	s := newSite(t)
	id, _ := s.signIn("ann")
	other, _ := s.signIn("ann")
	form := url.Values{"id": {id.String()}, "user": {"ann"}}

	a := s.post("end", "same-origin", form)
	assert.Equal(t, http.StatusSeeOther, a.StatusCode)
	assert.Equal(t, "user?done=ended&name=ann", a.Header.Get("Location"))
	assert.Contains(t, s.get(a.Header.Get("Location")).body, "The session has ended.")
	assert.Equal(t, 1, s.live("ann"))
	assert.Contains(t, s.log.String(), `msg="console: operator ended a session" operator=olga user=ann session=`+id.String())
	assert.Contains(t, s.get("events").body, "Session revoked")
	assert.Contains(t, s.get("session?id="+id.String()).body, "Session revoked", "the page of an ended session has its events")

	a = s.post("end", "same-origin", form)
	assert.Equal(t, "user?done=gone&name=ann", a.Header.Get("Location"), "the second time it has ended already")
	assert.Contains(t, s.get(a.Header.Get("Location")).body, "The session had ended before.")

	for _, invalid := range []string{"", "x", other.String() + "0"} {
		assert.Equal(t, http.StatusBadRequest, s.post("end", "same-origin", url.Values{"id": {invalid}}).StatusCode)
	}
	form = url.Values{"id": {other.String()}, "user": {"ann"}, "filler": {strings.Repeat("x", 17<<10)}}
	assert.Equal(t, http.StatusBadRequest, s.post("end", "same-origin", form).StatusCode, "a form that is too large")
	assert.Equal(t, 1, s.live("ann"))
}

func TestConsole_EndAnonymous(t *testing.T) {
	s := newSite(t)
	id, _ := s.signIn("")
	require.Contains(t, s.get("session?id="+id.String()).body, "Anonymous visitor")
	a := s.post("end", "same-origin", url.Values{"id": {id.String()}})
	assert.Equal(t, http.StatusSeeOther, a.StatusCode)
	assert.Equal(t, "session?done=ended&id="+id.String(), a.Header.Get("Location"))
	assert.Zero(t, s.store.Len())
	assert.Contains(t, s.get(a.Header.Get("Location")).body, "The session has ended.")
}

func TestConsole_EndAll(t *testing.T) {
	s := newSite(t)
	for range 3 {
		s.signIn("ann")
	}
	s.signIn("bob")
	a := s.post("end-all", "same-origin", url.Values{"user": {"ann"}})
	assert.Equal(t, http.StatusSeeOther, a.StatusCode)
	assert.Equal(t, "user?done=all&n=3&name=ann", a.Header.Get("Location"))
	body := s.get(a.Header.Get("Location")).body
	assert.Contains(t, body, "3 sessions ended.")
	assert.Contains(t, body, "is signed in nowhere")
	assert.Zero(t, s.live("ann"))
	assert.Equal(t, 1, s.live("bob"))
	assert.Contains(t, s.log.String(), `msg="console: operator ended all sessions of a user" operator=olga user=ann sessions=3`)
	for _, invalid := range []string{"", "\xff", "a\x00b"} {
		assert.Equal(t, http.StatusBadRequest, s.post("end-all", "same-origin", url.Values{"user": {invalid}}).StatusCode, "%q", invalid)
	}
}

func TestConsole_Find(t *testing.T) {
	s := newSite(t)
	id, _ := s.signIn("ann")
	for text, want := range map[string]string{
		"":                                 "./",
		"ann":                              "user?name=ann",
		"Ann O'Hara & sons":                "user?name=Ann+O%27Hara+%26+sons",
		id.String():                        "session?id=" + id.String(),
		" " + id.String() + "\n":           "session?id=" + id.String(),
		strings.ToUpper(id.String()):       "session?id=" + id.String(),
		"//example.com":                    "user?name=%2F%2Fexample.com",
		"x\r\nSet-Cookie: session=planted": "user?name=x%0D%0ASet-Cookie%3A+session%3Dplanted",
	} {
		a := s.get("find?q=" + url.QueryEscape(text))
		assert.Equal(t, http.StatusSeeOther, a.StatusCode, "%q", text)
		assert.Equal(t, want, a.Header.Get("Location"), "%q", text)
		assert.Empty(t, a.Header.Get("Set-Cookie"))
	}
	name := session.ID{7}.String()
	s.signIn(name)
	assert.Equal(t, "user?name="+name, s.get("find?q="+name).Header.Get("Location"), "a user whose name is a UUID")
	assert.Contains(t, s.get("session?id="+session.ID{8}.String()).body, `href="user?name=`+session.ID{8}.String())
	assert.Equal(t, http.StatusNotFound, s.get("user?name=%ff").StatusCode)
	assert.Equal(t, http.StatusNotFound, s.get("session?id=1").StatusCode)
}

// The page of a session has the names of its keys. Nothing on any page helps to
// take a session over.
func TestConsole_Secrets(t *testing.T) {
	s := newSite(t)
	id, token := s.signIn("ann")
	require.NotZero(t, s.post("end-all", "same-origin", url.Values{"user": {"zoe"}}), "a revocation marker of zoe")
	rec, err := s.store.Load(t.Context(), id)
	require.NoError(t, err)
	v := rec.Verifier
	var all strings.Builder
	for _, path := range []string{"", "events", "events?all", "user?name=ann", "session?id=" + id.String()} {
		a := s.get(path)
		require.Equal(t, http.StatusOK, a.StatusCode, path)
		require.Contains(t, a.body, "</html>")
		all.WriteString(a.body)
	}
	text := all.String() + s.log.String()
	assert.Contains(t, text, "cart", "the name of the key")
	for what, secret := range map[string]string{
		"token": token, "value": "a secret value", "hex verifier": hex.EncodeToString(v), "verifier": string(v),
		"base64 verifier": base64.StdEncoding.EncodeToString(v), "base64url verifier": base64.RawURLEncoding.EncodeToString(v),
	} {
		assert.NotContains(t, text, secret, what)
	}
}

// A revocation marker is a record but not a session.
func TestConsole_Marker(t *testing.T) {
	s := newSite(t)
	s.post("end-all", "same-origin", url.Values{"user": {"ann"}})
	var marker session.ID
	s.store.FailFunc(nil)
	require.Equal(t, 1, s.store.Len())
	sum := sha256.Sum256([]byte("holdfast session: revoked\x00ann"))
	marker = session.ID(sum[:16])
	marker[6] = 8<<4 | marker[6]&0xf
	marker[8] = 2<<6 | marker[8]&0x3f
	_, err := s.store.Load(t.Context(), marker)
	require.NoError(t, err, "the marker has another ID")
	a := s.get("session?id=" + marker.String())
	assert.Equal(t, http.StatusNotFound, a.StatusCode)
	assert.Contains(t, a.body, "Not a live session")
}

func TestConsole_ExpiredSession(t *testing.T) {
	s := newSite(t)
	id, _ := s.signIn("ann")
	require.NoError(t, s.store.Update(t.Context(), id, &session.Change{ExpiresAt: time.Now().Add(-time.Minute)}))
	assert.Equal(t, http.StatusNotFound, s.get("session?id="+id.String()).StatusCode)
	assert.Contains(t, s.get("user?name=ann").body, "is signed in nowhere")
}

func TestConsole_Outage(t *testing.T) {
	s := newSite(t)
	id, _ := s.signIn("ann")
	s.store.Fail(errors.New("connection refused"))
	for _, path := range []string{"user?name=ann", "session?id=" + id.String(), "find?q=" + id.String()} {
		a := s.get(path)
		assert.Equal(t, http.StatusServiceUnavailable, a.StatusCode, path)
		assert.Contains(t, a.body, "does not respond", path)
		assert.NotContains(t, a.body, "connection refused", path)
	}
	for path, form := range map[string]url.Values{"end": {"id": {id.String()}}, "end-all": {"user": {"ann"}}} {
		a := s.post(path, "same-origin", form)
		assert.Equal(t, http.StatusServiceUnavailable, a.StatusCode, path)
		assert.Contains(t, a.body, "may not have ended", path)
	}
	assert.Contains(t, s.log.String(), `level=ERROR msg="console: store failed" error="`)
	overview := s.get("")
	assert.Equal(t, http.StatusOK, overview.StatusCode, "the overview needs no store")
	assert.Contains(t, overview.body, "Store failed: load")
	s.store.Fail(nil)
	assert.Equal(t, 1, s.live("ann"))
}

var (
	styles = regexp.MustCompile(`(?s)<style>(.*?)</style>`)
	links  = regexp.MustCompile(`(?:href|action)="([^"]*)"`)
)

func TestConsole_Headers(t *testing.T) {
	s := newSite(t)
	id, _ := s.signIn("ann")
	for _, path := range append(paths, "session?id="+id.String(), "nothing") {
		a := s.get(path)
		assert.Equal(t, "no-store", a.Header.Get("Cache-Control"), path)
		assert.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"), path)
		assert.Equal(t, "same-origin", a.Header.Get("Referrer-Policy"), path)
		assert.Equal(t, "same-origin", a.Header.Get("Cross-Origin-Opener-Policy"), path)
		assert.Equal(t, "same-origin", a.Header.Get("Cross-Origin-Resource-Policy"), path)
		if a.StatusCode == http.StatusSeeOther {
			continue
		}
		style := styles.FindAllStringSubmatch(a.body, -1)
		require.Len(t, style, 1, path)
		sum := sha256.Sum256([]byte(style[0][1]))
		assert.Equal(t, "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'; img-src data:; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'", a.Header.Get("Content-Security-Policy"), path)
		assert.NotContains(t, a.body, " style=", path)
		assert.NotContains(t, strings.ToLower(a.body), "<script", path)
	}
}

// All links work under any path, with and without StripPrefix.
func TestConsole_Mounted(t *testing.T) {
	s := newSite(t)
	id, _ := s.signIn("ann")
	c, err := console.New(s.sessions, s.store, func(*http.Request) (string, console.Access) { return "", console.FullAccess },
		console.WithRecorder(s.recorder))
	require.NoError(t, err)
	for _, tc := range []struct {
		path    string
		handler http.Handler
	}{
		{"/", c},
		{"/admin/", c},
		{"/admin/sessions/", http.StripPrefix("/admin/sessions", c)},
		{"/admin/sessions/", http.StripPrefix("/admin/sessions/", c)},
	} {
		base, err := url.Parse(serveAt(t, tc.path, tc.handler) + tc.path)
		require.NoError(t, err)
		s.url = base.String()
		todo, done := []string{base.String(), base.String() + "session?id=" + id.String()}, map[string]bool{}
		for len(todo) > 0 {
			address := todo[0]
			todo = todo[1:]
			if done[address] {
				continue
			}
			done[address] = true
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
			require.NoError(t, err)
			a := send(t, r)
			if strings.HasSuffix(address, "/find") || strings.HasSuffix(address, "/end") || strings.HasSuffix(address, "/end-all") {
				assert.Contains(t, []int{http.StatusSeeOther, http.StatusMethodNotAllowed}, a.StatusCode, address)
				continue
			}
			require.Equal(t, http.StatusOK, a.StatusCode, address)
			at, err := url.Parse(address)
			require.NoError(t, err)
			for _, m := range links.FindAllStringSubmatch(a.body, -1) {
				link := html.UnescapeString(m[1])
				if link == "data:," || strings.HasPrefix(link, "#") {
					continue
				}
				ref, err := url.Parse(link)
				require.NoError(t, err)
				require.False(t, strings.HasPrefix(link, "/") || ref.IsAbs(), "%s is not relative", link)
				to := at.ResolveReference(ref).String()
				require.True(t, strings.HasPrefix(to, base.String()), "%s leads out of the console", to)
				todo = append(todo, to)
			}
		}
		assert.Greater(t, len(done), 8, "pages under %s", tc.path)
		if tc.path == "/admin/" {
			assert.Equal(t, http.StatusSeeOther, s.post("end", "same-origin", url.Values{"id": {session.ID{9}.String()}}).StatusCode)
		}
	}
}

// Without the slash, the relative links of the page would be wrong.
func TestConsole_MountedWithoutSlash(t *testing.T) {
	s := newSite(t)
	c, err := console.New(s.sessions, s.store, func(*http.Request) (string, console.Access) { return "", console.ReadOnly })
	require.NoError(t, err)
	root := serveAt(t, "/", http.StripPrefix("/admin/sessions", c))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, root+"/admin/sessions?x=1", nil)
	require.NoError(t, err)
	a := send(t, r)
	assert.Equal(t, http.StatusPermanentRedirect, a.StatusCode)
	to, err := a.Location()
	require.NoError(t, err)
	assert.Equal(t, root+"/admin/sessions/", to.String())
}

func TestConsole_Hostile(t *testing.T) {
	s := newSite(t)
	s.signIn(hostile)
	s.recorder.Observe(t.Context(), session.Event{
		Kind: session.EventRevoked, ID: session.ID{1}, User: hostile, ClientIP: `"><script>1</script>`, UserAgent: hostile, Reason: `<i>`,
	})
	s.recorder.Observe(t.Context(), session.Event{Kind: session.EventLostChange, Err: errors.New(hostile)})
	s.recorder.Observe(t.Context(), session.Event{Kind: `<u>`, ID: session.ID{2}})
	for _, path := range []string{"", "events", "events?all", "user?name=" + url.QueryEscape(hostile), "user?name=%3Cu%3E"} {
		body := s.get(path).body
		require.Contains(t, body, "</html>")
		for _, part := range []string{"<img", "<script", "<u>", "<i>", `onerror=alert(1)>"`} {
			assert.NotContains(t, body, part, path)
		}
	}
}

// Without a Recorder the console still finds and ends sessions.
func TestConsole_WithoutRecorder(t *testing.T) {
	s := newSite(t)
	id, _ := s.signIn("ann")
	c, err := console.New(s.sessions, s.store, func(*http.Request) (string, console.Access) { return "", console.FullAccess })
	require.NoError(t, err)
	s.url = serveAt(t, "/", c) + "/"
	assert.Contains(t, s.get("").body, "are not recorded")
	assert.Equal(t, http.StatusNotFound, s.get("events").StatusCode)
	assert.NotContains(t, s.get("").body, `href="events"`)
	assert.Contains(t, s.get("user?name=ann").body, id.String())
	assert.Equal(t, http.StatusOK, s.get("session?id="+id.String()).StatusCode)
	assert.Equal(t, http.StatusSeeOther, s.post("end", "same-origin", url.Values{"id": {id.String()}}).StatusCode)
	assert.Zero(t, s.live("ann"))
}

// A page shows a limited number of sessions and keys.
func TestConsole_Limits(t *testing.T) {
	s := newSite(t)
	var id session.ID
	for range 203 {
		id, _ = s.signIn("ann")
	}
	body := s.get("user?name=ann").body
	assert.Equal(t, 200, strings.Count(body, `aria-label="End session `))
	assert.Contains(t, body, "203 live sessions")
	assert.Contains(t, body, "3 more sessions")
	ch := &session.Change{Set: map[string]session.Value{}}
	for i := range 250 {
		ch.Set[strings.Repeat("k", i+1)] = session.Value{Data: []byte("1"), Version: 1}
	}
	require.NoError(t, s.store.Update(t.Context(), id, ch))
	assert.Contains(t, s.get("session?id="+id.String()).body, "The session has 251 keys.")
}
