package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

// root returns the folder of the library. This module is used only in a
// checkout.
func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// goTest runs tests of the library and prints their results.
func (r *run) goTest(ctx context.Context, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-count=1"}, args...)...)
	cmd.Dir = root()
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		_, figure, logged := strings.Cut(line, "rounds.go:")
		switch {
		case err != nil:
			r.say("%s", strings.TrimRight(line, "\n"))
		case logged:
			_, figure, _ = strings.Cut(figure, ": ")
			r.say("%s", strings.TrimSpace(figure))
		case strings.HasPrefix(line, "ok"):
			r.say("%s", strings.TrimSpace(line))
		}
	}
	if err != nil {
		return fmt.Errorf("go test %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// proveRaces measures figure 1 and proveWrites figure 2, using the tests of
// package stress.
func proveRaces(ctx context.Context, r *run) error {
	if r.short {
		return r.stress(ctx, "TestSignOut_TwoProcesses/all") // the gate runs all of them with the library's tests
	}
	return r.stress(ctx, "TestSignOut_TwoProcesses|TestSignIn_TwoProcesses")
}

func proveWrites(ctx context.Context, r *run) error {
	return r.stress(ctx, "TestSet_TwoProcesses|TestUpdate_TwoProcesses")
}

func (r *run) stress(ctx context.Context, tests string) error {
	server, err := r.server("--standalone")
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	env := []string{"MONGO_URI=" + server.URI}
	if !r.short {
		env = append(env, "STRESS=full")
	}
	return r.goTest(ctx, env, "-v", "-timeout=60m", "-run="+tests, "./internal/stress")
}

// proveSuites measures figure 10: the library's own tests, on a standalone
// server and on a replica set of one member.
func proveSuites(ctx context.Context, r *run) error {
	packages := []string{"./mongostore"}
	if !r.short {
		var err error
		if packages, err = tested(ctx); err != nil {
			return err
		}
	}
	for _, kind := range [][]string{{"standalone", "--standalone"}, {"replica set"}} {
		if r.short && kind[0] != "standalone" {
			continue // the gate has such a stage itself
		}
		r.say("-race on SecantusDB, %s:", kind[0])
		for _, pkg := range packages {
			if err := r.suite(ctx, pkg, kind[1:]); err != nil {
				return err
			}
		}
	}
	return r.protocols(ctx)
}

// tested returns the packages of the library with tests.
func tested(ctx context.Context) ([]string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}", "./...")
	cmd.Dir = root()
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cmd, err)
	}
	return strings.Fields(string(out)), nil
}

// suite runs a package's tests on a new server. With a shared replica set,
// SecantusDB would search all retryable writes of half an hour at each new one.
func (r *run) suite(ctx context.Context, pkg string, args []string) error {
	server, err := r.server(args...)
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	return r.goTest(ctx, []string{"MONGO_URI=" + server.URI}, "-race", "-shuffle=on", "-short", "-timeout=30m", pkg)
}

// protocols signs in, makes a change and signs out with both versions of HTTP,
// over TLS and with a cookie jar.
func (r *run) protocols(ctx context.Context) error {
	server, err := r.server("--standalone")
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	store, err := mongostore.Open(ctx, server.URI)
	if err != nil {
		return err
	}
	defer store.Close(ctx)
	a := new(app)
	if a.sessions, err = session.New(store, newSecret()); err != nil {
		return err
	}
	for _, h2 := range []bool{false, true} {
		if err := walkThrough(a, h2); err != nil {
			return err
		}
	}
	r.say("sign-in, change and sign-out with HTTP/1.1 and HTTP/2: as expected")
	return nil
}

func walkThrough(a *app, h2 bool) error {
	server := httptest.NewUnstartedServer(a.handler())
	server.EnableHTTP2 = h2
	server.StartTLS()
	defer server.Close()
	c := server.Client()
	c.Transport.(*http.Transport).ForceAttemptHTTP2 = h2
	if !h2 {
		c.Transport.(*http.Transport).TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	c.Jar, _ = cookiejar.New(nil)
	steps := []struct{ method, path, want string }{
		{"POST", "/login?user=ann", `"User":"ann","Count":0`},
		{"POST", "/count", `"Count":1`},
		{"POST", "/cart?item=x", `"Cart":["x"]`},
		{"GET", "/me", `"User":"ann","Count":1,"Cart":["x"]`},
		{"POST", "/logout", `"User":""`},
		{"GET", "/me", `"ID":"","User":""`},
	}
	for _, s := range steps {
		req, _ := http.NewRequest(s.method, server.URL+s.path, nil)
		res, err := c.Do(req)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || (res.ProtoMajor == 2) != h2 || !strings.Contains(string(body), s.want) {
			return fmt.Errorf("%s %s with %s: %d %s, want %s: %v", s.method, s.path, res.Proto, res.StatusCode, body, s.want, err)
		}
	}
	return nil
}
