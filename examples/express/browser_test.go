package main

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session/internal/devmongo/devserver"
)

// The page in a browser, on the database that a fresh clone has.
func TestPage_RetireExpress(t *testing.T) {
	p := newBrowser(t, startDemo(t))
	p.looks("anonymous")
	p.do(chromedp.SendKeys(chromedp.CSS("#user"), "Ada"))
	p.click("#sign-in button")
	p.shows("You are Ada, in Express and in Go.")
	p.click("#express .body button")
	p.shows("Express added bread.")
	p.click("#go .body button")
	p.shows("Go added tea.")
	require.Equal(t, []string{"bread", "tea"}, p.cart("express"))
	require.Equal(t, []string{"bread", "tea"}, p.cart("go"))
	p.looks("both")

	p.click("#retire")
	p.shows("Express is gone, and you are still signed in.")
	p.shows("You are Ada, in Go.")
	require.Equal(t, []string{"bread", "tea"}, p.cart("go"))
	p.looks("retired")

	p.click("#return")
	p.shows("You are Ada, in Express and in Go.")
	p.click("#go .body button:last-of-type")
	p.shows("Go has signed you out everywhere.")
	require.Equal(t, "not signed in", p.text("#express .user"))
	require.Equal(t, "not signed in", p.text("#go .user"))
}

// startDemo returns the address of a demo on the embedded server.
func startDemo(t *testing.T) string {
	t.Helper()
	dir, err := findNode(t.Context())
	require.NoError(t, err)
	server, err := devserver.Start(t.Context(), devserver.WithEngine(devserver.EngineFerretDB))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Close()) })
	d, err := newDemo(context.Background(), server, dir)
	require.NoError(t, err)
	t.Cleanup(d.close)
	srv := httptest.NewServer(d.handler())
	t.Cleanup(srv.Close)
	return srv.URL
}

type browser struct {
	t   *testing.T
	ctx context.Context
}

// newBrowser opens the page. It fails the test if the console of the page shows an error.
func newBrowser(t *testing.T, url string) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		path, err = exec.LookPath("google-chrome")
	}
	require.NoError(t, err, "install chromium")
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-sync", true))
	if os.Geteuid() == 0 {
		opts = append(opts, chromedp.NoSandbox)
	}
	ctx, expire := context.WithTimeout(context.Background(), time.Minute)
	ctx, stop := chromedp.NewExecAllocator(ctx, opts...)
	ctx, cancel := chromedp.NewContext(ctx)
	messages, listened := chromedp.Console(ctx), make(chan struct{})
	go func() {
		defer close(listened)
		for m, err := range messages {
			if err != nil {
				return // the browser is closed
			}
			t.Errorf("the console: %s: %s", m.Type, m.Text)
		}
	}()
	t.Cleanup(func() {
		cancel()
		stop()
		expire()
		<-listened
	})
	p := &browser{t, ctx}
	p.do(chromedp.Navigate(url))
	p.shows("not signed in")
	return p
}

func (p *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	require.NoError(p.t, chromedp.Do(p.ctx, steps...))
}

func (p *browser) click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS(selector)))
}

// shows waits until the page contains text.
func (p *browser) shows(text string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 20*time.Second)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.PollFunction[bool]("(text) => document.body && document.body.innerText.includes(text)", chromedp.WithPollingArgs(text)))
	require.NoError(p.t, err, "the page does not say %q", text)
}

func evaluate[T any](p *browser, script string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](script))
	require.NoError(p.t, err)
	return v
}

func (p *browser) text(selector string) string {
	p.t.Helper()
	return evaluate[string](p, fmt.Sprintf("document.querySelector(%q).textContent", selector))
}

func (p *browser) cart(app string) []string {
	p.t.Helper()
	return evaluate[[]string](p, fmt.Sprintf("[...document.querySelectorAll('#%s .cart li')].map((li) => li.textContent)", app))
}

// looks checks that the page fits each window, and that its controls are at least 24 pixels high and wide (WCAG 2.2,
// 2.5.8). It keeps pictures in the folder screenshots, which git ignores.
func (p *browser) looks(name string) {
	p.t.Helper()
	require.NoError(p.t, os.MkdirAll("screenshots", 0o755))
	for _, scheme := range []string{"light", "dark"} {
		features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
		_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
		require.NoError(p.t, err)
		for _, width := range []int64{375, 1440} {
			p.do(chromedp.EmulateViewport(width, 900))
			assert.LessOrEqual(p.t, evaluate[int64](p, "document.documentElement.scrollWidth"), width, "%s at %d px is too wide", name, width)
			small := evaluate[[]string](p, `[...document.querySelectorAll("button, input")].filter((e) => e.checkVisibility())
				.filter((e) => { const r = e.getBoundingClientRect(); return r.width < 24 || r.height < 24 }).map((e) => e.outerHTML)`)
			assert.Empty(p.t, small)
			picture, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
			require.NoError(p.t, err)
			require.NoError(p.t, os.WriteFile(filepath.Join("screenshots", fmt.Sprintf("%s-%d-%s.png", name, width, scheme)), picture, 0o644))
		}
	}
}

// Without Node.js, or with an old one, the command says what to install.
func TestRun_WithoutNode(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := run(t.Context(), "127.0.0.1:0")
	require.ErrorContains(t, err, "install Node.js 20 or later with npm")
}

func TestRun_OldNode(t *testing.T) {
	dir := t.TempDir()
	for name, script := range map[string]string{"node": "#!/bin/sh\necho v18.1.0\n", "npm": "#!/bin/sh\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755))
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	err := run(t.Context(), "127.0.0.1:0")
	require.ErrorContains(t, err, "needs Node.js 20 or later, and node is 18.1.0")
}

func TestRun_OutsideItsFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	err := run(t.Context(), "127.0.0.1:0")
	require.ErrorContains(t, err, "go run -C examples/express .")
}

// The command as a person starts it, in a copy of the folder without node_modules.
func TestCommand_InstallsAndServes(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "express")
	out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	for _, name := range []string{"package.json", "package-lock.json", "shop.js", "keywise-store.js"} {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
	}
	cmd := exec.Command(binary, "-addr", "127.0.0.1:0")
	cmd.Dir = dir
	t.Setenv("MONGO_URI", "")
	require.NoError(t, os.Unsetenv("MONGO_URI")) // Setenv restores it
	cmd.Env = append(os.Environ(), "DEVMONGO_ENGINE=ferretdb")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	var output strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(output.String(), "Ctrl-C") {
		n, err := stdout.Read(buf)
		output.Write(buf[:n])
		require.NoError(t, err, output.String())
	}
	_, url, _ := strings.Cut(output.String(), "Open ")
	url, _, _ = strings.Cut(url, "\n")
	v := (&site{t: t, url: url}).visitor()
	v.post("/express/login?user=ada")
	require.Equal(t, "ada", v.state("go").User)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait())
}
