package devserver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The part of the MongoDB wire protocol for the proxy: frames, and the command name in them.
// https://github.com/mongodb/specifications/blob/master/source/message/OP_MSG.md

const (
	headerLen = 16
	maxFrame  = 48_000_000 // maxMessageSizeBytes in the hello of MongoDB and FerretDB

	opQuery      = 2004
	opCompressed = 2012
	opMsg        = 2013

	checksumPresent = 1 << 0
	moreToCome      = 1 << 1
	exhaustAllowed  = 1 << 16
)

// frame is a complete message with its header.
type frame []byte

// readFrame reads one message. Its memory grows with the received bytes and not with the length in the header.
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

// flags returns the flags of an OP_MSG. Other messages have no relevant flags.
func (f frame) flags() uint32 {
	if f.opcode() != opMsg || len(f) < headerLen+4 {
		return 0
	}
	return binary.LittleEndian.Uint32(f[headerLen:])
}

// oneReply changes a request without a reply (moreToCome) or with several (exhaustAllowed) into a request with one
// reply. It changes the frame in place. It also removes the optional checksum, which covers the whole message.
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

// command returns the name of the command in a request, which is the first key of its document.
func (f frame) command() (string, error) {
	switch op := f.opcode(); op {
	case opMsg:
		return f.msgCommand()
	case opQuery:
		// The message holds flags, the name of the collection, two numbers and the document. Only the handshake still
		// uses it.
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

// msgCommand finds the body among the sections of an OP_MSG. Drivers send it first, but the protocol allows any order.
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

// firstKey returns the first key of a BSON document. The document begins with its length, a type and the key, which
// ends with a NUL byte.
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
