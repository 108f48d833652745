package devserver_test

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.uber.org/goleak"

	"github.com/holdfast-go/session/internal/devmongo/devserver"
)

// fakeMongod is an environment variable. If it is set, this test binary is a
// mongod, and the value selects the behaviour.
const fakeMongod = "DEVSERVER_TEST_MONGOD"

func TestMain(m *testing.M) {
	if how := os.Getenv(fakeMongod); how != "" {
		os.Exit(beMongod(how))
	}
	os.Unsetenv("MONGO_URI") // tests set it if they need it
	os.Unsetenv("MONGOD")
	goleak.VerifyTestMain(m)
}

// beMongod parses the flags of a mongod and serves FerretDB on the given port.
func beMongod(how string) int {
	fs := flag.NewFlagSet("mongod", flag.ContinueOnError)
	port := fs.Int("port", 0, "")
	fs.String("bind_ip", "", "")
	dbpath := fs.String("dbpath", "", "")
	fs.Bool("nounixsocket", false, "")
	if err := fs.Parse(os.Args[1:]); err != nil {
		return 2
	}
	if !leadsProcessGroup() {
		fmt.Fprintln(os.Stderr, "a Ctrl-C in the terminal would reach this process too")
		return 1
	}
	if how == "broken" {
		fmt.Fprintln(os.Stderr, "dbpath is no good")
		return 48
	}
	os.Setenv("TMPDIR", *dbpath) // remains after a kill, and is removed with dbpath
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	s, err := devserver.Start(context.Background(), devserver.WithListen(fmt.Sprintf("127.0.0.1:%d", *port)))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer s.Close()
	for range interrupted {
		if how != "stubborn" {
			return 0
		}
	}
	return 1
}

// logged collects the lines for WithLog.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

func connect(t testing.TB, uri string) *mongo.Client {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	require.NoError(t, err)
	t.Cleanup(func() { client.Disconnect(t.Context()) })
	return client
}

// requireEmpty fails the test if dir contains a file.
func requireEmpty(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries, "left behind in the temporary folder")
}

// op returns an OP_MSG with one document as its body.
func op(t testing.TB, flags uint32, doc any) []byte {
	t.Helper()
	body, err := bson.Marshal(doc)
	require.NoError(t, err)
	return message(2013, binary.LittleEndian.AppendUint32(nil, flags), []byte{0}, body)
}

// message returns the parts as one message with the opcode.
func message(opcode uint32, parts ...[]byte) []byte {
	var body []byte
	for _, p := range parts {
		body = append(body, p...)
	}
	var b []byte
	for _, n := range []uint32{uint32(16 + len(body)), 7, 0, opcode} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return append(b, body...)
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}
