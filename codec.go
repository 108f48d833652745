package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
)

// Codec turns the values of keys into bytes and back. It is safe for
// concurrent use. The bytes need not tell their type: each key has one.
type Codec interface {
	Encode(v any) ([]byte, error)
	// Decode stores what data holds into v, a pointer.
	Decode(data []byte, v any) error
}

// jsonCodec is encoding/json, with a short way for what most sessions hold:
// it spares such a read a tenth of its time.
type jsonCodec struct{}

func (jsonCodec) Encode(v any) ([]byte, error) {
	if text, ok := v.(string); ok && isPlain(text) {
		data := append(make([]byte, 0, len(text)+2), '"')
		return append(append(data, text...), '"'), nil
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

// isPlain tells whether JSON writes a text as it is: printable ASCII without
// what encoding/json escapes.
func isPlain[T string | []byte](text T) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ', c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}

// A stored value begins with 0xFF only where a second byte says what follows:
// 0x00 a plain value that itself begins with 0xFF, as gob's may. The others
// are kept for values that this version cannot read, encrypted ones first.
const (
	escape      = 0xFF
	escapePlain = 0x00
)

var (
	errDamaged = errors.New("what is stored is not a value")
	errSealed  = errors.New("the value is in a form that this version cannot read; deploy the version that wrote it, or Delete the key")
)

// encode returns v as a value to store, under a version of its own.
func (m *Manager) encode(v any) (Value, error) {
	data, err := m.codec.Encode(v)
	if err != nil {
		return Value{}, fmt.Errorf("cannot encode: %w", err)
	}
	if len(data) == 0 {
		data = []byte{} // nil stands for a damaged one
	} else if data[0] == escape {
		data = append([]byte{escape, escapePlain}, data...)
	}
	return Value{Data: data, Version: newVersion()}, nil
}

func (m *Manager) decodeValue(val Value, v any) error {
	data := val.Data
	switch {
	case data == nil:
		return errDamaged
	case len(data) > 1 && data[0] == escape && data[1] == escapePlain:
		data = data[2:]
	case len(data) > 0 && data[0] == escape:
		return errSealed
	}
	if err := m.codec.Decode(data, v); err != nil {
		return fmt.Errorf("cannot decode: %w", err)
	}
	return nil
}

func (v Value) sealed() bool {
	return len(v.Data) > 0 && v.Data[0] == escape && (len(v.Data) == 1 || v.Data[1] != escapePlain)
}

// newVersion returns 63 random bits, never 0, which stands for an absent key.
// It need not be secret, but must never come twice.
func newVersion() int64 {
	for {
		if v := rand.Int64(); v != 0 {
			return v
		}
	}
}
