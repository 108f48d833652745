package devserver_test

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session/internal/devmongo/devserver"
)

const password = "hunter2"

func TestURI_Malformed(t *testing.T) {
	const malformed, inUser = "MONGO_URI is malformed: ", "is malformed in its user name, password or authentication"
	for uri, want := range map[string]string{
		"":                              "MONGO_URI is set but empty: give a connection string such as mongodb://",
		" \n":                           "MONGO_URI is set but empty",
		"localhost:27017":               malformed + "it must begin with mongodb:// or mongodb+srv://",
		"u:hunter2@localhost":           malformed + "it must begin with",
		"mongodb://":                    malformed + "error parsing uri: must have at least 1 host",
		"mongodb://u:hunter2":           malformed + "the text after a host's colon is not a port number",
		"mongodb://h:1,u:hunter2/":      malformed + "the text after a host's colon is not a port number",
		"mongodb://u:hunter2@h:99999/":  malformed + "error parsing uri",
		"mongodb://u:hunter2@[::1/":     malformed + "error parsing uri",
		"mongodb://u:hun/ter2@h:1/":     inUser,
		"mongodb://u:hunter2%zz@h:1/":   inUser,
		"mongodb://u:hunter2@x@h:1/":    inUser,
		"mongodb://u:hunter2@h/?tls=oh": malformed + `error parsing uri: invalid value for "tls"`,
		"mongodb://u:hunter2@h/?authMechanismProperties=hunter2": inUser,
		"mongodb://u:hunter2@h/?authMechanism=BOGUS":             malformed + "error parsing uri: invalid auth mechanism",
	} {
		t.Run(uri, func(t *testing.T) {
			t.Setenv("MONGO_URI", uri)
			_, err := devserver.Start(t.Context())
			require.ErrorContains(t, err, want)
			require.True(t, strings.HasPrefix(err.Error(), "devmongo: MONGO_URI "))
			require.NotContains(t, err.Error(), "hun")
			require.NotContains(t, err.Error(), "ter2")
		})
	}
}

func TestURI_NoServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := ln.Addr().String()
	require.NoError(t, ln.Close())
	t.Setenv("MONGO_URI", "mongodb://u:"+password+"@"+addr+"/")

	began := time.Now()
	_, err = devserver.Start(t.Context())
	require.Less(t, time.Since(began), devserver.PingTimeout+3*time.Second)
	require.ErrorContains(t, err, "devmongo: MONGO_URI: no answer from "+addr+" within 5s: start that server")
	require.ErrorContains(t, err, "refused")
	require.NotContains(t, err.Error(), password)
}

func TestURI_Unchanged(t *testing.T) {
	given := startFerretDB(t)
	uri := given.URI + "?appName=a%20b&retryWrites=false"
	t.Setenv("MONGO_URI", uri)
	s, err := devserver.Start(t.Context())
	require.NoError(t, err)
	require.Equal(t, uri, s.URI)
	require.Equal(t, "FerretDB unknown", s.Engine, "from buildInfo, as an embedded FerretDB does not know its version")
	require.False(t, s.TTL)
	require.NoError(t, s.Close())
	require.NoError(t, connect(t, uri).Ping(t.Context(), nil), "Close leaves it alone")
	dbs, err := connect(t, uri).ListDatabaseNames(t.Context(), bson.D{})
	require.NoError(t, err)
	for _, name := range dbs {
		require.NotContains(t, name, "devmongo_scratch")
	}
}

// refusing starts a server. It answers the handshake and then refuses every command with one error.
func refusing(t *testing.T, code int, codeName string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	hello, err := bson.Marshal(bson.D{
		{Key: "ismaster", Value: true},
		{Key: "maxWireVersion", Value: 21},
		{Key: "maxBsonObjectSize", Value: 16 << 20},
		{Key: "maxMessageSizeBytes", Value: 48_000_000},
		{Key: "maxWriteBatchSize", Value: 100_000},
		{Key: "saslSupportedMechs", Value: bson.A{"SCRAM-SHA-256"}},
		{Key: "ok", Value: 1},
	})
	require.NoError(t, err)
	handshake := message(1, make([]byte, 16), []byte{1, 0, 0, 0}, hello)
	yes := message(2013, make([]byte, 5), hello)
	no := op(t, 0, bson.D{
		{Key: "ok", Value: 0},
		{Key: "code", Value: code},
		{Key: "codeName", Value: codeName},
		{Key: "errmsg", Value: "not with " + password},
	})
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go answer(conn, handshake, yes, no)
		}
	}()
	return ln.Addr().String()
}

func answer(conn net.Conn, handshake, yes, no []byte) {
	defer conn.Close()
	for {
		f, err := devserver.ReadFrame(conn)
		if err != nil {
			return
		}
		name, _ := devserver.FrameCommand(f)
		reply := bytes.Clone(no)
		switch {
		case devserver.FrameOpcode(f) == 2004:
			reply = bytes.Clone(handshake)
		case name == "hello" || name == "isMaster" || name == "ping":
			reply = bytes.Clone(yes)
		}
		copy(reply[8:12], f[4:8]) // responseTo
		if _, err := conn.Write(reply); err != nil {
			return
		}
	}
}

func TestURI_WrongPassword(t *testing.T) {
	addr := refusing(t, 18, "AuthenticationFailed")
	t.Setenv("MONGO_URI", "mongodb://u:"+password+"@"+addr+"/")
	_, err := devserver.Start(t.Context())
	require.ErrorContains(t, err, "devmongo: MONGO_URI: the server at "+addr+" refused the user name or the password")
	require.NotContains(t, err.Error(), password, "not even when the server repeats it")
}

func TestURI_MissingPassword(t *testing.T) {
	t.Setenv("MONGO_URI", "mongodb://"+refusing(t, 13, "Unauthorized")+"/")
	_, err := devserver.Start(t.Context())
	require.ErrorContains(t, err, "devmongo: the server asks for a user name and a password: put them in MONGO_URI")
}

func TestRedact(t *testing.T) {
	err := errors.New("cannot open p@ss for you")
	require.EqualError(t, devserver.Redact("p@ss", err), "cannot open [password] for you")
	require.Equal(t, err, devserver.Redact("other", err))
	require.Equal(t, err, devserver.Redact("", err))
}

func TestAddresses(t *testing.T) {
	require.Equal(t, "a:27017, b:1, [::1]:2, /tmp/m.sock", devserver.Addresses([]string{"a", "b:1", "[::1]:2", "/tmp/m.sock"}))
}
