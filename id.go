package session

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// ID names a record for life: in the store, in device lists, in logs. It is
// no credential. The zero ID names none.
type ID [16]byte

// newID returns a UUIDv7 (RFC 9562, section 5.7): IDs made in one period lie
// side by side in the store's index, which keeps inserts local.
func newID(now time.Time) ID {
	var id ID
	rand.Read(id[6:])
	binary.BigEndian.PutUint16(id[:2], uint16(now.UnixMilli()>>32))
	binary.BigEndian.PutUint32(id[2:6], uint32(now.UnixMilli()))
	id.setVersion(7)
	return id
}

func (id *ID) setVersion(v byte) {
	id[6] = id[6]&0x0f | v<<4
	id[8] = id[8]&0x3f | 0x80
}

// String returns the UUID's text, as in 0198f2a4-7c1e-7d3b-9a52-0c5de1f1a2b3.
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

// IsZero tells whether id names no record.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText implements [encoding.TextMarshaler]. It returns the same text as
// String, so that an ID is readable in JSON.
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

// ParseID reads what String wrote. Anything else is an error, which does not
// repeat the input.
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
