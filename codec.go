package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
)

// Codec encodes and decodes the values of keys. It must be safe for concurrent
// use. The encoded form need not include the type of the value, because each
// key has only one type.
//
// Set and Update decode each value after a Codec has encoded it. They refuse
// the value if this fails or if the value would come back changed.
type Codec interface {
	// Encode returns the encoded form of the value to which v points. For a
	// Key[T], v is a *T, so a codec can use the methods of *T. If T is a
	// pointer type, v is a T, which may be nil.
	Encode(v any) ([]byte, error)

	// Decode decodes data into the value to which v points. For a Key[T], v is
	// always a *T.
	Decode(data []byte, v any) error
}

// jsonCodec is encoding/json with a fast path for plain strings, the values of
// most sessions. It saves a tenth of the time of such a read.
type jsonCodec struct{}

func (jsonCodec) Encode(v any) ([]byte, error) {
	if text, ok := v.(*string); ok && isPlain(*text) {
		data := append(make([]byte, 0, len(*text)+2), '"')
		return append(append(data, *text...), '"'), nil
	}
	return json.Marshal(v)
}

func (jsonCodec) Decode(data []byte, v any) error {
	text, ok := v.(*string)
	if end := len(data) - 1; ok && end > 0 && data[0] == '"' && data[end] == '"' && isPlain(data[1:end]) {
		*text = string(data[1:end])
		return nil
	}
	return json.Unmarshal(data, v)
}

// isPlain reports whether encoding/json writes a text without escapes. It is
// printable ASCII without quotes, backslashes and the characters of HTML
// markup.
func isPlain[T string | []byte](text T) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ', c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}

// A stored value begins with escape only if its second byte names its form.
// 0x00 is a plain value that itself begins with 0xFF, as a value of gob may.
// 0x01 is an encrypted value. A later version can add other forms.
const (
	escape      = 0xFF
	escapePlain = 0x00
)

var (
	errDamaged = errors.New("the stored data is not a value")
	errSealed  = errors.New("the value is encrypted with another secret or has a form that this version cannot read; accept that secret (WithAcceptedSecrets) or deploy the version that wrote it, or Delete the key")
)

// encode returns the stored form of the value to which v points, with a new
// version.
func (m *Manager) encode(v any) (Value, error) {
	data, err := m.callEncode(v)
	if err != nil {
		return Value{}, fmt.Errorf("cannot encode: %w", err)
	}
	if err := m.checkRoundTrip(v, data); err != nil {
		return Value{}, err
	}
	if len(data) == 0 {
		data = []byte{} // nil means damaged data
	} else if data[0] == escape {
		data = append([]byte{escape, escapePlain}, data...)
	}
	return Value{Data: data, Version: newVersion()}, nil
}

// callEncode passes the value to which v points to the codec. It turns a panic
// of the codec into an error, so the error text names the key and the call.
// For example, encoding/gob panics for a nil pointer.
func (m *Manager) callEncode(v any) (data []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the codec panicked: %v", r)
		}
	}()
	// encoding/gob cannot encode a pointer to a pointer to a type that
	// encodes itself, such as *big.Int.
	if p := reflect.ValueOf(v).Elem(); p.Kind() == reflect.Pointer {
		v = p.Interface()
	}
	return m.codec.Encode(v)
}

// decodeValue decodes a value, stored or pending, into the value to which v
// points. The ID of the record is needed to decrypt it.
func (m *Manager) decodeValue(record ID, name string, val Value, v any) error {
	val, err := m.reveal(record, name, val)
	if err != nil {
		return err
	}
	data := val.Data
	switch {
	case data == nil:
		return errDamaged
	case len(data) > 1 && data[0] == escape && data[1] == escapePlain:
		data = data[2:]
	case len(data) > 0 && data[0] == escape:
		return errSealed
	}
	if err := m.callDecode(data, v); err != nil {
		return fmt.Errorf("cannot decode: %w", err)
	}
	return nil
}

// callDecode passes a copy of data to a codec other than JSON, because such a
// codec may decode in place, as ciphers do.
func (m *Manager) callDecode(data []byte, v any) error {
	if !m.isJSON() {
		data = bytes.Clone(data)
	}
	return m.codec.Decode(data, v)
}

// newVersion returns 63 random bits. 0 is excluded, because it means an absent
// key. A version need not be secret, but must be unique.
func newVersion() int64 {
	for {
		if v := rand.Int64(); v != 0 {
			return v
		}
	}
}
