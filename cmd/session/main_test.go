package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/mongostore"
)

const secret = "a secret of the app, 32 bytes long" // its manager's, unknown to the command

// binary is the command, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "session-*")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "session")
	code := 1
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		os.Stderr.Write(out)
	} else {
		code = testserver.Main(m)
	}
	stopSecantus()
	os.RemoveAll(dir)
	os.Exit(code)
}

// result is the result of a process.
type result struct {
	out, err string
	code     int
}

// command returns the process of a command line, with only this environment.
func command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append([]string{"LANG=C"}, env...) // nil would mean the environment of the tests
	return cmd
}

// execute runs a command line to its end.
func execute(t *testing.T, env []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := command(ctx, env, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	require.NoError(t, ctx.Err(), "the command did not end")
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		require.NoError(t, err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// site is an app with a collection of its own on a server.
type site struct {
	uri      string
	coll     *mongo.Collection
	store    *mongostore.Store
	sessions *session.Manager
}

// open creates a site in a new database.
func open(t *testing.T, uri string, opts ...session.Option) *site {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	require.NoError(t, err)
	db := client.Database(fmt.Sprintf("t_cli_%x", time.Now().UnixNano()))
	t.Cleanup(func() {
		_ = db.Drop(context.Background())
		_ = client.Disconnect(context.Background())
	})
	s := &site{uri: strings.TrimSuffix(uri, "/") + "/" + db.Name(), coll: db.Collection("http_sessions")}
	silent := mongostore.WithLogger(slog.New(slog.DiscardHandler))
	indexed, err := mongostore.OpenCollection(t.Context(), s.coll, silent)
	require.NoError(t, err)
	require.NoError(t, indexed.Close(t.Context())) // ends its sweep
	s.store, err = mongostore.OpenCollection(t.Context(), s.coll, mongostore.WithoutIndexes())
	require.NoError(t, err)
	s.sessions, err = session.New(s.store, secret, opts...)
	require.NoError(t, err)
	return s
}

// run runs a command line on the site.
func (s *site) run(t *testing.T, args ...string) result {
	t.Helper()
	return execute(t, []string{"MONGO_URI=" + s.uri}, args...)
}

// json runs a command line with --json and decodes its output.
func (s *site) json(t *testing.T, v any, args ...string) result {
	t.Helper()
	r := s.run(t, append(args, "--json")...)
	require.NoError(t, json.Unmarshal([]byte(r.out), v), "%s%s", r.out, r.err)
	return r
}

const (
	color session.Key[string]         = "color"
	cart  session.Key[map[string]int] = "cart"
)

// signIn returns a new session of user. An empty user is a visitor.
func (s *site) signIn(t *testing.T, user string) *session.Session {
	t.Helper()
	sess, err := s.sessions.Load(t.Context(), nil)
	require.NoError(t, err)
	if user != "" {
		sess.SignIn(user)
	}
	color.Set(sess, "very secret red")
	require.NoError(t, sess.Save(t.Context()))
	return sess
}

// insert stores a record with these times before now.
func (s *site) insert(t *testing.T, user string, created, seen, expires time.Duration) session.ID {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	n := recordNumber()
	rec := &session.Record{
		Info: session.Info{
			ID: session.ID{0: 1, 6: 0x70, 8: 0x80, 14: byte(n >> 8), 15: byte(n)}, User: user,
			CreatedAt: now.Add(-created), LastSeenAt: now.Add(-seen), ExpiresAt: now.Add(-expires), Deadline: now.Add(24 * time.Hour),
		},
		Verifier: bytes.Repeat([]byte{7}, 32),
	}
	if user != "" {
		rec.SignedInAt = rec.CreatedAt
	}
	require.NoError(t, s.store.Insert(t.Context(), rec))
	return rec.ID
}

// withoutTTL keeps the server from removing expired documents during the test.
func (s *site) withoutTTL(t *testing.T) {
	t.Helper()
	require.NoError(t, s.coll.Indexes().DropOne(t.Context(), "session_expires"))
}

var recordNumber = func() func() int {
	var mu sync.Mutex
	n := 0
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		n++
		return n
	}
}()

// onEach runs a test on the server of the tests and on a replica set of
// SecantusDB. They differ in the queries that they support.
func onEach(t *testing.T, test func(t *testing.T, uri string)) {
	t.Run("testserver", func(t *testing.T) { test(t, testserver.Get(t).URI) })
	t.Run("replica set", func(t *testing.T) { test(t, replicaSet(t)) })
}

// secantus is a process of SecantusDB.
type secantus struct {
	uri string
	cmd *exec.Cmd
}

// needSecantus returns the path of SecantusDB. It skips the test if there is none.
func needSecantus(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath(cmp.Or(os.Getenv("SECANTUS"), "secantusd-py"))
	if err != nil {
		t.Skip("needs SecantusDB: pip install SecantusDB==0.7.0b3, and set SECANTUS to its secantusd-py")
	}
	return path
}

// startSecantus starts SecantusDB on a folder.
func startSecantus(t *testing.T, dir string, args ...string) *secantus {
	t.Helper()
	path := needSecantus(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := ln.Addr().(*net.TCPAddr)
	ln.Close()
	cmd := exec.Command(path, append([]string{
		"--port", fmt.Sprint(addr.Port), "--storage-path", filepath.Join(dir, "data"), "--log-level", "ERROR",
	}, args...)...)
	require.NoError(t, cmd.Start())
	s := &secantus{"mongodb://" + addr.String() + "/", cmd}
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", addr.String())
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, time.Minute, 20*time.Millisecond, "SecantusDB does not accept connections")
	return s
}

func (s *secantus) stop() {
	_ = s.cmd.Process.Signal(os.Interrupt)
	timer := time.AfterFunc(10*time.Second, func() { _ = s.cmd.Process.Kill() })
	defer timer.Stop()
	_ = s.cmd.Wait()
}

var shared struct {
	sync.Mutex
	*secantus
	dir string
}

// replicaSet returns the URI of a replica set of SecantusDB, which the tests
// share. Its TTL monitor runs each minute.
func replicaSet(t *testing.T) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.secantus == nil {
		needSecantus(t)
		dir, err := os.MkdirTemp("", "secantus-*")
		require.NoError(t, err)
		shared.dir = dir
		shared.secantus = startSecantus(t, dir)
	}
	return shared.uri
}

func stopSecantus() {
	if shared.secantus != nil {
		shared.stop()
	}
	os.RemoveAll(shared.dir)
}
