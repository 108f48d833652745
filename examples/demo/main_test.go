package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-go/session/internal/testserver"
)

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "demo-*")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "demo")
	code := 1
	if out, err := exec.Command("go", "build", "-race="+race(), "-o", binary, ".").CombinedOutput(); err != nil {
		os.Stderr.Write(out)
	} else {
		code = testserver.Main(m)
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// race reports whether the tests run with the race detector. Then the demo does too.
func race() string {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value
		}
	}
	return "false"
}

// demo is a running demo. Its processes share its standard error, which ends when the last process has ended.
type demo struct {
	cmd    *exec.Cmd
	stdout io.Reader
	gone   chan struct{} // closed when all processes have ended
	stderr *bytes.Buffer // read it only after gone is closed
}

func start(t *testing.T, args ...string) *demo {
	t.Helper()
	r := &demo{cmd: exec.Command(binary, args...), gone: make(chan struct{}), stderr: new(bytes.Buffer)}
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a process group of its own, as a shell gives it
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stderr = writer
	if r.stdout, err = r.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	go func() {
		defer close(r.gone)
		_, _ = io.Copy(r.stderr, reader)
		reader.Close()
	}()
	t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	return r
}

// leavesNothing waits until the last process has ended and returns their standard error.
func (r *demo) leavesNothing(t *testing.T) string {
	t.Helper()
	select {
	case <-r.gone:
		return r.stderr.String()
	case <-time.After(20 * time.Second):
		t.Fatal("a process of the demo is left")
		return ""
	}
}

func TestCheck_EveryPromise(t *testing.T) {
	r := start(t, "-check")
	out, err := io.ReadAll(r.stdout)
	if err != nil {
		t.Fatal(err)
	}
	err = r.cmd.Wait()
	stderr := r.leavesNothing(t)
	t.Logf("%s\n%s", out, stderr)
	if err != nil {
		t.Error(err)
	}
	count := func(prefix string) int {
		return len(regexp.MustCompile("(?m)^"+prefix+" ").FindAllIndex(out, -1))
	}
	if ok, skipped := count("ok"), count("skip"); ok+skipped != len(promises) || skipped > 1 || count("FAIL") > 0 {
		t.Errorf("%d ok, %d skipped, want %d in all and at most the outage skipped", ok, skipped, len(promises))
	}
	if strings.Contains(stderr, "DATA RACE") {
		t.Error("a race")
	}
}

// open starts the demo without -check and returns the printed address.
func open(t *testing.T) (*demo, string) {
	t.Helper()
	r := start(t, "-addr", "127.0.0.1:0")
	lines := bufio.NewScanner(r.stdout)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), "Open "); ok {
			go io.Copy(io.Discard, r.stdout)
			return r, url
		}
	}
	_ = r.cmd.Wait()
	t.Fatalf("no address was printed: %s", r.leavesNothing(t))
	return nil, ""
}

func TestStop_Interrupt(t *testing.T) {
	r, url := open(t)
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode != http.StatusOK || !bytes.Contains(body, []byte("</html>")) {
		t.Errorf("%v %v\n%s", res.Status, err, body)
	}
	if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("Content-Security-Policy: %q", csp)
	}
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Wait(); err != nil {
		t.Error("after Ctrl-C:", err)
	}
	if stderr := r.leavesNothing(t); stderr != "" {
		t.Errorf("it complained: %s", stderr)
	}
}

// A terminal sends Ctrl-C to the whole process group, and a service manager often sends SIGTERM to all processes.
func TestStop_SignalToAllProcesses(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(signal.String(), func(t *testing.T) {
			r, _ := open(t)
			if err := syscall.Kill(-r.cmd.Process.Pid, signal); err != nil {
				t.Fatal(err)
			}
			if err := r.cmd.Wait(); err != nil {
				t.Error(err)
			}
			if stderr := r.leavesNothing(t); stderr != "" {
				t.Errorf("it complained: %s", stderr)
			}
		})
	}
}

// closedPort returns an address that refuses connections.
func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	return ln.Addr().String()
}

func TestStart_UnusableDatabase(t *testing.T) {
	addr := closedPort(t)
	for uri, want := range map[string]string{
		"":                        "MONGO_URI is set but empty",
		"localhost":               "MONGO_URI is malformed",
		"mongodb://" + addr + "/": "no answer from " + addr,
	} {
		t.Run(want, func(t *testing.T) {
			t.Setenv("MONGO_URI", uri)
			r := start(t, "-addr", "127.0.0.1:0")
			_, _ = io.Copy(io.Discard, r.stdout)
			var exit *exec.ExitError
			if err := r.cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("it ended with %v, want exit status 1", err)
			}
			stderr := r.leavesNothing(t)
			if !strings.Contains(stderr, want) || strings.Contains(stderr, "panic") || strings.Contains(stderr, "EOF") {
				t.Errorf("it said %q, want %q", stderr, want)
			}
		})
	}
}

func TestStop_Killed(t *testing.T) {
	r, _ := open(t)
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = r.cmd.Wait()
	r.leavesNothing(t)
}

func TestControls_OtherSitesRefused(t *testing.T) {
	r, url := open(t)
	for name, c := range map[string]struct {
		header, value string
		status        int
	}{
		"another site":     {"Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		"another origin":   {"Origin", "http://example.com", http.StatusForbidden},
		"this very origin": {"Origin", url, http.StatusSeeOther},
	} {
		for _, path := range []string{"/demo/kill", "/count"} {
			req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url+path, strings.NewReader(""))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set(c.header, c.value)
			res, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != c.status {
				t.Errorf("%s: %s: %d, want %d", name, path, res.StatusCode, c.status)
			}
		}
	}
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Wait(); err != nil {
		t.Error(err)
	}
	r.leavesNothing(t)
}

func TestRun_InvalidArguments(t *testing.T) {
	for arg, want := range map[string]string{
		"extra":      `unexpected argument "extra"`,
		"-addr=nope": "nope",
	} {
		out, err := exec.Command(binary, arg).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v: %s", arg, err, out)
		}
	}
}

func TestGated_URI(t *testing.T) {
	for _, c := range []struct{ uri, host, want string }{
		{"mongodb://127.0.0.1:4000/", "127.0.0.1:4000", "mongodb://gate:1/?directConnection=true"},
		{"mongodb://h", "h:27017", "mongodb://gate:1/?directConnection=true"},
		{"mongodb://u:p%40@h:1/db?replicaSet=rs", "h:1", "mongodb://u:p%40@gate:1/db?replicaSet=rs&directConnection=true"},
		{"mongodb://h:1/?directConnection=true&appName=x", "h:1", "mongodb://gate:1/?directConnection=true&appName=x"},
		{"mongodb://[::1]:1/", "[::1]:1", "mongodb://gate:1/?directConnection=true"},
		{"mongodb://a:1,b:1/", "", ""},
		{"mongodb://h:1/?tls=true", "", ""},
		{"mongodb+srv://h/", "", ""},
	} {
		got, ok := gated(c.uri, "gate:1")
		if ok != (c.want != "") {
			t.Errorf("%s: gated %v", c.uri, ok)
		}
		if !ok {
			continue
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.uri, got, c.want)
		}
		if host := hostOf(c.uri); host != c.host {
			t.Errorf("%s: host %s, want %s", c.uri, host, c.host)
		}
	}
}
