package main

import (
	"archive/zip"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// release writes the module in folder as version v0.1.0 into a GOPROXY in dir.
func release(t *testing.T, dir, module, folder string) {
	t.Helper()
	const version = "v0.1.0"
	versions := filepath.Join(dir, module, "@v")
	require.NoError(t, os.MkdirAll(versions, 0o755))
	mod, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	require.NoError(t, err)
	for name, text := range map[string]string{
		"list": version + "\n", version + ".mod": string(mod), version + ".info": `{"Version":"` + version + `","Time":"2026-01-01T00:00:00Z"}`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(versions, name), []byte(text), 0o644))
	}
	out, err := os.Create(filepath.Join(versions, version+".zip"))
	require.NoError(t, err)
	w := zip.NewWriter(out)
	require.NoError(t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, err := os.Stat(filepath.Join(path, "go.mod"))
			if path != folder && (err == nil || strings.HasPrefix(d.Name(), ".")) {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		rel, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		f, err := w.Create(module + "@" + version + "/" + filepath.ToSlash(rel))
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		return err
	}))
	require.NoError(t, w.Close())
	require.NoError(t, out.Close())
}

// The command is run and installed from a release, as by somebody without a clone
// of this repository.
func TestLatest_RunAndInstall(t *testing.T) {
	proxy := t.TempDir()
	release(t, proxy, "github.com/holdfast-go/session", "../..")
	release(t, proxy, "github.com/holdfast-go/session/redisstore", "../../redisstore")
	release(t, proxy, "github.com/holdfast-go/session/cmd/session", ".")
	env, err := exec.CommandContext(t.Context(), "go", "env", "GOMODCACHE", "GOPROXY").Output()
	require.NoError(t, err)
	cache, others, _ := strings.Cut(strings.TrimSpace(string(env)), "\n")
	bin := t.TempDir()
	vars := append(os.Environ(), "GOPROXY=file://"+proxy+",file://"+cache+"/cache/download,"+others,
		"GOSUMDB=off", "GOWORK=off", "GOFLAGS=-modcacherw", "GOMODCACHE="+t.TempDir(), "GOBIN="+bin)
	run := func(name string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.Env = t.TempDir(), vars
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	run("go", "install", "github.com/holdfast-go/session/cmd/session@latest")
	require.Len(t, run(filepath.Join(bin, "session"), "secret"), 45)
	require.Equal(t, "session version v0.1.0\n", run(filepath.Join(bin, "session"), "--version"))
	secret := run("go", "run", "github.com/holdfast-go/session/cmd/session@latest", "secret")
	require.Regexp(t, `(?m)^[A-Za-z0-9+/]{43}=$`, secret)
}
