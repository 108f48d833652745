package devserver_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session/internal/devmongo/devserver"
)

// useFake makes this test binary the mongod.
func useFake(t *testing.T, how string) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	t.Setenv("MONGOD", self)
	t.Setenv(fakeMongod, how)
	return tempDir(t)
}

func TestMongod(t *testing.T) {
	for _, how := range []string{"willing", "stubborn"} {
		t.Run(how, func(t *testing.T) {
			dir := useFake(t, how)
			s, err := devserver.Start(t.Context())
			require.NoError(t, err)
			require.Contains(t, s.Engine, "FerretDB", "the name is that of the server")
			require.NoError(t, connect(t, s.URI).Ping(t.Context(), nil))
			require.NoError(t, s.Close())
			requireEmpty(t, dir)
		})
	}
}

func TestMongod_EndsAtOnce(t *testing.T) {
	dir := useFake(t, "broken")
	_, err := devserver.Start(t.Context())
	require.ErrorContains(t, err, "devmongo: mongod: ")
	require.ErrorContains(t, err, "ended (exit status 48) before it answered: dbpath is no good")
	requireEmpty(t, dir)
}

func TestMongod_FromPath(t *testing.T) {
	dir := useFake(t, "willing")
	bin := t.TempDir()
	require.NoError(t, os.Symlink(os.Getenv("MONGOD"), filepath.Join(bin, "mongod")))
	t.Setenv("MONGOD", "")
	t.Setenv("PATH", bin)
	s, err := devserver.Start(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Close())
	requireEmpty(t, dir)
}

func TestMongod_Missing(t *testing.T) {
	t.Setenv("MONGOD", filepath.Join(t.TempDir(), "mongod"))
	_, err := devserver.Start(t.Context())
	require.ErrorContains(t, err, "devmongo: MONGOD: ")
	require.ErrorContains(t, err, "give the path of a mongod, or unset MONGOD")
}
