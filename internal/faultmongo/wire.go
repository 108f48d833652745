package faultmongo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/wiremessage"
)

// The part of the wire protocol for a proxy. By its documentation, the packages
// of the driver for the protocol are not for general use. A test may import
// them.

const (
	headerLen = 16
	opQuery   = 2004
	maxFrame  = 48_000_000
)

var errMalformed = errors.New("faultmongo: a malformed message")

// request is a command. Only the first hello of the driver still arrives as an
// OP_QUERY.
type request struct {
	id     int32
	legacy bool
	body   bsoncore.Document
	rest   []byte // document sequences, unchanged
}

func readFrame(r io.Reader) ([]byte, error) {
	var head [headerLen]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int32(binary.LittleEndian.Uint32(head[:]))
	if n < headerLen || n > maxFrame {
		return nil, fmt.Errorf("%w: %d bytes", errMalformed, n)
	}
	frame := make([]byte, n)
	copy(frame, head[:])
	_, err := io.ReadFull(r, frame[headerLen:])
	return frame, err
}

func readRequest(r io.Reader) (*request, error) {
	frame, err := readFrame(r)
	if err != nil {
		return nil, err
	}
	_, id, _, op, rest, _ := wiremessage.ReadHeader(frame)
	switch op {
	case opQuery:
		body, err := queryBody(rest)
		return &request{id: id, legacy: true, body: body}, err
	case wiremessage.OpMsg:
		body, seqs, err := msgSections(rest)
		return &request{id: id, body: body, rest: seqs}, err
	default:
		return nil, fmt.Errorf("%w: %v; leave out the option compressors", errMalformed, op)
	}
}

// queryBody skips the flags, the name of the collection and two numbers.
func queryBody(rest []byte) (bsoncore.Document, error) {
	_, rest, ok := bytes.Cut(rest[min(4, len(rest)):], []byte{0})
	body, _, whole := bsoncore.ReadDocument(rest[min(8, len(rest)):])
	if !ok || !whole || body.Validate() != nil {
		return nil, errMalformed
	}
	return body, nil
}

// msgSections returns the body of an OP_MSG and its other sections, unchanged.
func msgSections(rest []byte) (body bsoncore.Document, seqs []byte, err error) {
	flags, rest, ok := wiremessage.ReadMsgFlags(rest)
	if !ok || flags&(wiremessage.ChecksumPresent|wiremessage.MoreToCome) != 0 {
		return nil, nil, fmt.Errorf("%w: flags %b", errMalformed, flags)
	}
	for len(rest) > 0 {
		kind, after, _ := wiremessage.ReadMsgSectionType(rest)
		if kind == wiremessage.SingleDocument {
			body, rest, ok = wiremessage.ReadMsgSectionSingleDocument(after)
		} else {
			section := rest
			_, _, rest, ok = wiremessage.ReadMsgSectionRawDocumentSequence(after)
			if ok {
				seqs = append(seqs, section[:len(section)-len(rest)]...)
			}
		}
		if !ok {
			return nil, nil, errMalformed
		}
	}
	if body == nil || body.Validate() != nil {
		return nil, nil, errMalformed
	}
	return body, seqs, nil
}

// name returns the name of the command, which is the first key of its body.
func (r *request) name() string {
	first, err := r.body.IndexErr(0)
	if err != nil {
		return ""
	}
	return first.Key()
}

// strip removes the fields for logical sessions, which a server without them
// rejects.
func (r *request) strip(keys ...string) error {
	elems, err := r.body.Elements()
	if err != nil {
		return err
	}
	builder := bsoncore.NewDocumentBuilder()
	for _, e := range elems {
		if !contains(keys, e.Key()) {
			builder.AppendValue(e.Key(), e.Value())
		}
	}
	r.body = builder.Build()
	return nil
}

func contains(keys []string, key string) bool {
	for _, k := range keys {
		if k == key {
			return true
		}
	}
	return false
}

// encode returns the request for the real server.
func (r *request) encode() []byte {
	return append(msg(r.id, 0, r.body), r.rest...).fixed()
}

// frame is a message. Its length field may not be set yet.
type frame []byte

func (f frame) fixed() []byte {
	binary.LittleEndian.PutUint32(f, uint32(len(f)))
	return f
}

func msg(id, responseTo int32, body bsoncore.Document) frame {
	_, b := wiremessage.AppendHeaderStart(nil, id, responseTo, wiremessage.OpMsg)
	b = wiremessage.AppendMsgFlags(b, 0)
	b = wiremessage.AppendMsgSectionType(b, wiremessage.SingleDocument)
	return append(b, body...)
}

var replies atomic.Int32

// reply returns a reply in the format of the request.
func (r *request) reply(body bsoncore.Document) []byte {
	id := replies.Add(1)
	if !r.legacy {
		return msg(id, r.id, body).fixed()
	}
	_, b := wiremessage.AppendHeaderStart(nil, id, r.id, wiremessage.OpReply)
	b = wiremessage.AppendReplyFlags(b, wiremessage.AwaitCapable)
	b = wiremessage.AppendReplyCursorID(b, 0)
	b = wiremessage.AppendReplyStartingFrom(b, 0)
	b = wiremessage.AppendReplyNumberReturned(b, 1)
	return frame(append(b, body...)).fixed()
}

// roundTrip sends a command to the real server and returns its reply.
func roundTrip(server net.Conn, r *request) (bsoncore.Document, error) {
	if _, err := server.Write(r.encode()); err != nil {
		return nil, err
	}
	answer, err := readFrame(server)
	if err != nil {
		return nil, err
	}
	_, _, _, op, rest, _ := wiremessage.ReadHeader(answer)
	if op != wiremessage.OpMsg {
		return nil, fmt.Errorf("%w: an answer of kind %v", errMalformed, op)
	}
	body, _, err := msgSections(rest)
	return body, err
}
