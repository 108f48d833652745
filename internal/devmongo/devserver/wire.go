package devserver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The part of the MongoDB wire protocol that the proxy needs: frames, and the name of the command in them.
// https://github.com/mongodb/specifications/blob/master/source/message/OP_MSG.md

const (
	headerLen = 16
	maxFrame  = 48_000_000 // maxMessageSizeBytes, which MongoDB and FerretDB name in their hello

	opQuery      = 2004
	opCompressed = 2012
	opMsg        = 2013

	checksumPresent = 1 << 0
	moreToCome      = 1 << 1
	exhaustAllowed  = 1 << 16
)

// frame is a whole message, header included.
type frame []byte

// readFrame reads one message. The memory grows with what arrives, not with what the length field claims.
func readFrame(r io.Reader) (frame, error) {
	var buf bytes.Buffer
	if _, err := io.CopyN(&buf, r, headerLen); err != nil {
		return nil, err
	}
	n := int64(int32(binary.LittleEndian.Uint32(buf.Bytes())))
	if n < headerLen || n > maxFrame {
		return nil, fmt.Errorf("a message of %d bytes: expected %d to %d", n, headerLen, maxFrame)
	}
	if _, err := io.CopyN(&buf, r, n-headerLen); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return buf.Bytes(), nil
}

func (f frame) opcode() int32 { return int32(binary.LittleEndian.Uint32(f[12:])) }

// flags are those of an OP_MSG; other messages have none that matter here.
func (f frame) flags() uint32 {
	if f.opcode() != opMsg || len(f) < headerLen+4 {
		return 0
	}
	return binary.LittleEndian.Uint32(f[headerLen:])
}

// oneReply turns a request that has no reply (moreToCome) or several (exhaustAllowed) into one with a single reply.
// It changes the frame in place. A checksum, optional and over the whole message, goes too.
func (f frame) oneReply() frame {
	flags := f.flags()
	if flags&(moreToCome|exhaustAllowed) == 0 {
		return f
	}
	if flags&checksumPresent != 0 && len(f) >= headerLen+8 {
		f = f[:len(f)-4]
		binary.LittleEndian.PutUint32(f, uint32(len(f)))
	}
	binary.LittleEndian.PutUint32(f[headerLen:], flags&^(moreToCome|exhaustAllowed|checksumPresent))
	return f
}

var errMalformed = errors.New("a malformed message")

// command is the name of the command in a request: the first key of its document.
func (f frame) command() (string, error) {
	switch op := f.opcode(); op {
	case opMsg:
		return f.msgCommand()
	case opQuery:
		// Flags, the collection's name, two numbers, the document. Only the handshake still comes this way.
		if i := bytes.IndexByte(f[min(headerLen+4, len(f)):], 0); i >= 0 {
			return firstKey(f[min(headerLen+4+i+1+8, len(f)):])
		}
		return "", errMalformed
	case opCompressed:
		return "", errors.New("a compressed message, which this server has not offered: leave out the option compressors")
	default:
		return "", fmt.Errorf("a message of kind %d, which MongoDB has retired: use a newer driver", op)
	}
}

// msgCommand looks for the body among the sections of an OP_MSG: drivers put it first, the protocol need not.
func (f frame) msgCommand() (string, error) {
	rest := f[min(headerLen+4, len(f)):]
	for len(rest) >= 5 {
		kind, section := rest[0], rest[1:]
		if kind == 0 {
			return firstKey(section)
		}
		n := int64(int32(binary.LittleEndian.Uint32(section)))
		if n < 4 || n > int64(len(section)) {
			return "", errMalformed
		}
		rest = section[n:]
	}
	return "", errMalformed
}

// firstKey reads the first key of a BSON document: its length, a type, then the key up to a NUL.
func firstKey(doc []byte) (string, error) {
	if len(doc) < 6 {
		return "", errMalformed
	}
	key, _, ok := bytes.Cut(doc[5:], []byte{0})
	if !ok {
		return "", errMalformed
	}
	return string(key), nil
}
