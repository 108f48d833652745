package session

import (
	"bytes"
	"encoding"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// escapedRune is the escape of encoding/json for a byte of invalid UTF-8. It
// writes a valid U+FFFD unescaped.
var escapedRune = []byte(`\ufffd`)

var (
	errNotUTF8 = errors.New("a string is not valid UTF-8 and would come back changed; use []byte")
	errRounded = errors.New("a large integer in an interface would be rounded; use a concrete type")
)

// checkRoundTrip returns an error if the value to which v points cannot be
// read back from data. Without this check a later Get would report the key as
// absent, or return another value.
func (m *Manager) checkRoundTrip(v any, data []byte) error {
	typ := reflect.TypeOf(v).Elem()
	if m.isJSON() && m.types.isFaithful(typ) && !bytes.Contains(data, escapedRune) {
		return nil
	}
	back := reflect.New(typ)
	if err := m.callDecode(data, back.Interface()); err != nil {
		return fmt.Errorf("the encoded value cannot be decoded: %w", err)
	}
	// The two values are not compared, because many types come back in another
	// form with the same meaning, such as a time.Time without its monotonic part.
	sent := findings{methods: m.ownMethods()}
	sent.add(reflect.ValueOf(v).Elem(), position{})
	if sent.notUTF8+sent.precise+sent.hidden == 0 {
		return nil
	}
	got := findings{methods: sent.methods}
	got.add(back.Elem(), position{})
	switch {
	case got.notUTF8 < sent.notUTF8 && got.replaced > sent.replaced:
		return errNotUTF8
	case got.precise < sent.precise && got.rounded > sent.rounded:
		return errRounded
	case got.hidden < sent.hidden:
		return fmt.Errorf("a %v has no exported fields and would come back empty; export them or give it MarshalJSON and UnmarshalJSON methods", sent.hiddenType)
	}
	return nil
}

// isJSON reports whether values are encoded by encoding/json itself.
func (m *Manager) isJSON() bool {
	_, ok := m.codec.(jsonCodec)
	return ok
}

// findings counts the parts of a value that a codec may lose without an
// error.
type findings struct {
	methods    []reflect.Type // types with one of these methods are not searched
	notUTF8    int            // strings that are not valid UTF-8
	replaced   int            // strings with U+FFFD
	precise    int            // integers in an interface that a float64 would round
	rounded    int            // floats in an interface, large enough to be rounded
	hidden     int            // non-zero structs without exported fields
	hiddenType reflect.Type   // type of the last one
}

// position describes the part of a value to search.
type position struct {
	dynamic  bool // inside an interface
	embedded bool // an embedded field, whose fields are promoted
	depth    int
}

// maxDepth limits the search in values with references to themselves.
const maxDepth = 1000

// add searches v. It never calls Interface, so v may be an unexported field.
func (f *findings) add(v reflect.Value, at position) {
	at.depth++
	if !v.IsValid() || at.depth > maxDepth || v.Kind() != reflect.Interface && hasMethod(v.Type(), f.methods) {
		return
	}
	in := position{dynamic: at.dynamic, depth: at.depth}
	switch v.Kind() {
	case reflect.String:
		f.addString(v.String())
	case reflect.Int, reflect.Int64:
		if at.dynamic && isPrecise(uint64(max(v.Int(), -v.Int()))) {
			f.precise++
		}
	case reflect.Uint, reflect.Uint64, reflect.Uintptr:
		if at.dynamic && isPrecise(v.Uint()) {
			f.precise++
		}
	case reflect.Float64:
		if at.dynamic && math.Abs(v.Float()) >= 1<<53 {
			f.rounded++
		}
	case reflect.Interface:
		in.dynamic = true
		f.add(v.Elem(), in)
	case reflect.Pointer:
		in.embedded = at.embedded
		f.add(v.Elem(), in)
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			f.add(v.Index(i), in)
		}
	case reflect.Map:
		for key, elem := range v.Seq2() {
			f.add(key, in)
			f.add(elem, in)
		}
	case reflect.Struct:
		f.addStruct(v, at)
	}
}

// isPrecise reports whether n has more significant bits than a float64 holds.
func isPrecise(n uint64) bool { return bits.Len64(n)-bits.TrailingZeros64(n) > 53 }

// addString counts a string.
func (f *findings) addString(s string) {
	switch {
	case !utf8.ValidString(s):
		f.notUTF8++
	case strings.ContainsRune(s, utf8.RuneError):
		f.replaced++
	}
}

// addStruct counts a struct and searches its fields.
func (f *findings) addStruct(v reflect.Value, at position) {
	t := v.Type()
	// The state of a lock is not data.
	if !at.embedded && isHidden(t) && !v.IsZero() && !hasMethod(t, lockMethods) {
		f.hidden++
		f.hiddenType = t
	}
	for i := range t.NumField() {
		field := t.Field(i)
		if !field.IsExported() && !isEmbeddedStruct(field) || strings.Contains(string(field.Tag), `:"-"`) {
			continue
		}
		f.add(v.Field(i), position{dynamic: at.dynamic, embedded: field.Anonymous, depth: at.depth})
	}
}

// isHidden reports whether a struct has content but no exported field, neither
// its own nor one of an embedded struct.
func isHidden(t reflect.Type) bool { return t.Size() > 0 && !exports(t, 0) }

// exports reports whether a struct has an exported field, also in embedded
// structs.
func exports(t reflect.Type, depth int) bool {
	for i := range t.NumField() {
		field := t.Field(i)
		if isEmbeddedStruct(field) {
			if depth < maxDepth && exports(deref(field.Type), depth+1) {
				return true
			}
		} else if field.IsExported() {
			return true
		}
	}
	return false
}

func isEmbeddedStruct(f reflect.StructField) bool {
	return f.Anonymous && deref(f.Type).Kind() == reflect.Struct
}

// deref returns the type to which t points, or t.
func deref(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

var (
	jsonMethods = []reflect.Type{
		reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.Unmarshaler](),
		reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
	}
	anyMethods  = append(jsonMethods[:4:4], reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[gob.GobEncoder]())
	lockMethods = []reflect.Type{reflect.TypeFor[sync.Locker]()}
)

// ownMethods returns the interfaces by which a type encodes itself.
func (m *Manager) ownMethods() []reflect.Type {
	if m.isJSON() {
		return jsonMethods
	}
	return anyMethods
}

// hasMethod reports whether t or *t implements one of the interfaces.
func hasMethod(t reflect.Type, interfaces []reflect.Type) bool {
	p := reflect.PointerTo(t)
	return slices.ContainsFunc(interfaces, func(i reflect.Type) bool { return p.Implements(i) || t.Implements(i) })
}

// isFaithful reports whether encoding/json decodes every value of t after
// encoding it and changes only strings with invalid UTF-8. It returns false
// for types it does not know.
func (w *typeWatch) isFaithful(t reflect.Type) bool {
	if known, ok := w.faithful.Load(t); ok {
		return known.(bool)
	}
	is := faithful(t, make(map[reflect.Type]bool))
	w.faithful.Store(t, is)
	return is
}

// faithful is isFaithful without the cache. It returns false for a type that
// contains itself, because encoding/json decodes at most 10,000 levels.
func faithful(t reflect.Type, seen map[reflect.Type]bool) bool {
	if is, ok := seen[t]; ok {
		return is
	}
	seen[t] = false
	seen[t] = !hasMethod(t, jsonMethods) && faithfulKind(t, seen)
	return seen[t]
}

func faithfulKind(t reflect.Type, seen map[reflect.Type]bool) bool {
	switch k := t.Kind(); k {
	case reflect.Slice, reflect.Array, reflect.Pointer:
		return faithful(t.Elem(), seen)
	case reflect.Map:
		return faithful(t.Key(), seen) && faithful(t.Elem(), seen)
	case reflect.Struct:
		return !isHidden(t) && faithfulFields(t, seen)
	default:
		return k == reflect.String || k >= reflect.Bool && k <= reflect.Float64
	}
}

func faithfulFields(t reflect.Type, seen map[reflect.Type]bool) bool {
	for i := range t.NumField() {
		field := t.Field(i)
		switch {
		case field.Tag.Get("json") == "-":
		case isEmbeddedStruct(field):
			// encoding/json cannot set an embedded pointer to an unexported type.
			if field.Type.Kind() == reflect.Pointer || !faithfulFields(field.Type, seen) || hasMethod(field.Type, jsonMethods) {
				return false
			}
		case field.IsExported() && !faithful(field.Type, seen):
			return false
		}
	}
	return true
}
