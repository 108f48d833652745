package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/session/internal/testserver"
)

var binary string // of the program, built once

func TestMain(m *testing.M) { os.Exit(buildAnd(m)) }

func buildAnd(m *testing.M) int {
	dir, err := os.MkdirTemp("", "minimal")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "minimal")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return testserver.Main(m)
}

const (
	oldSecret = "kb3pHcgEbCzUFKqY7LmDP2nXvQs9rTwA"
	newSecret = "Zr8uNf4JtMxVeWyGh6aCqB1oSd5kLi7P"
)

// plain is a client without cookies, which keeps no connection.
var plain = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// program is the program under test. Each start is a new process.
type program struct {
	addr, mongoURI string
	cmd            *exec.Cmd
}

func command(t *testing.T, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), binary)
	// A developer's settings must have no influence, so the environment of the test is left out.
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	return cmd
}

// start returns when the program serves.
func (p *program) start(t *testing.T, env ...string) {
	t.Helper()
	p.cmd = command(t, append(env, "MONGO_URI="+p.mongoURI, "ADDR="+p.addr)...)
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	p.await(t)
}

// await polls until the program answers.
func (p *program) await(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := plain.Get("http://" + p.addr + "/healthz")
		if err == nil {
			resp.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the program does not serve: %v", err)
		}
	}
}

// kill ends the program with SIGKILL, without any clean-up.
func (p *program) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		p.cmd = nil
	}
}

// browser keeps cookies.
type browser struct {
	*http.Client
	base string
}

func newBrowser(t *testing.T, addr string) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{&http.Client{Jar: jar, Transport: transport}, "http://" + addr}
}

// sees fails the test unless the page contains all texts.
func (b *browser) sees(t *testing.T, texts ...string) {
	t.Helper()
	resp, err := b.Get(b.base + "/")
	if err != nil {
		t.Fatal(err)
	}
	check(t, resp, http.StatusOK, texts...)
}

func (b *browser) post(t *testing.T, path string, form url.Values) *http.Response {
	t.Helper()
	resp, err := b.PostForm(b.base+path, form)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func check(t *testing.T, resp *http.Response, status int, texts ...string) {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Errorf("%s: status %d, want %d: %s", resp.Request.URL.Path, resp.StatusCode, status, body)
	}
	for _, text := range texts {
		if !strings.Contains(string(body), text) {
			t.Errorf("%s does not say %q:\n%s", resp.Request.URL.Path, text, body)
		}
	}
}

var ann = url.Values{"user": {"ann"}, "password": {"correct horse"}}

func serving(t *testing.T) *program {
	t.Helper()
	p := new(program)
	db := testserver.Collection(t).Database().Name() // dropped when the test ends
	u, err := url.Parse(testserver.Get(t).URI)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + db
	if q := u.Query(); u.User != nil && !q.Has("authSource") {
		q.Set("authSource", "admin") // otherwise the path would name it
		u.RawQuery = q.Encode()
	}
	p.mongoURI = u.String()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = ln.Addr().String()
	ln.Close()
	return p
}

func TestSession_SurvivesKill(t *testing.T) {
	p := serving(t)
	p.start(t, "SESSION_SECRET="+oldSecret)
	b := newBrowser(t, p.addr)
	b.sees(t, "Visit 1", "Sign in")
	b.sees(t, "Visit 2", "Sign in")

	check(t, b.post(t, "/login", url.Values{"user": {"ann"}, "password": {"guess"}}), http.StatusForbidden, "Wrong name")
	check(t, b.post(t, "/login", ann), http.StatusOK, "Visit 3", "You are ann.")

	p.kill()
	p.start(t, "SESSION_SECRET="+oldSecret)
	b.sees(t, "Visit 4", "You are ann.")

	other := newBrowser(t, p.addr)
	other.sees(t, "Visit 1", "Sign in")

	signedIn := b.Jar.Cookies(&url.URL{Scheme: "http", Host: p.addr})
	check(t, b.post(t, "/logout", nil), http.StatusOK, "Visit 1", "Sign in")
	b.sees(t, "Visit 2", "Sign in")

	thief := newBrowser(t, p.addr)
	thief.Jar.SetCookies(&url.URL{Scheme: "https", Host: p.addr}, signedIn)
	thief.sees(t, "Visit 1", "Sign in")
}

// The rotation of the secret in three deployments, by environment variables only.
func TestSecretRotation_KeepsSignIns(t *testing.T) {
	p := serving(t)
	p.start(t, "SESSION_SECRET="+oldSecret)
	early := newBrowser(t, p.addr)
	check(t, early.post(t, "/login", ann), http.StatusOK, "Visit 1", "You are ann.")
	for i, env := range [][]string{
		{"SESSION_SECRET=" + oldSecret, "SESSION_SECRET_ALSO=" + newSecret},
		{"SESSION_SECRET=" + newSecret, "SESSION_SECRET_ALSO=" + oldSecret},
	} {
		p.kill()
		p.start(t, env...)
		early.sees(t, fmt.Sprintf("Visit %d", i+2), "You are ann.")
	}
	late := newBrowser(t, p.addr)
	check(t, late.post(t, "/login", ann), http.StatusOK, "You are ann.")

	p.kill()
	p.start(t, "SESSION_SECRET="+newSecret)
	late.sees(t, "You are ann.")
	early.sees(t, "Visit 1", "Sign in") // so the last deployment must wait for the longest lifetime
}

func TestSite_OutsideWrap(t *testing.T) {
	p := serving(t)
	p.start(t, "SESSION_SECRET="+oldSecret)
	health, err := plain.Get("http://" + p.addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	if len(health.Cookies()) > 0 || health.Header.Get("Vary") != "" {
		t.Errorf("/healthz reads the session: %v", health.Header)
	}
	check(t, health, http.StatusOK)
	r, err := http.NewRequest(http.MethodPost, "http://"+p.addr+"/login", strings.NewReader(ann.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := plain.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	check(t, resp, http.StatusForbidden, "cross-origin")
}

func TestStart_InvalidEnvironment(t *testing.T) {
	uri := testserver.Get(t).URI
	for name, tc := range map[string]struct {
		env  []string
		want string
	}{
		"no MONGO_URI":      {[]string{"SESSION_SECRET=" + oldSecret}, "is the environment variable MONGO_URI set?"},
		"no SESSION_SECRET": {[]string{"MONGO_URI=" + uri}, "the secret (often the environment variable SESSION_SECRET) is empty; make one with: openssl rand -base64 32"},
		"a short secret":    {[]string{"MONGO_URI=" + uri, "SESSION_SECRET=short"}, "has 5 bytes, want at least 32"},
	} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			out, err := command(t, tc.env...).CombinedOutput()
			if err == nil || !strings.Contains(string(out), tc.want) {
				t.Errorf("it ended with %v and said:\n%s\nwant a failure that says %q", err, out, tc.want)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			if !strings.Contains(lines[len(lines)-1], tc.want) || strings.Contains(string(out), "goroutine") {
				t.Errorf("want that as the last line and no stack, got:\n%s", out)
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}
