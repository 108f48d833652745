package mongostore

import (
	"bytes"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/holdfast-go/session"
)

// special reports whether r must be escaped in a field name. In the path of an
// update, a dot means nesting and a dollar sign an operator. BSON cannot hold NUL
// or invalid UTF-8. FerretDB rejects a name with white space at an end.
func special(r rune) bool {
	return r == '%' || r == '.' || r == '$' || r == 0 || r == utf8.RuneError || unicode.IsSpace(r)
}

// escapeKey returns the field name for a key, escaped as in a URL.
func escapeKey(name string) string {
	if strings.IndexFunc(name, special) < 0 {
		return name
	}
	var b strings.Builder
	for len(name) > 0 {
		r, size := utf8.DecodeRuneInString(name)
		for _, c := range []byte(name[:size]) {
			if special(r) {
				fmt.Fprintf(&b, "%%%02X", c)
			} else {
				b.WriteByte(c)
			}
		}
		name = name[size:]
	}
	return b.String()
}

// unescapeKey is the inverse of escapeKey. It returns other field names unchanged.
func unescapeKey(field string) string {
	if name, err := url.PathUnescape(field); err == nil {
		return name
	}
	return field
}

const subtypeUUID = 4

func appendID(b []byte, key string, id session.ID) []byte {
	return bsoncore.AppendBinaryElement(b, key, subtypeUUID, id[:])
}

func appendTime(b []byte, key string, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	return bsoncore.AppendDateTimeElement(b, key, t.UnixMilli())
}

func appendText(b []byte, key, text string) []byte {
	if text == "" {
		return b
	}
	return bsoncore.AppendStringElement(b, key, text)
}

func appendBytes(b []byte, key string, data []byte) []byte {
	if data == nil {
		return b
	}
	return bsoncore.AppendBinaryElement(b, key, 0, data)
}

// endDocument ends a document. It ignores the only possible error, a length of
// more than 2 GiB.
func endDocument(b []byte, at int32) []byte {
	b, _ = bsoncore.AppendDocumentEnd(b, at)
	return b
}

const emptyDocument = 5 // bytes: its length and the end

func appendCondition(b []byte, path string, condition func([]byte) []byte) []byte {
	at, b := bsoncore.AppendDocumentElementStart(b, path)
	return endDocument(condition(b), at)
}

// appendOperator omits an operator without fields, because servers before 5.0
// reject it.
func appendOperator(b []byte, operator string, fields func([]byte) []byte) []byte {
	before := len(b)
	at, b := bsoncore.AppendDocumentElementStart(b, operator)
	start := len(b)
	if b = fields(b); len(b) == start {
		return b[:before]
	}
	return endDocument(b, at)
}

// eachElement calls f for the elements of a document, up to the first malformed
// one. It makes one pass, whereas bsoncore's Element searches for the end of the
// key again in each method. Keys are bytes because most are only compared. Strings
// caused a tenth of the allocations of a load.
func eachElement(doc bsoncore.Document, f func(key []byte, v bsoncore.Value)) {
	length, rest, ok := bsoncore.ReadLength(doc)
	if !ok || int(length) > len(doc) || length < emptyDocument {
		return
	}
	rest = rest[:length-emptyDocument]
	for len(rest) > 0 {
		kind, named := bsoncore.Type(rest[0]), rest[1:]
		end := bytes.IndexByte(named, 0)
		if end < 0 {
			return
		}
		v, next, ok := bsoncore.ReadValue(named[end+1:], kind)
		if !ok {
			return
		}
		f(named[:end], v)
		rest = next
	}
}

// binary returns the bytes of a binary value, and nil for other types. For an
// empty binary value it is not nil.
func binary(v bsoncore.Value) []byte {
	_, data, ok := v.BinaryOK()
	if !ok {
		return nil
	}
	return data[:len(data):len(data)]
}

// milliseconds returns a duration, and zero for a value out of range.
func milliseconds(v bsoncore.Value) time.Duration {
	ms, ok := v.AsInt64OK()
	if !ok || ms < 0 || ms > math.MaxInt64/int64(time.Millisecond) {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// text returns the bytes of a string, and nil for other types. For an empty string
// it is not nil.
func text(v bsoncore.Value) []byte {
	length, rest, ok := bsoncore.ReadLength(v.Data)
	if v.Type != bsoncore.TypeString || !ok || length < 1 || int(length) > len(rest) {
		return nil
	}
	return rest[: length-1 : length-1]
}

func date(v bsoncore.Value) time.Time {
	ms, ok := v.DateTimeOK()
	if !ok {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
