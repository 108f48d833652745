package express

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// maxDepth is the maximum depth of documents in MongoDB.
const maxDepth = 200

// appendDocument appends a document as JSON.stringify writes it after the Node.js
// driver has read it.
func appendDocument(b []byte, doc bson.Raw, depth int) ([]byte, error) {
	elements, err := doc.Elements()
	if err != nil || depth > maxDepth {
		return nil, fmt.Errorf("%w: its document is not valid BSON", ErrDamaged)
	}
	b = append(b, '{')
	for _, e := range elements {
		mark := len(b)
		if len(b) > 0 && b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(appendString(b, e.Key()), ':')
		at := len(b)
		if b, err = appendValue(b, e.Value(), depth+1); err != nil {
			return nil, err
		}
		if len(b) == at { // JSON.stringify leaves such values out
			b = b[:mark]
		}
	}
	return append(b, '}'), nil
}

// appendArray appends an array.
func appendArray(b []byte, a bson.RawArray, depth int) ([]byte, error) {
	values, err := a.Values()
	if err != nil || depth > maxDepth {
		return nil, fmt.Errorf("%w: its document is not valid BSON", ErrDamaged)
	}
	b = append(b, '[')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		at := len(b)
		if b, err = appendValue(b, v, depth+1); err != nil {
			return nil, err
		}
		if len(b) == at {
			b = append(b, "null"...)
		}
	}
	return append(b, ']'), nil
}

// appendValue appends a value. It appends nothing for values that JSON.stringify
// leaves out.
func appendValue(b []byte, v bson.RawValue, depth int) ([]byte, error) {
	switch v.Type {
	case bson.TypeEmbeddedDocument:
		return appendDocument(b, v.Document(), depth)
	case bson.TypeArray:
		return appendArray(b, v.Array(), depth)
	case bson.TypeString:
		return appendString(b, v.StringValue()), nil
	case bson.TypeSymbol:
		return appendString(b, v.Symbol()), nil
	case bson.TypeBoolean:
		return strconv.AppendBool(b, v.Boolean()), nil
	case bson.TypeNull:
		return append(b, "null"...), nil
	case bson.TypeInt32:
		return strconv.AppendInt(b, int64(v.Int32()), 10), nil
	case bson.TypeInt64:
		return strconv.AppendInt(b, v.Int64(), 10), nil
	case bson.TypeDouble:
		return appendFloat(b, v.Double()), nil
	case bson.TypeDateTime:
		return appendTime(b, v.Time()), nil
	case bson.TypeObjectID:
		return appendString(b, v.ObjectID().Hex()), nil
	case bson.TypeBinary:
		_, data := v.Binary()
		return appendString(b, base64.StdEncoding.EncodeToString(data)), nil
	case bson.TypeDecimal128:
		return append(appendString(append(b, `{"$numberDecimal":`...), v.Decimal128().String()), '}'), nil
	case bson.TypeRegex:
		return append(b, "{}"...), nil
	}
	return b, nil // undefined, functions, keys and others
}

// appendString appends a string.
func appendString(b []byte, s string) []byte {
	var buf strings.Builder
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can always be encoded
	return append(b, strings.TrimSuffix(buf.String(), "\n")...)
}

// appendTime appends a time as Date.prototype.toJSON does.
func appendTime(b []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(b, `"2006-01-02T15:04:05.000Z"`)
}

// appendFloat appends a number as Number.prototype.toString does (ECMA-262,
// section 6.1.6.1.20).
func appendFloat(b []byte, f float64) []byte {
	switch abs := math.Abs(f); {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return append(b, "null"...)
	case f == 0:
		return append(b, '0') // also for -0
	case abs < 1e-6 || abs >= 1e21:
		text := strconv.FormatFloat(f, 'e', -1, 64)
		mantissa, exponent, _ := strings.Cut(text, "e")
		sign, digits := exponent[:1], strings.TrimLeft(exponent[1:], "0")
		return append(b, mantissa+"e"+sign+digits...)
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}
