package browser_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// missingPage is a page that the console does not have. forbiddenPage needs a user.
const (
	missingPage   = "/admin/nothing"
	forbiddenPage = "/devices?nobody"
)

// startConsole starts the test binary of package console. It serves pages with an
// hour of history. It ends when its standard input is closed.
func startConsole(dir string) (url string, stop func() error, err error) {
	binary := filepath.Join(dir, "console.test")
	if out, err := exec.Command("go", "test", "-C", "../..", "-c", "-o", binary, "./console").CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("the tests of package console do not build: %w\n%s", err, out)
	}
	server := exec.Command(binary)
	server.Env = append(os.Environ(), "CONSOLE_SERVE=1")
	stdin, err := server.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := server.Start(); err != nil {
		return "", nil, err
	}
	for lines := bufio.NewScanner(stdout); url == "" && lines.Scan(); {
		_, url, _ = strings.Cut(lines.Text(), "Open ")
	}
	go io.Copy(io.Discard, stdout)
	return url, func() error { stdin.Close(); return server.Wait() }, nil
}

func (p *profile) visit(path string) {
	p.t.Helper()
	p.do(chromedp.Navigate(suite.console + path))
}

// withoutScript ends scripts in the pages of the profile.
func (p *profile) withoutScript() {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		p.t.Fatal(err)
	}
}

// consolePages are the pages of Console and Devices by the name of their pictures.
var consolePages = []struct{ name, path string }{
	{"overview", "/admin/"},
	{"events", "/admin/events"},
	{"activity", "/admin/events?all"},
	{"user", "/admin/user?name=carl"},
	{"session", "/admin/find?q="}, // with the ID of a session of carl
	{"nobody", "/admin/user?name=nobody&done=ended"},
	{"problem", missingPage},
	{"bare", "/bare/"},
	{"readonly", "/look/user?name=carl"},
	{"devices", "/devices?session-ended=one"},
	{"account", "/account"},
	{"forbidden", forbiddenPage}, // after the cookie is gone
}

func TestConsole_Looks(t *testing.T) {
	p := newProfile(t)
	p.visit("/login?user=carl")
	p.visit("/admin/user?name=carl")
	id := evaluate[string](p, `document.querySelector("input[name=id]").value`)
	for _, page := range consolePages {
		if page.name == "session" {
			page.path += id
		}
		if page.name == "forbidden" {
			if _, err := chromedp.CallBrowser(p.ctx, storage.ClearCookies, storage.ClearCookiesParams{}); err != nil {
				t.Fatal(err)
			}
		}
		p.visit(page.path)
		for _, l := range looks {
			p.look(l.scheme, l.width)
			p.checkFit(l.width)
			p.checkContrast(l.scheme)
			p.checkTargets()
			if (l.scheme == "light") == (l.width == 375) { // its rules depend on each only a little
				p.checkAxe(page.name)
			}
			p.save(fmt.Sprintf("console-%s-%d-%s.png", page.name, l.width, l.scheme), get(p, chromedp.FullScreenshot(100)))
		}
	}
}

// checkAxe runs the rules of axe-core for WCAG 2.2 AA and its best practices.
func (p *profile) checkAxe(name string) {
	p.t.Helper()
	source, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		p.t.Fatalf("%v; run npm ci in internal/browser", err)
	}
	p.do(chromedp.Evaluate[chromedp.Void](string(source) + ";undefined"))
	result := evaluate[struct {
		Passes     int
		Violations []string
	}](p, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then((r) => ({
		passes: r.passes.length,
		violations: r.violations.map((v) => v.id + ": " + v.help + ": " + v.nodes.map((n) => n.html).join(" ")),
	}))`, chromedp.EvalAwaitPromise)
	if result.Passes < 10 {
		p.t.Errorf("%s: axe checked only %d rules", name, result.Passes)
	}
	for _, v := range result.Violations {
		p.t.Errorf("%s: %s", name, v)
	}
}

// Nothing in a hostile name or User-Agent becomes part of the page.
func TestConsole_Hostile(t *testing.T) {
	p := newProfile(t)
	for _, path := range []string{"/admin/", "/admin/events", "/admin/events?all", "/admin/user?name=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E%22%20'%26%E2%80%AE"} {
		p.visit(path)
		p.shows("<img src=x onerror=alert(1)>")
		if n := evaluate[int](p, `document.querySelectorAll("script, img, [onerror], [onclick]").length`); n != 0 {
			t.Errorf("%s: %d elements of the name are in the page", path, n)
		}
	}
	p.click(".sessions dd a")
	p.shows(`<b onclick="alert(1)">key</b>`)
	if n := evaluate[int](p, `document.querySelectorAll("script, img, [onclick]").length`); n != 0 {
		t.Errorf("%d elements of a key are in the page", n)
	}
}

// An operator ends a session, and then all, without script. The user's browser is
// signed out at once.
func TestConsole_EndsSessions(t *testing.T) {
	operator, first, second := newProfile(t), newProfile(t), newProfile(t)
	operator.withoutScript()
	text := func(selector string) string { return get(operator, chromedp.TextContent(chromedp.CSS(selector))) }
	for _, user := range []*profile{first, second} {
		user.visit("/login?user=dora")
		user.shows("Your devices")
	}
	operator.visit("/admin/")
	operator.do(chromedp.SendKeys(chromedp.CSS("#q"), "dora"+kb.Enter))
	operator.do(chromedp.WaitVisible(chromedp.CSS(".sessions")))
	operator.click(".sessions li:last-child .danger") // the last one was seen first
	if got := text(".notice"); got != "The session has ended." {
		t.Errorf("the page says %q", got)
	}
	first.visit("/account")
	first.shows("You are not signed in")
	second.visit("/account")
	second.shows("dora")

	operator.do(chromedp.Click(chromedp.CSS("summary")))
	operator.click(".confirm button")
	if got := text(".notice"); !strings.HasPrefix(got, "1 session ended") {
		t.Errorf("the page says %q", got)
	}
	second.visit("/account")
	second.shows("You are not signed in")
	operator.visit("/admin/events")
	if got := text(".events li:first-child strong"); got != "Session revoked" {
		t.Errorf("the latest event is %q", got)
	}
}

// A visitor ends the sessions of other devices, on the page and on the fragment.
func TestDevices_EndSessions(t *testing.T) {
	for _, page := range []string{"/devices", "/account"} {
		t.Run(page, func(t *testing.T) {
			user := "emil of " + page
			laptop, phone, tablet := newProfile(t), newProfile(t), newProfile(t)
			laptop.withoutScript()
			for _, p := range []*profile{laptop, phone, tablet} {
				p.visit("/login?user=" + strings.ReplaceAll(user, " ", "+"))
			}
			text := func(selector string) string { return get(laptop, chromedp.TextContent(chromedp.CSS(selector))) }
			laptop.visit(page)
			laptop.click(".devices li:last-child button")
			if got := text(".devices-notice"); got != "You are signed out on that device." {
				t.Errorf("the page says %q", got)
			}
			phone.visit("/account")
			phone.shows("You are not signed in")
			tablet.visit("/account")
			tablet.shows(user)
			laptop.click(".devices-others")
			if got := text(".devices-notice"); got != "You are signed out on all other devices." {
				t.Errorf("the page says %q", got)
			}
			tablet.visit("/account")
			tablet.shows("You are not signed in")
		})
	}
}

// The Tab key reaches every control in the order of the page, and each control
// shows its focus.
func TestConsole_Keyboard(t *testing.T) {
	p := newProfile(t)
	p.visit("/login?user=finn")
	for _, path := range []string{"/admin/", "/admin/events", "/admin/user?name=finn", "/devices"} {
		p.visit(path)
		want := evaluate[[]string](p, `[...document.querySelectorAll("a, button, summary, input:not([type=hidden]), [tabindex='0']")]
			.filter((e) => e.checkVisibility()).map((e, i) => e.dataset.order = String(i))`)
		var got []string
		for range want {
			p.do(chromedp.KeyEvent(kb.Tab))
			at := evaluate[[]string](p, `(() => { const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
				const seen = s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 && r.bottom > 0 && r.top < innerHeight;
				return [e.dataset.order ?? "", String(seen), e.outerHTML]; })()`)
			got = append(got, at[0])
			if at[1] != "true" {
				t.Errorf("%s: the focus is not seen on %s", path, at[2])
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the order is %v, want %v", path, got, want)
		}
	}
}

// The page loads itself again only after the operator has asked for it.
func TestConsole_Refresh(t *testing.T) {
	p := newProfile(t)
	const seconds = `document.querySelector("meta[http-equiv=refresh]")?.content ?? ""`
	p.visit("/admin/events?all")
	for _, want := range []string{"", "10", ""} {
		if got := evaluate[string](p, seconds); got != want {
			t.Errorf("the page refreshes itself after %q s, want %q", got, want)
		}
		if got := evaluate[string](p, `document.querySelector(".tabs [aria-current]").textContent`); got != "Sign-ins and sign-outs" {
			t.Errorf("the list is %q", got)
		}
		p.click(".reload a")
	}
}
