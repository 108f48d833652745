package readme_test

import (
	"archive/zip"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session/internal/testserver"
)

const version = "v0.0.1"

// proxied returns a GOPROXY with this working copy as a release. Other modules come
// from the module cache if possible.
func proxied(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	versions := filepath.Join(dir, "github.com/holdfast-go/session/@v")
	require.NoError(t, os.MkdirAll(versions, 0o755))
	mod := read(t, root+"/go.mod")
	for name, text := range map[string]string{
		"list": version + "\n", version + ".mod": mod, version + ".info": `{"Version":"` + version + `","Time":"2026-01-01T00:00:00Z"}`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(versions, name), []byte(text), 0o644))
	}
	out, err := os.Create(filepath.Join(versions, version+".zip"))
	require.NoError(t, err)
	w := zip.NewWriter(out)
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, err := os.Stat(filepath.Join(path, "go.mod"))
			if path != root && (err == nil || strings.HasPrefix(d.Name(), ".")) {
				return fs.SkipDir
			}
			return nil
		}
		if name := d.Name(); filepath.Ext(name) != ".go" && name != "go.mod" {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		f, err := w.Create("github.com/holdfast-go/session@" + version + "/" + filepath.ToSlash(rel))
		if err != nil {
			return err
		}
		_, err = f.Write([]byte(read(t, path)))
		return err
	}))
	require.NoError(t, w.Close())
	require.NoError(t, out.Close())
	env, err := exec.CommandContext(t.Context(), "go", "env", "GOMODCACHE", "GOPROXY").Output()
	require.NoError(t, err)
	cache, proxy, _ := strings.Cut(strings.TrimSpace(string(env)), "\n")
	return "file://" + dir + ",file://" + cache + "/cache/download," + proxy
}

// script returns the commands of the first block of page with the command last. It
// omits the commands for MongoDB, because the tests have a server.
func script(t *testing.T, page, last string) string {
	t.Helper()
	for _, block := range blocks(read(t, root+page), "sh") {
		if strings.Contains(block, last) {
			block = regexp.MustCompile(`(?m)^(docker run|export MONGO_URI=).*\n`).ReplaceAllString(block, "")
			return strings.Replace(block, last, "exec "+last, 1)
		}
	}
	require.Fail(t, "no block of "+page+" has the command "+last)
	return ""
}

// served runs the commands in a new folder with the files. When the program
// answers, it calls f with the address.
func served(t *testing.T, commands string, files map[string]string, f func(base string)) {
	t.Helper()
	u, err := url.Parse(testserver.Get(t).URI)
	require.NoError(t, err)
	u.Path = "/" + testserver.Collection(t).Database().Name()
	if q := u.Query(); u.User != nil && !q.Has("authSource") {
		q.Set("authSource", "admin")
		u.RawQuery = q.Encode()
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := ln.Addr().String()
	ln.Close()
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", commands)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "MONGO_URI="+u.String(), "ADDR="+addr, "SESSION_SECRET=",
		"GOPROXY="+proxied(t), "GOSUMDB=off", "GOWORK=off", "GOFLAGS=-modcacherw", "GOMODCACHE="+t.TempDir())
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // otherwise the program outlives go run
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		resp, err := client.Get("http://" + addr + "/healthz")
		if err == nil {
			resp.Body.Close()
			f("http://" + addr)
			return
		}
		select {
		case err := <-ended:
			ended <- err
			require.Fail(t, "the commands have ended", "%v", err)
		default:
		}
		require.True(t, time.Now().Before(deadline), "the program does not answer: %v", err)
	}
}

// The program is saved as main.go in an empty folder, and the commands of the page
// are run there, as by a reader without a clone of this repository.
func TestProgramOfTheReadme(t *testing.T) {
	files := map[string]string{"main.go": read(t, root+"/examples/minimal/main.go")}
	commands := script(t, "/README.md", "go run .")
	// The opening screen has this command. The program's import lines are enough.
	commands = strings.Replace(commands, "go mod tidy", "go get github.com/holdfast-go/session\ngo mod tidy", 1)
	served(t, commands, files, func(base string) {
		resp, err := http.Get(base + "/")
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.Len(t, resp.Cookies(), 1)
	})
}
