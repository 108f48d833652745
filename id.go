package session

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// ID identifies a record, from its creation to its end. It is a UUID (RFC
// 9562). It appears in the store, in lists of devices and in logs, and is not
// a credential. The zero ID identifies no record.
type ID [16]byte

// newID returns a UUIDv7 (RFC 9562, section 5.7). IDs of one period are
// adjacent in the store's index, so inserts touch few pages of it.
func newID(now time.Time) ID {
	var id ID
	rand.Read(id[6:])
	binary.BigEndian.PutUint16(id[:2], uint16(now.UnixMilli()>>32))
	binary.BigEndian.PutUint32(id[2:6], uint32(now.UnixMilli()))
	id.setVersion(7)
	return id
}

// setVersion sets the version and variant fields of a UUID (RFC 9562, section
// 4).
func (id *ID) setVersion(v byte) {
	id[6] = id[6]&0x0f | v<<4
	id[8] = id[8]&0x3f | 0x80
}

// String returns the text form of the UUID, such as
// 0198f2a4-7c1e-7d3b-9a52-0c5de1f1a2b3.
func (id ID) String() string {
	var b [36]byte
	hex.Encode(b[:8], id[:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:], id[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// IsZero reports whether id is the zero ID.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText implements [encoding.TextMarshaler]. It returns the same text as
// [ID.String], so an ID is readable in JSON.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts the same text
// as [ParseID]. If it returns an error, id is unchanged.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err == nil {
		*id = parsed
	}
	return err
}

// ParseID parses the text form of an ID, as returned by [ID.String], in lower
// or upper case. It returns an error for any other text. The error does not
// contain the text.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, fmt.Errorf("session: an ID is written as 8-4-4-4-12 hexadecimal digits, this has %d bytes", len(s))
	}
	if _, err := hex.Decode(id[:], []byte(s[:8]+s[9:13]+s[14:18]+s[19:23]+s[24:])); err != nil {
		return ID{}, fmt.Errorf("session: an ID is written in hexadecimal digits: %w", err)
	}
	return id, nil
}
