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

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m)) }

// replica is a process of a program on an address of its own.
type replica struct {
	addr string
	cmd  *exec.Cmd
}

func build(t *testing.T, dir string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "program")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, dir).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return binary
}

// mongoURI names a database that is dropped when the test ends.
func mongoURI(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(testserver.Get(t).URI)
	require.NoError(t, err)
	u.Path = "/" + testserver.Collection(t).Database().Name()
	if q := u.Query(); u.User != nil && !q.Has("authSource") {
		q.Set("authSource", "admin") // otherwise the path would name it
		u.RawQuery = q.Encode()
	}
	return u.String()
}

func start(t *testing.T, binary, mongo string) *replica {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &replica{addr: ln.Addr().String()}
	ln.Close()
	p.cmd = exec.CommandContext(t.Context(), binary)
	p.cmd.Env = append(os.Environ(), "MONGO_URI="+mongo, "SESSION_SECRET=a secret of a test, of 32 bytes.", "ADDR="+p.addr)
	p.cmd.Stderr = os.Stderr
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.kill)
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", p.addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, 30*time.Second, 20*time.Millisecond)
	return p
}

func (p *replica) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// browser shares its cookies between replicas, as browsers do between ports.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
}

func body(t *testing.T, resp *http.Response, err error) string {
	t.Helper()
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(text)
}

func get(t *testing.T, b *http.Client, p *replica, path string) string {
	t.Helper()
	resp, err := b.Get("http://" + p.addr + path)
	return body(t, resp, err)
}

func TestTutorial(t *testing.T) {
	mongo := mongoURI(t)
	b := browser(t)

	first := start(t, build(t, "./count"), mongo)
	for i := range 3 {
		require.Equal(t, fmt.Sprintf("Visit %d\n", i+1), get(t, b, first, "/"))
	}
	first.kill()

	binary := build(t, ".")
	one := start(t, binary, mongo)
	require.Equal(t, "Visit 4\n", get(t, b, one, "/"))
	require.Contains(t, get(t, b, one, "/account"), "Sign in", "the page is protected")

	form := url.Values{"user": {"ann"}, "password": {"guess"}}
	resp, err := b.PostForm("http://"+one.addr+"/login", form)
	require.Contains(t, body(t, resp, err), "Wrong name or password.")
	form.Set("password", "correct horse")
	resp, err = b.PostForm("http://"+one.addr+"/login", form)
	require.Contains(t, body(t, resp, err), "You are ann. Visits: 4.", "the value survives the sign-in")

	two := start(t, binary, mongo)
	require.Contains(t, get(t, b, two, "/account"), "You are ann.")
	one.kill()
	require.Equal(t, "Visit 5\n", get(t, b, two, "/"))

	resp, err = b.PostForm("http://"+two.addr+"/logout", nil)
	require.Equal(t, "Visit 1\n", body(t, resp, err))
	require.True(t, strings.Contains(get(t, b, two, "/account"), "Sign in"))
}
