package mongostore_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/wiremessage"

	"github.com/holdfast-go/session/internal/testserver"
)

// relay forwards the commands of one client to the test server. A handler may
// reply to a command in place of the server, change a reply or drop it.
type relay struct {
	t       testing.TB
	server  string
	uri     string
	mu      sync.Mutex
	handler func(*call) bson.Raw
	conns   map[net.Conn]bool
	wg      sync.WaitGroup
}

// call is one command.
type call struct {
	name    string
	body    bson.Raw
	forward func() bson.Raw // sends it to the server and returns the reply
}

// relayed returns an empty collection with a client connected through a relay, and
// the same collection without the relay.
func relayed(t testing.TB, opts ...*options.ClientOptions) (coll, direct *mongo.Collection, r *relay) {
	t.Helper()
	direct = testserver.Collection(t)
	u, err := url.Parse(testserver.Get(t).URI)
	require.NoError(t, err)
	r = &relay{t: t, server: strings.Split(u.Host, ",")[0], conns: map[net.Conn]bool{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r.wg.Go(func() { r.accept(l) })
	u.Host, u.Path, u.RawQuery = l.Addr().String(), "/", "directConnection=true"
	r.uri = u.String()
	// In the other mode the driver waits up to 10 seconds after a server has
	// reported that it is not the primary.
	poll := options.Client().ApplyURI(r.uri).SetServerMonitoringMode("poll")
	client, err := mongo.Connect(append([]*options.ClientOptions{poll}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() {
		r.handle(nil)
		require.NoError(t, client.Disconnect(background))
		l.Close()
		r.mu.Lock()
		for c := range r.conns {
			c.Close()
		}
		r.mu.Unlock()
		r.wg.Wait()
	})
	return client.Database(direct.Database().Name()).Collection(direct.Name()), direct, r
}

// handle sets the handler. The relay sends its reply to the client, or closes the
// connection if there is no reply.
func (r *relay) handle(h func(*call) bson.Raw) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handler = h
}

func (r *relay) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.server)
		if err != nil {
			client.Close()
			continue
		}
		r.mu.Lock()
		r.conns[client], r.conns[server] = true, true
		r.mu.Unlock()
		r.wg.Go(func() {
			r.serve(client, server)
			client.Close()
			server.Close()
		})
	}
}

func (r *relay) serve(client, server net.Conn) {
	for {
		frame, err := readFrame(client)
		if err != nil {
			return
		}
		exchange := func() []byte {
			if _, err := server.Write(frame); err != nil {
				return nil
			}
			reply, _ := readFrame(server)
			return reply
		}
		answer := r.answer(frame, exchange)
		if answer == nil {
			return
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

func (r *relay) answer(frame []byte, exchange func() []byte) []byte {
	_, id, _, op, _, _ := wiremessage.ReadHeader(frame)
	if op != wiremessage.OpMsg {
		return exchange()
	}
	frame[18] = 0 // the flags' upper half, for a reply to each request
	c := &call{body: body(frame)}
	first, err := c.body.IndexErr(0)
	if err != nil {
		return nil
	}
	c.name = first.Key()
	r.mu.Lock()
	handler := r.handler
	r.mu.Unlock()
	monitoring := c.name == "hello" && c.body.Lookup("$db").StringValue() == "admin"
	if handler == nil || monitoring {
		return exchange()
	}
	c.forward = func() bson.Raw { return body(exchange()) }
	reply := handler(c)
	if reply == nil {
		return nil
	}
	_, b := wiremessage.AppendHeaderStart(nil, 0, id, wiremessage.OpMsg)
	b = wiremessage.AppendMsgFlags(b, 0)
	b = wiremessage.AppendMsgSectionType(b, wiremessage.SingleDocument)
	b = append(b, reply...)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	return b
}

// body returns the command or reply of a message.
func body(frame []byte) bson.Raw {
	_, _, _, _, rest, ok := wiremessage.ReadHeader(frame)
	if !ok {
		return nil
	}
	_, rest, _ = wiremessage.ReadMsgFlags(rest)
	for len(rest) > 0 {
		kind, after, _ := wiremessage.ReadMsgSectionType(rest)
		if kind == wiremessage.SingleDocument {
			doc, _, _ := wiremessage.ReadMsgSectionSingleDocument(after)
			return bson.Raw(doc)
		}
		if _, _, rest, ok = wiremessage.ReadMsgSectionRawDocumentSequence(after); !ok {
			return nil
		}
	}
	return nil
}

func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.LittleEndian.Uint32(head[:]))
	copy(frame, head[:])
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}

// failure is the reply to a failed command.
func failure(code int32, text string, labels ...string) bson.Raw {
	b := bsoncore.NewDocumentBuilder().AppendDouble("ok", 0).AppendInt32("code", code).AppendString("errmsg", text)
	return withLabels(b, labels)
}

// writeFailure is the reply of a write command whose only write failed.
func writeFailure(code int32, text string) bson.Raw {
	doc := bsoncore.NewDocumentBuilder().AppendInt32("index", 0).AppendInt32("code", code).AppendString("errmsg", text).Build()
	return bson.Raw(bsoncore.NewDocumentBuilder().AppendDouble("ok", 1).AppendInt32("n", 0).
		AppendArray("writeErrors", bsoncore.NewArrayBuilder().AppendDocument(doc).Build()).Build())
}

// unconfirmed adds a write concern error to the reply of a write.
func unconfirmed(reply bson.Raw, code int32, labels ...string) bson.Raw {
	b := bsoncore.NewDocumentBuilder()
	elements, _ := bsoncore.Document(reply).Elements()
	for _, e := range elements {
		b.AppendValue(e.Key(), e.Value())
	}
	b.AppendDocument("writeConcernError", bsoncore.NewDocumentBuilder().AppendInt32("code", code).AppendString("errmsg", "not replicated").Build())
	return withLabels(b, labels)
}

func withLabels(b *bsoncore.DocumentBuilder, labels []string) bson.Raw {
	if len(labels) > 0 {
		array := bsoncore.NewArrayBuilder()
		for _, l := range labels {
			array.AppendString(l)
		}
		b.AppendArray("errorLabels", array.Build())
	}
	return bson.Raw(b.Build())
}
