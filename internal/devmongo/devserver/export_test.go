package devserver

import (
	"io"
	"net"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	MaxFrame    = maxFrame
	PingTimeout = pingTimeout
)

var (
	EmbedFerretDB = embedFerretDB
	Addresses     = addresses
)

func ReadFrame(r io.Reader) ([]byte, error) { return readFrame(r) }
func FrameCommand(f []byte) (string, error) { return frame(f).command() }
func FrameOneReply(f []byte) []byte         { return frame(f).oneReply() }
func FrameFlags(f []byte) uint32            { return frame(f).flags() }
func FrameOpcode(f []byte) int32            { return frame(f).opcode() }
func RetryableWrites(setName, msg string, sessions bool) bool {
	h := helloReply{SetName: setName, Msg: msg}
	if sessions {
		h.SessionMinutes = new(int64)
	}
	return h.retryableWrites()
}

func Redact(password string, err error) error {
	return (&instance{credential: &options.Credential{Password: password}}).redact(err)
}

// StartProxy starts the proxy on a free port, in front of backend.
func StartProxy(backend string, log func(string, ...any)) (addr string, stop func(), err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	p := newProxy(ln, backend, log)
	return ln.Addr().String(), p.close, nil
}

// EngineName returns the name for these responses of a server.
func EngineName(t testing.TB, build, hello any) string {
	t.Helper()
	var b buildInfo
	var h helloReply
	for answer, into := range map[any]any{&build: &b, &hello: &h} {
		raw, err := bson.Marshal(*answer.(*any))
		if err == nil {
			err = bson.Unmarshal(raw, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return engineName(b, h)
}
