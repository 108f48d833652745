package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m)) }

const secret = "kb3pHcgEbCzUFKqY7LmDP2nXvQs9rTwA"

// TestProxy runs each proxy with its configuration from this folder, in front of
// two processes of the program.
func TestProxy(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "shop")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)

	for _, proxy := range []struct {
		name, file string
		args       []string // before the name of the file
	}{
		{"nginx", "nginx.conf", []string{"-g", "daemon off; pid nginx.pid; error_log stderr;", "-p", ".", "-c"}},
		{"caddy", "Caddyfile", []string{"run", "--adapter", "caddyfile", "--config"}},
		{"haproxy", "haproxy.cfg", []string{"-db", "-f"}},
	} {
		t.Run(proxy.name, func(t *testing.T) {
			path, err := exec.LookPath(proxy.name)
			if err != nil {
				t.Skipf("%s is not installed: apt-get install %[1]s", proxy.name)
			}
			uri := databaseURI(t)
			replicas := []*replica{start(t, binary, "app-1", uri), start(t, binary, "app-2", uri)}
			dir, roots := configure(t, proxy.file, replicas)
			address := "127.0.0.1:" + port(t)
			replace(t, filepath.Join(dir, proxy.file), map[string]string{
				"listen 443 ssl": "listen " + address + " ssl", "bind :443": "bind " + address,
				"shop.example.com {": "{\n\tadmin off\n\tauto_https off\n\tstorage file_system " + dir +
					"\n}\nhttps://shop.example.com:" + address[len("127.0.0.1:"):] + " {\n\tbind 127.0.0.1",
			})
			runProxy(t, dir, path, append(proxy.args, filepath.Join(dir, proxy.file)))

			v := newVisitor(t, address, roots)
			v.awaits(t, "https://shop.example.com/livez")
			testThroughProxy(t, v, replicas)
		})
	}
}

func testThroughProxy(t *testing.T, v *visitor, replicas []*replica) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://shop.example.com/login", nil)
	require.NoError(t, err)
	r.Header.Set("Origin", "https://shop.example.com") // as browsers send it
	resp, err := v.Do(r)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Len(t, resp.Cookies(), 1)
	require.True(t, resp.Cookies()[0].Secure)
	require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))

	r.Header.Set("Origin", "https://evil.example")
	resp, err = v.Do(r)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusForbidden, resp.StatusCode)

	seen := map[string]bool{}
	for range 6 {
		resp, body := v.home(t)
		require.Contains(t, body, `user "ann" from 127.0.0.2,`)
		seen[resp.Header.Get("X-Replica")] = true
	}
	require.Len(t, seen, 2, "the proxy uses both replicas")

	replicas[0].kill() // SIGKILL
	for range 6 {
		_, body := v.home(t)
		require.Contains(t, body, `user "ann" from 127.0.0.2,`)
	}
	require.NoError(t, replicas[1].cmd.Process.Signal(os.Interrupt))
	require.NoError(t, replicas[1].cmd.Wait(), "the program ends in order")
	for _, replica := range replicas {
		require.NotContains(t, replica.log.String(), "plain HTTP")
	}
}

// visitor is a browser whose address is 127.0.0.2. It sends a false address in
// a header.
type visitor struct{ *http.Client }

func newVisitor(t *testing.T, address string, roots *x509.CertPool) *visitor {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		},
		TLSClientConfig: &tls.Config{RootCAs: roots},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &visitor{&http.Client{Jar: jar, Transport: transport, Timeout: time.Minute}}
}

func (v *visitor) home(t *testing.T) (*http.Response, string) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://shop.example.com/", nil)
	require.NoError(t, err)
	r.Header.Set("X-Forwarded-For", "203.0.113.66")
	r.Header.Set("X-Forwarded-Proto", "http")
	resp, err := v.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s", body)
	return resp, string(body)
}

func (v *visitor) awaits(t *testing.T, url string) {
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		resp, err := v.Get(url)
		if assert.NoError(c, err) {
			resp.Body.Close()
			assert.Equal(c, http.StatusOK, resp.StatusCode)
		}
	}, 30*time.Second, 50*time.Millisecond)
}

// replica is a process of the program.
type replica struct {
	cmd     *exec.Cmd
	address string
	log     strings.Builder
}

func start(t *testing.T, binary, name, uri string) *replica {
	r := &replica{cmd: exec.CommandContext(t.Context(), binary), address: "127.0.0.1:" + port(t)}
	r.cmd.Env = []string{
		"MONGO_URI=" + uri, "SESSION_SECRET=" + secret, "TRUSTED_PROXIES=127.0.0.1/32", "ADDR=" + r.address, "HOSTNAME=" + name,
	}
	r.cmd.Stdout, r.cmd.Stderr = &r.log, &r.log
	require.NoError(t, r.cmd.Start())
	t.Cleanup(r.kill)
	return r
}

func (r *replica) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// runProxy runs a proxy until the end of the test. Its context must not end before
// the cleanup. A master process of nginx that is killed leaves its workers behind.
func runProxy(t *testing.T, dir, path string, args []string) {
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), path, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir)
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("log of the proxy:\n%s", text)
		}
	})
}

// configure copies the configuration of a proxy into a new folder, with a new
// certificate and the addresses of the replicas.
func configure(t *testing.T, file string, replicas []*replica) (dir string, roots *x509.CertPool) {
	dir = t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"shop.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	secretKey := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	config, err := os.ReadFile(filepath.Join("proxies", file))
	require.NoError(t, err)
	for name, data := range map[string][]byte{
		"tls.crt": crt, "tls.key": secretKey, "tls.pem": append(crt, secretKey...), file: config,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	replace(t, filepath.Join(dir, file), map[string]string{
		"/etc/ssl/shop": dir, "app-1:8080": replicas[0].address, "app-2:8080": replicas[1].address,
	})
	roots = x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(crt))
	return dir, roots
}

// replace replaces texts in a file.
func replace(t *testing.T, path string, texts map[string]string) {
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	text := string(data)
	for old, by := range texts {
		text = strings.ReplaceAll(text, old, by)
	}
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// port returns a free port.
func port(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

// databaseURI returns the URI of a new database.
func databaseURI(t *testing.T) string {
	u, err := url.Parse(testserver.Get(t).URI)
	require.NoError(t, err)
	u.Path = "/" + testserver.Collection(t).Database().Name()
	return u.String()
}
