package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
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

// checkName tells what is wrong with a key's or user's name.
func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("a %s's name must not be empty", what)
	case strings.IndexByte(name, 0) >= 0:
		return fmt.Errorf("a %s's name must not contain NUL: %q", what, name)
	case !utf8.ValidString(name):
		return fmt.Errorf("a %s's name must be valid UTF-8: %q", what, name)
	}
	return nil
}

// maxWatched bounds what typeWatch keeps where names are made at run time.
const maxWatched = 1000

// typeWatch remembers the type of each key: a key of two types is a fault of
// the program that otherwise shows as values that come and go.
type typeWatch struct {
	seen  sync.Map // name → use
	count atomic.Int32
}

type use struct {
	typ reflect.Type
	at  string
}

func (m *Manager) watch(name string, typ reflect.Type) {
	first, ok := m.types.seen.Load(name)
	if !ok && m.types.count.Load() < maxWatched {
		m.types.count.Add(1)
		if m.cannotCarry(typ) {
			panic(fmt.Sprintf("session: key %q has type %v, which the codec cannot encode; store plain data (%s)", name, typ, callSite()))
		}
		first, ok = m.types.seen.LoadOrStore(name, use{typ, callSite()})
	}
	if ok && first.(use).typ != typ {
		panic(fmt.Sprintf("session: key %q is used with type %v (%s) and with type %v (%s); declare it once, or name one of them otherwise",
			name, first.(use).typ, first.(use).at, typ, callSite()))
	}
}

func (m *Manager) cannotCarry(typ reflect.Type) bool {
	switch typ.Kind() {
	case reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return true
	}
	// Other errors may be a type's own opinion of its zero value.
	var unsupported *json.UnsupportedTypeError
	_, err := m.codec.Encode(reflect.Zero(typ).Interface())
	return errors.As(err, &unsupported)
}

// callSite returns file:line of the nearest caller outside this package.
func callSite() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "github.com/holdfast-go/session.") {
			return fmt.Sprintf("%s:%d", f.File, f.Line)
		}
		if !more {
			return "unknown"
		}
	}
}
