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

// special tells what must not stand in a field's name: a dot in an update's
// path means nesting and a dollar an operator; BSON cannot hold a NUL or what is
// not UTF-8, and FerretDB refuses a name that begins or ends with white space.
func special(r rune) bool {
	return r == '%' || r == '.' || r == '$' || r == 0 || r == utf8.RuneError || unicode.IsSpace(r)
}

// escape makes a key a field's name.
func escape(name string) string {
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

// unescape is its inverse; a name that escape did not write stays as it is.
func unescape(field string) string {
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

// end closes a document. The only error is a length beyond 2 GiB.
func end(b []byte, at int32) []byte {
	b, _ = bsoncore.AppendDocumentEnd(b, at)
	return b
}

const emptyDocument = 5 // bytes: its length and the end

func appendCondition(b []byte, path string, condition func([]byte) []byte) []byte {
	at, b := bsoncore.AppendDocumentElementStart(b, path)
	return end(condition(b), at)
}

// appendOperator leaves out an operator that has nothing to do: servers before
// 5.0 refuse it.
func appendOperator(b []byte, operator string, fields func([]byte) []byte) []byte {
	before := len(b)
	at, b := bsoncore.AppendDocumentElementStart(b, operator)
	start := len(b)
	if b = fields(b); len(b) == start {
		return b[:before]
	}
	return end(b, at)
}

// each calls f for the elements of a document, up to the first broken one, in
// one pass: bsoncore's Element looks for the key's end again for each question.
// The keys are bytes, as most are only compared: as strings they were a tenth of
// a load's allocations.
func each(doc bsoncore.Document, f func(key []byte, v bsoncore.Value)) {
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

// binary is never nil for what is binary.
func binary(v bsoncore.Value) []byte {
	_, data, ok := v.BinaryOK()
	if !ok {
		return nil
	}
	return data[:len(data):len(data)]
}

// milliseconds takes what no timeout can be for none.
func milliseconds(v bsoncore.Value) time.Duration {
	ms, ok := v.AsInt64OK()
	if !ok || ms < 0 || ms > math.MaxInt64/int64(time.Millisecond) {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// text returns a string's bytes, never nil for what is a string.
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
