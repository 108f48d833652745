package reference_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The gate also checks that the tests of promises.md and security.md have
// passed.
func TestPages_NamedTestsExist(t *testing.T) {
	declared := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Z0-9]\\w*)(?:/[^`]*)?`")
	pages := map[string]string{}
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && path != root):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go") && filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		if filepath.Ext(path) == ".md" {
			pages[path] = string(text)
		}
		for _, m := range declaration.FindAllStringSubmatch(string(text), -1) {
			declared[m[1]] = true
		}
		return err
	}))
	found := 0
	for path, text := range pages {
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			require.True(t, declared[m[1]], "%s names %s, which does not exist", path, m[1])
			found++
		}
	}
	require.Greater(t, found, 100)
}
