package console_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/console"
	"github.com/holdfast-go/session/memstore"
)

// program is a program with the page of devices.
type program struct {
	t        *testing.T
	store    *memstore.Store
	sessions *session.Manager
	log      *strings.Builder
	url      string
}

func newProgram(t *testing.T, opts ...console.Option) *program {
	t.Helper()
	p := &program{t: t, store: memstore.New(), log: &strings.Builder{}}
	var err error
	p.sessions, err = session.New(p.store, "an example secret of 32 bytes or more", session.WithClientInfo())
	require.NoError(t, err)
	devices, err := console.NewDevices(p.sessions, append(opts, console.WithLogger(slog.New(slog.NewTextHandler(p.log, nil))))...)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/my/devices", devices)
	mux.HandleFunc("/login", login)
	mux.HandleFunc("GET /account", account(devices))
	mux.Handle("POST /account", devices)
	server := httptest.NewServer(p.sessions.Wrap(mux))
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

// do sends a request with the cookie of a client, a User-Agent and headers.
func (p *program) do(method, path, cookie, body string, header http.Header) answer {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	require.NoError(p.t, err)
	r.Header = header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if cookie != "" {
		r.Header.Set("Cookie", p.sessions.CookieName()+"="+cookie)
	}
	return send(p.t, r)
}

// signIn signs a user in and returns the cookie and the ID of the session.
func (p *program) signIn(user, agent string) (cookie string, id session.ID) {
	p.t.Helper()
	a := p.do("POST", "/login", "", url.Values{"user": {user}}.Encode(), http.Header{"User-Agent": {agent}})
	require.Len(p.t, a.Cookies(), 1)
	s, err := p.sessions.Load(p.t.Context(), a.Cookies())
	require.NoError(p.t, err)
	return a.Cookies()[0].Value, s.ID()
}

func (p *program) get(path, cookie string) answer { return p.do("GET", path, cookie, "", nil) }

func (p *program) post(path, cookie, end string) answer {
	return p.do("POST", path, cookie, url.Values{"session-end": {end}}.Encode(), http.Header{"Sec-Fetch-Site": {"same-origin"}})
}

func (p *program) live(id session.ID) bool {
	_, err := p.sessions.LoadID(p.t.Context(), id)
	return err == nil
}

func TestNewDevices_Invalid(t *testing.T) {
	_, err := console.NewDevices(nil, console.WithTexts(nil))
	assert.ErrorContains(t, err, "console: NewDevices without a Manager; pass the one of session.New")
	assert.ErrorContains(t, err, "console: WithTexts(nil): leave the option out")
}

func TestDevices_List(t *testing.T) {
	p := newProgram(t)
	laptop, laptopID := p.signIn("ann", agents[0])
	_, phoneID := p.signIn("ann", agents[1])
	_, otherID := p.signIn("bob", agents[2])
	for _, path := range []string{"/my/devices", "/account"} {
		a := p.get(path, laptop)
		require.Equal(t, http.StatusOK, a.StatusCode, path)
		assert.Contains(t, a.body, "Firefox on Linux")
		assert.Contains(t, a.body, "Safari on iPhone")
		assert.Contains(t, a.body, `aria-label="Sign out Safari on iPhone, Last seen just now"`)
		assert.Contains(t, a.body, "127.0.0.1")
		assert.Contains(t, a.body, "Signed in on "+time.Now().UTC().Format("2 January 2006"))
		assert.Less(t, strings.Index(a.body, "This device"), strings.Index(a.body, "Safari"), "the device of the request comes first")
		assert.Contains(t, a.body, phoneID.String())
		assert.NotContains(t, a.body, laptopID.String(), "the session of the request cannot be ended here")
		assert.NotContains(t, a.body, otherID.String())
		assert.NotContains(t, a.body, laptop)
		assert.NotContains(t, a.body, "a secret value")
	}
}

func TestDevices_Headers(t *testing.T) {
	p := newProgram(t)
	cookie, _ := p.signIn("ann", "")
	a := p.get("/my/devices", cookie)
	style := styles.FindStringSubmatch(a.body)
	require.NotNil(t, style)
	sum := sha256.Sum256([]byte(style[1]))
	assert.Equal(t, "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'; img-src data:; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'", a.Header.Get("Content-Security-Policy"))
	assert.Equal(t, "no-store", a.Header.Get("Cache-Control"))
	assert.Contains(t, a.body, "You are signed in on no other device.")
	for _, method := range []string{"PUT", "DELETE", "OPTIONS"} {
		a = p.do(method, "/my/devices", cookie, "", http.Header{"Sec-Fetch-Site": {"same-origin"}})
		assert.Equal(t, http.StatusMethodNotAllowed, a.StatusCode)
		assert.Equal(t, "GET, HEAD, POST", a.Header.Get("Allow"))
	}
}

func TestDevices_EndOne(t *testing.T) {
	for _, path := range []string{"/my/devices", "/account"} {
		p := newProgram(t)
		laptop, laptopID := p.signIn("ann", "")
		_, phoneID := p.signIn("ann", "")
		_, bobID := p.signIn("bob", "")
		for range 2 { // the second time it has ended already
			a := p.post(path, laptop, phoneID.String())
			assert.Equal(t, http.StatusSeeOther, a.StatusCode)
			to, err := a.Location()
			require.NoError(t, err)
			assert.Equal(t, path+"?session-ended=one", to.RequestURI())
			assert.Contains(t, p.get(to.RequestURI(), laptop).body, "You are signed out on that device.")
		}
		assert.False(t, p.live(phoneID))
		p.post(path, laptop, bobID.String())
		assert.True(t, p.live(bobID), "the session of another user")
		for _, invalid := range []string{"", "x", laptopID.String(), strings.Repeat("x", 17<<10)} {
			assert.Equal(t, http.StatusBadRequest, p.post(path, laptop, invalid).StatusCode)
		}
		assert.True(t, p.live(laptopID))
	}
}

func TestDevices_EndOthers(t *testing.T) {
	p := newProgram(t)
	laptop, laptopID := p.signIn("ann", "")
	_, phoneID := p.signIn("ann", "")
	_, tabletID := p.signIn("ann", "")
	_, bobID := p.signIn("bob", "")
	a := p.post("/my/devices", laptop, "others")
	assert.Equal(t, http.StatusSeeOther, a.StatusCode)
	assert.Contains(t, p.get("/my/devices"+a.Header.Get("Location"), laptop).body, "You are signed out on all other devices.")
	assert.True(t, p.live(laptopID))
	assert.True(t, p.live(bobID))
	assert.False(t, p.live(phoneID))
	assert.False(t, p.live(tabletID))
}

func TestDevices_NotSignedIn(t *testing.T) {
	p := newProgram(t)
	_, id := p.signIn("ann", "")
	anonymous := memstore.Cookie(t, p.sessions, func(s *session.Session) { theme.Set(s, "dark") }).Value
	for _, cookie := range []string{"", "forged", anonymous} {
		for _, a := range []answer{p.get("/my/devices", cookie), p.post("/my/devices", cookie, id.String()), p.post("/my/devices", cookie, "others")} {
			assert.Equal(t, http.StatusForbidden, a.StatusCode)
			assert.Contains(t, a.body, `role="alert">You are not signed in.</p>`)
			assert.NotContains(t, a.body, "<form")
		}
		assert.Contains(t, p.get("/account", cookie).body, "You are not signed in.")
	}
	assert.True(t, p.live(id))
}

func TestDevices_CrossSite(t *testing.T) {
	p := newProgram(t)
	laptop, _ := p.signIn("ann", "")
	_, phone := p.signIn("ann", "")
	host := strings.TrimPrefix(p.url, "http://")
	for _, tc := range []struct {
		site, origin string
		allowed      bool
	}{
		{"cross-site", "", false},
		{"same-site", p.url, false},
		{"none", "", false},
		{"", "", false},
		{"", "null", false},
		{"", "https://example.com", false},
		{"", "http://" + host + "1", false}, // another port
		{"cross-site", p.url, false},
		{"", p.url, true},
	} {
		header := http.Header{}
		for name, value := range map[string]string{"Sec-Fetch-Site": tc.site, "Origin": tc.origin} {
			if value != "" {
				header.Set(name, value)
			}
		}
		a := p.do("POST", "/my/devices", laptop, "session-end="+phone.String(), header)
		if tc.allowed {
			assert.Equal(t, http.StatusSeeOther, a.StatusCode, tc)
			assert.False(t, p.live(phone), tc)
		} else {
			assert.Equal(t, http.StatusForbidden, a.StatusCode, tc)
			assert.True(t, p.live(phone), tc)
		}
	}
}

func TestDevices_Hostile(t *testing.T) {
	p := newProgram(t, console.WithTexts(func(*http.Request) console.Texts {
		return console.Texts{Device: func(string, string) string { return hostile }, Title: "<i>x</i>"}
	}))
	cookie, _ := p.signIn(hostile, agents[3])
	p.signIn(hostile, `"><script>alert(1)</script>`)
	for _, path := range []string{"/my/devices", "/account"} {
		body := p.get(path, cookie).body
		assert.Contains(t, body, "&lt;img src=x onerror=alert(1)&gt;")
		for _, part := range []string{"<img", "<script", "<i>"} {
			assert.NotContains(t, body, part, path)
		}
	}
}

func TestDevices_Texts(t *testing.T) {
	german := console.Texts{
		Lang: "de", Title: "Deine Geräte", This: "Dieses Gerät", End: "Abmelden", EndOthers: "Überall sonst abmelden",
		Device:    func(browser, system string) string { return browser + " unter " + system },
		LastSeen:  func(at, now time.Time) string { return now.Sub(at).Truncate(time.Minute).String() },
		EndDevice: func(device, seen string) string { return "Abmelden: " + device },
		Ended:     "Das Gerät ist abgemeldet.", NotSignedIn: "Du bist nicht angemeldet.",
	}
	p := newProgram(t, console.WithTexts(func(r *http.Request) console.Texts {
		if r.Header.Get("Accept-Language") == "de" {
			return german
		}
		return console.English()
	}))
	cookie, _ := p.signIn("ann", agents[0])
	p.signIn("ann", agents[1])
	in := http.Header{"Accept-Language": {"de"}}
	body := p.do("GET", "/my/devices?session-ended=one", cookie, "", in).body
	for _, text := range []string{
		`<html lang="de" dir="ltr">`, "<h1>Deine Geräte</h1>", "Dieses Gerät", "Firefox unter Linux", "<span>0s</span>",
		`aria-label="Abmelden: Safari unter iPhone">Abmelden</button>`, "Überall sonst abmelden", "Das Gerät ist abgemeldet.",
		"You are signed in on these devices.", // a word that is not translated
	} {
		assert.Contains(t, body, text)
	}
	assert.Contains(t, p.do("GET", "/my/devices", "", "", in).body, "Du bist nicht angemeldet.")
	assert.Contains(t, p.get("/my/devices", cookie).body, `<html lang="en" dir="ltr">`)
}

// The Manager responds if it cannot load the session. Devices respond if the store
// fails later.
func TestDevices_Outage(t *testing.T) {
	p := newProgram(t)
	cookie, _ := p.signIn("ann", "")
	_, phone := p.signIn("ann", "")
	loads := 0
	p.store.FailFunc(func(_ context.Context, op session.EventKind) error {
		if loads++; op == session.EventLoad && loads == 1 {
			return nil
		}
		return errors.New("connection refused")
	})
	for _, send := range []func() answer{
		func() answer { return p.get("/my/devices", cookie) },
		func() answer { return p.post("/my/devices", cookie, phone.String()) },
		func() answer { return p.post("/my/devices", cookie, "others") },
	} {
		loads = 0
		a := send()
		assert.Equal(t, http.StatusServiceUnavailable, a.StatusCode)
		assert.Contains(t, a.body, "The list of your devices is not available at the moment. Please try again.")
	}
	assert.Equal(t, 3, strings.Count(p.log.String(), `level=ERROR msg="console: list of devices failed" error="`))
	loads = 0
	assert.Equal(t, http.StatusServiceUnavailable, p.get("/account", cookie).StatusCode)
	p.store.FailFunc(nil)
	assert.True(t, p.live(phone))
}

func TestDevices_WithoutWrap(t *testing.T) {
	devices, err := console.NewDevices(memstore.NewManager())
	require.NoError(t, err)
	assert.PanicsWithValue(t, "session: no session of this manager in this context: wrap the handler with its Wrap", func() {
		devices.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/devices", nil))
	})
}

func TestDeviceOf(t *testing.T) {
	for agent, want := range map[string]string{
		agents[0]: "Firefox, Linux", agents[1]: "Safari, iPhone", agents[2]: "Edge, Windows", agents[3]: ", ", "": ", ",
		"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36":                       "Chrome, Android",
		"Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/26.0 Chrome/122.0.0.0 Safari/537.36": "Samsung Internet, Android",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15":                       "Safari, macOS",
		"Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/130.0 Mobile/15E148 Safari/604.1":               "Chrome, iPad",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 OPR/115.0.0.0":               "Opera, Windows",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36":                              "Chrome, ChromeOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/132.0 Mobile/15E148 Safari/605.1.15":   "Firefox, iPhone",
		"curl/8.10.1": "curl, ", "Go-http-client/1.1": "Go program, ", "MyApp/1 CFNetwork/1568 Darwin/24.1.0": "Apple app, ", "okhttp/4.12.0": "Android app, ",
	} {
		browser, system := console.DeviceOf(agent)
		assert.Equal(t, want, browser+", "+system, agent)
	}
}
