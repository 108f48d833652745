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
	"strconv"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
)

// canned implements the part of the MongoDB protocol that a driver needs, and
// responds at once. It finds documents by their _id, stores the fields of an
// upsert, and reports success for every other write. It shows the cost of a
// client, which the time of a real server would hide.
type canned struct {
	mu   sync.RWMutex
	kept map[string]bsoncore.Document // keyed by the bytes of the _id
}

const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013
)

// DialContext makes canned the dialer of the driver. A reply is ready as soon
// as the command is written, without the kernel or another goroutine.
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

// serveCanned serves on a free port until standard input is closed, and prints
// the URI.
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
		out = append(out, 0, 0, 0, 0, 0) // flags, and a section of kind 0
		var err error
		if out, err = s.command(out, msg[20:]); err != nil {
			return nil, err
		}
	default:
		return nil, errors.New("unknown operation")
	}
	binary.LittleEndian.PutUint32(out[at:], uint32(len(out)-at))
	copy(out[at+8:at+12], msg[4:8])
	return out, nil
}

// command appends the reply to a command.
func (s *canned) command(out, sections []byte) ([]byte, error) {
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
		return append(out, hello()...), nil
	case "find":
		return s.find(out, cmd), nil
	case "insert", "update":
		for _, doc := range documents(cmd, rest) {
			s.write(doc)
		}
	}
	return append(out, one...), nil
}

// find appends the reply for one _id or for a list of them. For one it
// allocates nothing, because allocations would be counted as those of a client
// in the same process. For a list it allocates little, so that it is faster
// than the client.
func (s *canned) find(out []byte, cmd bsoncore.Document) []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	id := idOf(cmd.Lookup("filter"))
	if id.Type != bsoncore.TypeEmbeddedDocument {
		if doc, ok := s.kept[string(id.Data)]; ok {
			return appendBatch(out, doc)
		}
		return appendBatch(out)
	}
	list, _ := id.Document().Lookup("$in").ArrayOK()
	ids, _ := list.Values()
	docs := make([]bsoncore.Document, 0, len(ids))
	for _, id := range ids {
		if doc, ok := s.kept[string(id.Data)]; ok {
			docs = append(docs, doc)
		}
	}
	return appendBatch(out, docs...)
}

// documents returns the documents of an insert or the statements of an update.
// The Go driver sends them after the command in a section of kind 1, which
// holds its length, a name and the documents. Node sends them in the command.
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

// write stores the document of an insert, an upsert or a replacement.
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
		s.kept = make(map[string]bsoncore.Document)
	}
	s.kept[string(id.Data)] = bytes.Clone(doc)
}

func idOf(doc bsoncore.Value) bsoncore.Value {
	d, _ := doc.DocumentOK()
	return d.Lookup("_id")
}

var one = build(bson.D{{Key: "n", Value: int32(1)}, {Key: "nModified", Value: int32(1)}, {Key: "ok", Value: 1.0}})

// appendBatch appends the reply to a find without an encoder.
func appendBatch(out []byte, docs ...bsoncore.Document) []byte {
	reply, out := bsoncore.AppendDocumentStart(out)
	cursor, out := bsoncore.AppendDocumentElementStart(out, "cursor")
	first, out := bsoncore.AppendArrayElementStart(out, "firstBatch")
	for i, doc := range docs {
		out = bsoncore.AppendDocumentElement(out, strconv.Itoa(i), doc)
	}
	out = closed(out, first)
	out = bsoncore.AppendInt64Element(out, "id", 0)
	out = bsoncore.AppendStringElement(out, "ns", "app.http_sessions")
	out = closed(out, cursor)
	out = bsoncore.AppendDoubleElement(out, "ok", 1)
	return closed(out, reply)
}

// closed ends a document. Its only error is a length of more than 2 GiB.
func closed(out []byte, at int32) []byte {
	out, _ = bsoncore.AppendDocumentEnd(out, at)
	return out
}

func hello() bsoncore.Document {
	return build(bson.D{
		{Key: "isWritablePrimary", Value: true},
		{Key: "ismaster", Value: true}, // reply to the legacy command of the handshake
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
