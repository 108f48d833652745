package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.uber.org/goleak"
)

// parentOf, if set, makes this test binary a parent. It starts the command in the variable and waits for it.
const parentOf = "DEVMONGO_TEST_PARENT_OF"

var binary string

func TestMain(m *testing.M) {
	if command := os.Getenv(parentOf); command != "" {
		beParent(strings.Fields(command))
	}
	os.Exit(testAll(m))
}

func testAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "devmongo-test-*")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "devmongo.exe")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v: %s", err, out))
	}
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// beParent starts a child with its own pipe as standard input, as a test binary does. The child inherits the outputs of
// this process. A reader of the outputs sees their end after both processes have ended.
func beParent(command []string) {
	child := exec.Command(command[0], command[1:]...)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	if _, err := child.StdinPipe(); err != nil {
		panic(err)
	}
	os.Unsetenv(parentOf)
	if err := child.Run(); err != nil {
		panic(err)
	}
}

// served is the printed line of JSON.
type served struct {
	URI             string
	Engine          string
	TTL             *bool
	RetryableWrites *bool
}

// started is a running command.
type started struct {
	served
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr *bytes.Buffer
	temp   string
}

// start runs a command and reads its line. The command gets no MONGO_URI, no mongod and no Docker engine.
func start(t *testing.T, name string, args ...string) *started {
	t.Helper()
	s := &started{cmd: exec.Command(name, args...), stderr: new(bytes.Buffer), temp: t.TempDir()}
	s.cmd.Env = environment(s.temp)
	s.cmd.Stderr = s.stderr
	var err error
	s.stdin, err = s.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	t.Cleanup(func() { s.cmd.Process.Kill() })
	s.stdout = bufio.NewReader(stdout)
	s.readLine(t)
	return s
}

func (s *started) readLine(t *testing.T) {
	t.Helper()
	line, err := s.stdout.ReadString('\n')
	require.NoError(t, err, "%s", s.stderr)
	dec := json.NewDecoder(strings.NewReader(line))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(&s.served), line)
}

func environment(temp string, more ...string) []string {
	env := []string{"TMPDIR=" + temp, "MONGOD=", "DOCKER_HOST=tcp://127.0.0.1:1"}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "MONGO_URI", "MONGOD", "TMPDIR", "DOCKER_HOST", parentOf:
		default:
			env = append(env, kv)
		}
	}
	return append(env, more...)
}

// wait reads the rest of the output, which must be empty, and checks that nothing is left.
func (s *started) wait(t *testing.T) {
	t.Helper()
	rest, err := io.ReadAll(s.stdout)
	require.NoError(t, err)
	require.Empty(t, rest, "more than one line")
	require.NoError(t, s.cmd.Wait(), "%s", s.stderr)
	requireGone(t, s.served, s.temp)
}

func requireGone(t *testing.T, s served, temp string) {
	t.Helper()
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, left)
	u, err := url.Parse(s.URI)
	require.NoError(t, err)
	_, err = net.Dial("tcp", u.Host)
	require.Error(t, err, "still listening")
}

func TestRun_UntilInputCloses(t *testing.T) {
	s := start(t, binary, "-engine", "ferretdb")
	require.Contains(t, s.Engine, "FerretDB")
	require.Contains(t, s.Engine, "(embedded, SQLite)")
	require.False(t, *s.TTL)
	require.False(t, *s.RetryableWrites)

	client, err := mongo.Connect(options.Client().ApplyURI(s.URI))
	require.NoError(t, err)
	c := client.Database("d").Collection("c")
	_, err = c.InsertOne(t.Context(), bson.D{{Key: "_id", Value: 1}, {Key: "n", Value: 7}})
	require.NoError(t, err)
	var got struct{ N int }
	require.NoError(t, c.FindOne(t.Context(), bson.D{{Key: "_id", Value: 1}}).Decode(&got))
	require.Equal(t, 7, got.N)

	// The client is still connected, and the server does not wait for it.
	require.NoError(t, s.stdin.Close())
	s.wait(t)
	client.Disconnect(t.Context())
}

func TestRun_ByGoRun(t *testing.T) {
	s := start(t, "go", "run", ".", "-engine", "ferretdb")
	require.NoError(t, s.stdin.Close())
	s.wait(t)
}

func TestRun_ReportsSkippedEngines(t *testing.T) {
	if _, err := exec.LookPath("mongod"); err == nil {
		t.Skip("PATH has a mongod, which is then not skipped")
	}
	s := start(t, binary)
	require.Contains(t, s.Engine, "FerretDB")
	require.NoError(t, s.stdin.Close())
	s.wait(t)
	require.Contains(t, s.stderr.String(), "devmongo: skipped uri: MONGO_URI is not set\n")
	require.Contains(t, s.stderr.String(), "devmongo: skipped mongod: MONGOD is not set and PATH has no mongod\n")
	require.Contains(t, s.stderr.String(), "devmongo: skipped container: no Docker engine answers: ")
}

func TestRun_Signals(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no signals to send")
	}
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			s := start(t, binary, "-engine", "ferretdb")
			require.NoError(t, s.cmd.Process.Signal(sig))
			s.wait(t)
		})
	}
}

// A killed test binary runs no clean-up. The command sees the end of its input, also through go run.
func TestRun_ParentKilled(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the temporary folder is not set by TMPDIR here")
	}
	self, err := os.Executable()
	require.NoError(t, err)
	for name, command := range map[string]string{
		"binary": binary + " -engine ferretdb",
		"go run": "go run . -engine ferretdb",
	} {
		t.Run(name, func(t *testing.T) {
			temp := t.TempDir()
			parent := exec.Command(self)
			parent.Env = environment(temp, parentOf+"="+command)
			// The test uses its own pipe. Wait must not close it, because the grandchild lives longer than the child.
			r, w, err := os.Pipe()
			require.NoError(t, err)
			defer r.Close()
			parent.Stdout, parent.Stderr = w, w
			require.NoError(t, parent.Start())
			require.NoError(t, w.Close())

			s := &started{stdout: bufio.NewReader(r), stderr: new(bytes.Buffer)}
			s.skipToLine(t)
			require.NoError(t, parent.Process.Kill())
			require.Error(t, parent.Wait())
			_, err = io.ReadAll(s.stdout) // returns when the command and go run have ended
			require.NoError(t, err)
			requireGone(t, s.served, temp)
		})
	}
}

// skipToLine skips the messages on the standard error, which shares the pipe.
func (s *started) skipToLine(t *testing.T) {
	t.Helper()
	for {
		next, err := s.stdout.Peek(1)
		require.NoError(t, err)
		if next[0] == '{' {
			s.readLine(t)
			return
		}
		_, err = s.stdout.ReadString('\n')
		require.NoError(t, err)
	}
}

func TestRun_Errors(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	for name, c := range map[string]struct {
		env, want string
		args      []string
	}{
		"MONGO_URI empty":     {env: "MONGO_URI=", want: "devmongo: MONGO_URI is set but empty"},
		"MONGO_URI malformed": {env: "MONGO_URI=mongodb://u:hunter2", want: "devmongo: MONGO_URI is malformed"},
		"MONGOD not there":    {env: "MONGOD=/nowhere/mongod", want: "devmongo: MONGOD: "},
		"unknown engine":      {args: []string{"-engine", "x"}, want: `devmongo: no engine "x"`},
		"address in use":      {args: []string{"-listen", ln.Addr().String()}, want: "devmongo: ferretdb: listen tcp"},
		"an argument":         {args: []string{"x"}, want: `devmongo: unexpected argument "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			temp := t.TempDir()
			cmd := exec.Command(binary, c.args...)
			cmd.Env = environment(temp, c.env)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			stdin, err := cmd.StdinPipe()
			require.NoError(t, err)
			defer stdin.Close()
			var exit *exec.ExitError
			require.ErrorAs(t, cmd.Run(), &exit)
			require.Equal(t, 1, exit.ExitCode())
			require.Empty(t, stdout.String())
			require.Contains(t, stderr.String(), c.want)
			require.NotContains(t, stderr.String(), "hunter2")
			left, err := os.ReadDir(temp)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

func TestRun_InputClosedFromStart(t *testing.T) {
	cmd := exec.Command(binary, "-engine", "ferretdb")
	cmd.Env = environment(t.TempDir())
	out, err := cmd.CombinedOutput() // standard input is the null device
	if err == nil {
		return // it served and stopped before it saw the end of its input
	}
	require.Contains(t, string(out), "keep the input open for as long as the server is needed")
}

func TestListen_InputClosed(t *testing.T) {
	s := start(t, binary, "-listen", "127.0.0.1:0")
	require.NoError(t, s.stdin.Close())
	client, err := mongo.Connect(options.Client().ApplyURI(s.URI))
	require.NoError(t, err)
	require.NoError(t, client.Ping(t.Context(), nil))
	require.NoError(t, client.Disconnect(t.Context()))
	if runtime.GOOS == "windows" {
		return
	}
	require.NoError(t, s.cmd.Process.Signal(os.Interrupt))
	s.wait(t)
}
