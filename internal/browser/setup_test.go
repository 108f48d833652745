package browser_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"
)

const demoFolder = "../../examples/demo"

var picture = flag.String("picture", "", "write the README's picture to this `file`")

// suite holds the values for all tests.
var suite struct {
	chromium string
	url      string // address of the demo
	console  string // address of the pages of package console
}

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := runSuite(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		code = 1
	}
	os.Exit(code)
}

func runSuite(m *testing.M) (code int, err error) {
	if suite.chromium, err = findChromium(); err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "browser-*")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "demo")
	if out, err := exec.Command("go", "build", "-C", demoFolder, "-o", binary, ".").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("the demo does not build: %w\n%s", err, out)
	}
	var stopConsole func() error
	if suite.console, stopConsole, err = startConsole(dir); err != nil {
		return 1, err
	}
	demo := exec.Command(binary, "-addr", "127.0.0.1:0")
	demo.Stderr = os.Stderr
	stdout, err := demo.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := demo.Start(); err != nil {
		return 1, err
	}
	for lines := bufio.NewScanner(stdout); suite.url == "" && lines.Scan(); {
		_, suite.url, _ = strings.Cut(lines.Text(), "Open ")
	}
	go io.Copy(io.Discard, stdout)
	if suite.url == "" {
		return 1, fmt.Errorf("the demo printed no address: %w", demo.Wait())
	}
	code = m.Run()
	_ = demo.Process.Signal(os.Interrupt)
	return code, errors.Join(demo.Wait(), stopConsole(), goleak.Find())
}

// findChromium returns the path of the browser. It never skips, because a run without a browser shows nothing.
func findChromium() (string, error) {
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"}
	if given := os.Getenv("CHROMIUM"); given != "" {
		names = []string{given}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("found no browser (tried %s): install chromium, or set CHROMIUM to its path", strings.Join(names, ", "))
}

// profile is a browser with its own data folder and one page.
type profile struct {
	t   *testing.T
	ctx context.Context
}

// newProfile opens a browser. At the end of the test it closes the browser. It fails the test if the console of the
// page shows an error.
func newProfile(t *testing.T) *profile {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(suite.chromium),
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-sync", true),
		chromedp.WindowSize(1440, 900),
	)
	if os.Geteuid() == 0 {
		opts = append(opts, chromedp.NoSandbox)
	}
	ctx, expire := context.WithTimeout(context.Background(), time.Minute)
	ctx, stop := chromedp.NewExecAllocator(ctx, opts...)
	ctx, cancel := chromedp.NewContext(ctx)
	p := &profile{t: t, ctx: ctx}
	messages := chromedp.Console(ctx)
	listened := make(chan struct{})
	go func() {
		defer close(listened)
		for m, err := range messages {
			if err != nil {
				return // the browser is closed
			}
			if complains(m) {
				t.Errorf("the console: %s: %s %s", m.Type, m.Text, m.URL)
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		stop()
		expire()
		<-listened
	})
	p.do(chromedp.Navigate("about:blank"))
	return p
}

var asked = regexp.MustCompile("status of (409|502|503)")

// complains reports whether m is an error or a warning. The statuses 409, 502 and 503 are excepted, because the tests
// provoke them, and the missing and the forbidden page.
func complains(m chromedp.ConsoleMessage) bool {
	switch m.Type {
	case "error", "warning", "assert", chromedp.ConsoleException:
		return !asked.MatchString(m.Text) && !strings.HasSuffix(m.URL, missingPage) && !strings.HasSuffix(m.URL, forbiddenPage)
	}
	return false
}

func (p *profile) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// get runs an action and returns its value.
func get[T any](p *profile, a chromedp.Action[T]) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, a)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

func (p *profile) open() { p.t.Helper(); p.do(chromedp.Navigate(suite.url)) }

// click presses a control and waits for the next page.
func (p *profile) click(selector string) {
	p.t.Helper()
	if _, err := chromedp.RunResponse(p.ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		p.t.Fatalf("%s: %v", selector, err)
	}
}

func (p *profile) signIn(name string) {
	p.t.Helper()
	p.open()
	p.do(chromedp.SendKeys(chromedp.CSS("#user"), name))
	p.click("#sign-in")
	p.shows("Signed in as " + name)
}

func (p *profile) text() string {
	p.t.Helper()
	return get(p, chromedp.Evaluate[string]("document.body.innerText"))
}

// shows waits until the page contains text. After an outage a page goes on by itself, and the wait begins again.
func (p *profile) shows(text string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 20*time.Second)
	defer cancel()
	for {
		_, err := chromedp.Run(ctx, chromedp.PollFunction[bool]("(text) => document.body && document.body.innerText.includes(text)",
			chromedp.WithPollingArgs(text)))
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			p.t.Fatalf("the page does not say %q: %v\n%s", text, err, p.text())
		}
	}
}

func (p *profile) hides(text string) {
	p.t.Helper()
	if all := p.text(); strings.Contains(all, text) {
		p.t.Fatalf("the page says %q:\n%s", text, all)
	}
}

// evaluate returns the value of a script.
func evaluate[T any](p *profile, script string, opts ...chromedp.EvaluateOption) T {
	p.t.Helper()
	return get(p, chromedp.Evaluate[T](script, opts...))
}
