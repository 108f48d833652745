package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
)

// canned speaks just enough of MongoDB's protocol to answer the driver at
// once: documents are found by their _id, an upsert keeps the fields that it
// sets, and any other write is said to be done. It shows what a client spends,
// which on a real server drowns in waiting.
type canned struct {
	mu   sync.RWMutex
	kept map[string]kept // by the bytes of the _id
}

// kept is a document and the reply to a find of it alone.
type kept struct{ doc, reply bsoncore.Document }

const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013
)

// DialContext makes it the driver's dialer: the answer is then there as soon as
// the question is written, without the kernel or another goroutine.
func (s *canned) DialContext(context.Context, string, string) (net.Conn, error) {
	return &memoryConn{server: s}, nil
}

type memoryConn struct {
	server   *canned
	in, out  []byte
	answered int
}

func (c *memoryConn) Write(b []byte) (int, error) {
	c.in = append(c.in, b...)
	for len(c.in) >= 16 && len(c.in) >= int(binary.LittleEndian.Uint32(c.in)) {
		n := int(binary.LittleEndian.Uint32(c.in))
		if c.answered == len(c.out) {
			c.out, c.answered = c.out[:0], 0
		}
		var err error
		if c.out, err = c.server.answer(c.out, c.in[:n]); err != nil {
			return 0, err
		}
		c.in = c.in[:copy(c.in, c.in[n:])]
	}
	return len(b), nil
}

func (c *memoryConn) Read(b []byte) (int, error) {
	if c.answered == len(c.out) {
		return 0, io.EOF
	}
	n := copy(b, c.out[c.answered:])
	c.answered += n
	return n, nil
}

func (c *memoryConn) Close() error                     { return nil }
func (c *memoryConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *memoryConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *memoryConn) SetDeadline(time.Time) error      { return nil }
func (c *memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }

// serveCanned answers on a free port until standard input ends, and prints the
// URI.
func serveCanned(stdin io.Reader, stdout io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "mongodb://%s/app\n", l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		l.Close()
	}()
	s := &canned{}
	for {
		conn, err := l.Accept()
		if err != nil {
			return nil
		}
		go s.talk(conn)
	}
}

func (s *canned) talk(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	msg, reply := make([]byte, 16, 4096), make([]byte, 0, 4096)
	for {
		if _, err := io.ReadFull(r, msg[:16]); err != nil {
			return
		}
		n := int(binary.LittleEndian.Uint32(msg))
		msg = slices.Grow(msg[:16], n)[:n]
		if _, err := io.ReadFull(r, msg[16:]); err != nil {
			return
		}
		var err error
		if reply, err = s.answer(reply[:0], msg); err != nil {
			return
		}
		if _, err := conn.Write(reply); err != nil {
			return
		}
		msg = msg[:16]
	}
}

// answer appends the reply to a message.
func (s *canned) answer(out, msg []byte) ([]byte, error) {
	at := len(out)
	out = append(out, make([]byte, 16)...)
	switch binary.LittleEndian.Uint32(msg[12:]) {
	case opQuery: // the handshake
		binary.LittleEndian.PutUint32(out[at+12:], opReply)
		out = append(out, make([]byte, 16)...)
		out = append(out, 1, 0, 0, 0) // documents
		out = append(out, hello()...)
	case opMsg:
		binary.LittleEndian.PutUint32(out[at+12:], opMsg)
		doc, err := s.command(msg[20:])
		if err != nil {
			return nil, err
		}
		out = append(out, 0, 0, 0, 0, 0) // flags, a section of kind 0
		out = append(out, doc...)
	default:
		return nil, errors.New("unknown operation")
	}
	binary.LittleEndian.PutUint32(out[at:], uint32(len(out)-at))
	copy(out[at+8:at+12], msg[4:8])
	return out, nil
}

func (s *canned) command(sections []byte) (bsoncore.Document, error) {
	cmd, rest, ok := bsoncore.ReadDocument(sections[1:])
	if !ok {
		return nil, errors.New("no command")
	}
	first, err := cmd.IndexErr(0)
	if err != nil {
		return nil, err
	}
	switch first.Key() {
	case "hello", "isMaster", "ismaster":
		return hello(), nil
	case "find":
		return s.find(cmd), nil
	case "insert", "update":
		for _, doc := range documents(cmd, rest) {
			s.write(doc)
		}
	}
	return one, nil
}

// find answers by one _id, or by a list of them. It allocates nothing for one,
// as that would be counted for the client's where both share a process.
func (s *canned) find(cmd bsoncore.Document) bsoncore.Document {
	s.mu.RLock()
	defer s.mu.RUnlock()
	id := idOf(cmd.Lookup("filter"))
	if id.Type != bsoncore.TypeEmbeddedDocument {
		if found, ok := s.kept[string(id.Data)]; ok {
			return found.reply
		}
		return nothing
	}
	var docs []bsoncore.Document
	list, _ := id.Document().Lookup("$in").ArrayOK()
	ids, _ := list.Values()
	for _, id := range ids {
		if found, ok := s.kept[string(id.Data)]; ok {
			docs = append(docs, found.doc)
		}
	}
	return batch(docs...)
}

// documents returns those of an insert, or what an update says. Go's driver
// sends them behind the command, in a section of kind 1 (its length, a name,
// they), Node's in the command.
func documents(cmd bsoncore.Document, section []byte) (docs []bsoncore.Document) {
	for _, field := range []string{"documents", "updates"} {
		list, _ := cmd.Lookup(field).ArrayOK()
		values, _ := list.Values()
		for _, v := range values {
			docs = append(docs, v.Document())
		}
	}
	if len(section) < 5 {
		return docs
	}
	_, section, _ = bytes.Cut(section[5:], []byte{0})
	for len(section) > 0 {
		doc, rest, ok := bsoncore.ReadDocument(section)
		if !ok {
			break
		}
		docs, section = append(docs, doc), rest
	}
	return docs
}

// write keeps a document to insert, to upsert or to put in place of another.
func (s *canned) write(doc bsoncore.Document) {
	id := idOf(bsoncore.Value{Type: bsoncore.TypeEmbeddedDocument, Data: doc})
	if u, ok := doc.Lookup("u").DocumentOK(); ok {
		if upsert, _ := doc.Lookup("upsert").BooleanOK(); !upsert {
			return
		}
		id, doc = idOf(doc.Lookup("q")), u
		if set, ok := u.Lookup("$set").DocumentOK(); ok {
			doc = set
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = make(map[string]kept)
	}
	doc = bytes.Clone(doc)
	s.kept[string(id.Data)] = kept{doc, batch(doc)}
}

func idOf(doc bsoncore.Value) bsoncore.Value {
	d, _ := doc.DocumentOK()
	return d.Lookup("_id")
}

var (
	nothing = batch()
	one     = build(bson.D{{Key: "n", Value: int32(1)}, {Key: "nModified", Value: int32(1)}, {Key: "ok", Value: 1.0}})
)

// batch is laid out by hand: reflection on sixteen documents takes longer than
// the client that is to be measured.
func batch(docs ...bsoncore.Document) bsoncore.Document {
	first := bsoncore.NewArrayBuilder()
	for _, doc := range docs {
		first.AppendDocument(doc)
	}
	return bsoncore.NewDocumentBuilder().AppendDocument("cursor", bsoncore.NewDocumentBuilder().
		AppendArray("firstBatch", first.Build()).
		AppendInt64("id", 0).
		AppendString("ns", "app.http_sessions").
		Build()).AppendDouble("ok", 1).Build()
}

func hello() bsoncore.Document {
	return build(bson.D{
		{Key: "isWritablePrimary", Value: true},
		{Key: "ismaster", Value: true}, // to the handshake's legacy question
		{Key: "helloOk", Value: true},
		{Key: "maxBsonObjectSize", Value: int32(16 << 20)},
		{Key: "maxMessageSizeBytes", Value: int32(48000000)},
		{Key: "maxWriteBatchSize", Value: int32(100000)},
		{Key: "localTime", Value: time.Now()},
		{Key: "minWireVersion", Value: int32(0)},
		{Key: "maxWireVersion", Value: int32(25)},
		{Key: "logicalSessionTimeoutMinutes", Value: int32(30)},
		{Key: "ok", Value: 1.0},
	})
}

func build(d bson.D) bsoncore.Document {
	b, err := bson.Marshal(d)
	if err != nil {
		panic(err)
	}
	return b
}
