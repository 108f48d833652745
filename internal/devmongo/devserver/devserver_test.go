package devserver_test

import (
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session/internal/devmongo/devserver"
)

func startFerretDB(t *testing.T, opts ...devserver.Option) *devserver.Server {
	t.Helper()
	s, err := devserver.Start(t.Context(), append(opts, devserver.WithEngine(devserver.EngineFerretDB))...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// tempDir makes a temporary folder the only one for a server.
func tempDir(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the temporary folder is not set by TMPDIR here")
	}
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	return dir
}

func TestFerretDB(t *testing.T) {
	dir := tempDir(t)
	work, err := os.Getwd()
	require.NoError(t, err)
	before, err := os.ReadDir(work)
	require.NoError(t, err)

	var log logged
	s := startFerretDB(t, devserver.WithLog(log.printf))
	require.Regexp(t, `^FerretDB (v\d+\.\d+\.\d+ )?\(embedded, SQLite\)$`, s.Engine)
	require.False(t, s.TTL)
	require.False(t, s.RetryableWrites)
	require.Contains(t, log.String(), "devmongo: using "+s.Engine+", which has no TTL indexes")
	require.NotContains(t, log.String(), "NotImplemented", "an expected answer must not look like a failure")

	c := connect(t, s.URI).Database("d").Collection("c")
	_, err = c.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "a"}, {Key: "n", Value: 7}})
	require.NoError(t, err)
	var got struct{ N int }
	require.NoError(t, c.FindOne(t.Context(), bson.D{{Key: "_id", Value: "a"}}).Decode(&got))
	require.Equal(t, 7, got.N)

	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	requireEmpty(t, dir)
	after, err := os.ReadDir(work)
	require.NoError(t, err)
	require.Equal(t, names(before), names(after), "written outside the temporary folder")
	_, err = net.Dial("tcp", strings.Trim(strings.TrimPrefix(s.URI, "mongodb:"), "/"))
	require.Error(t, err, "still listening")
}

func names(entries []os.DirEntry) (names []string) {
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestFerretDB_TwoServers(t *testing.T) {
	a, b := startFerretDB(t), startFerretDB(t)
	require.NotEqual(t, a.URI, b.URI)
	_, err := connect(t, a.URI).Database("d").Collection("c").InsertOne(t.Context(), bson.D{{Key: "_id", Value: 1}})
	require.NoError(t, err)
	n, err := connect(t, b.URI).Database("d").Collection("c").CountDocuments(t.Context(), bson.D{})
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, a.Close())
	require.NoError(t, connect(t, b.URI).Ping(t.Context(), nil), "the other server still runs")
}

func TestListen(t *testing.T) {
	dir := tempDir(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := ln.Addr().String()
	_, err = devserver.Start(t.Context(), devserver.WithListen(addr))
	require.ErrorContains(t, err, "devmongo: ferretdb: listen tcp "+addr)
	requireEmpty(t, dir)

	require.NoError(t, ln.Close())
	s, err := devserver.Start(t.Context(), devserver.WithListen(addr))
	require.NoError(t, err)
	require.Equal(t, "mongodb://"+addr+"/", s.URI)
	require.NoError(t, s.Close())
}

func TestStart_InvalidOptions(t *testing.T) {
	_, err := devserver.Start(t.Context(), devserver.WithEngine("postgres"))
	require.EqualError(t, err, `devmongo: no engine "postgres": give one of uri, mongod, container, ferretdb`)
	_, err = devserver.Start(t.Context(), devserver.WithEngine("mongod"), devserver.WithListen("127.0.0.1:0"))
	require.ErrorContains(t, err, "devmongo: an address to listen on is for the engine ferretdb, not for mongod")
}

func TestStart_RequestedEngineMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := devserver.Start(t.Context(), devserver.WithEngine(devserver.EngineMongod))
	require.EqualError(t, err, "devmongo: MONGOD is not set and PATH has no mongod")
	_, err = devserver.Start(t.Context(), devserver.WithEngine(devserver.EngineURI))
	require.EqualError(t, err, "devmongo: MONGO_URI is not set")
}

func TestRetryableWrites(t *testing.T) {
	require.True(t, devserver.RetryableWrites("rs0", "", true))
	require.True(t, devserver.RetryableWrites("", "isdbgrid", true))
	require.False(t, devserver.RetryableWrites("", "", true), "standalone")
	require.False(t, devserver.RetryableWrites("rs0", "", false), "no sessions")
}
