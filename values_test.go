package session_test

import (
	"bytes"
	"database/sql"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// gobCodec encodes with encoding/gob.
type gobCodec struct{}

func (gobCodec) Encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	err := gob.NewEncoder(&buf).Encode(v)
	return buf.Bytes(), err
}

func (gobCodec) Decode(data []byte, v any) error {
	return gob.NewDecoder(bytes.NewReader(data)).Decode(v)
}

// maskedCodec is JSON in a form unknown to the library.
type maskedCodec struct{}

func (maskedCodec) Encode(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	return mask(data), err
}

func (maskedCodec) Decode(data []byte, v any) error { return json.Unmarshal(mask(data), v) }

func mask(data []byte) []byte {
	out := make([]byte, len(data))
	for i, c := range data {
		out[i] = c ^ 0x55
	}
	return out
}

var (
	asJSON   []session.Option
	asGob    = []session.Option{session.WithCodec(gobCodec{})}
	asMasked = []session.Option{session.WithCodec(maskedCodec{})}
)

// kept sets a value in one request and gets it in the next one.
func kept[T any](want T) func(t *testing.T, opts []session.Option) {
	return keptAs(want, want)
}

func keptAs[T any](v, want T) func(t *testing.T, opts []session.Option) {
	return func(t *testing.T, opts []session.Option) {
		got := sendAndGet(t, v, opts)
		require.Equal(t, want, got)
	}
}

// keptIf is kept for values that require.Equal cannot compare.
func keptIf[T any](v T, same func(got T) bool) func(t *testing.T, opts []session.Option) {
	return func(t *testing.T, opts []session.Option) {
		got := sendAndGet(t, v, opts)
		require.True(t, same(got), "%#v", got)
	}
}

func sendAndGet[T any](t *testing.T, v T, opts []session.Option) T {
	t.Helper()
	log := new(logs)
	m := newManager(t, memstore.New(), append([]session.Option{log.option()}, opts...)...)
	a, visitor := newApp(t, m), newVisitor(t)
	key := session.Key[T]("value")
	res := request(visitor, a, func(s *session.Session) { key.Set(s, v) })
	require.Equal(t, http.StatusOK, res.StatusCode, log)
	var got T
	var ok bool
	request(visitor, a, func(s *session.Session) { got, ok = key.Get(s) })
	require.True(t, ok, log)
	_, err := key.Update(background, must(m.Load(background, nil)), func(T) T { return v })
	require.NoError(t, err)
	return got
}

// refused sets a value and requires an error in place of the page.
func refused[T any](v T, want string) func(t *testing.T, opts []session.Option) {
	return func(t *testing.T, opts []session.Option) {
		log, store := new(logs), memstore.New()
		m := newManager(t, store, append([]session.Option{log.option()}, opts...)...)
		a, visitor := newApp(t, m), newVisitor(t)
		key := session.Key[T]("value")
		res := visitor.try(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			key.Set(s, v)
			w.Write([]byte("all is well"))
		})
		require.NoError(t, res.err)
		require.Equal(t, http.StatusInternalServerError, res.StatusCode)
		require.Zero(t, store.Len())
		text := strings.ReplaceAll(log.String(), `\"`, `"`)
		require.Contains(t, text, fmt.Sprintf(`key "value" (%v): `, reflect.TypeFor[T]()))
		require.Contains(t, text, want)
		require.Contains(t, text, "values_test.go:")

		s := must(m.Load(background, nil))
		_, err := key.Update(background, s, func(T) T { return v })
		require.ErrorContains(t, err, want)
		require.Equal(t, http.StatusInternalServerError, session.HTTPStatus(err))
		require.NoError(t, s.Save(background))
		require.Zero(t, store.Len())
	}
}

type (
	named       string
	hidden      struct{ n int }
	withName    struct{ Name string }
	pair[T any] struct{ A, B T }
	tree        struct {
		Name     string
		Children []*tree
	}
	promoted struct {
		withName
		Age int
	}
	promotedPointer struct {
		*withName
		Age int
	}
	locked struct {
		sync.Mutex
		Guard sync.RWMutex
		Name  string
	}
	omitted struct {
		Name   string
		Note   string     `json:"-"`
		Hidden hidden     `json:"-"`
		Err    error      `json:"-"`
		Feed   chan int   `json:"-"`
		Empty  string     `json:",omitempty"`
		Since  *time.Time `json:",omitempty"`
	}
	optional struct {
		Name string
		Err  error
		Text fmt.Stringer
	}
	tallied struct {
		Name string
		N    atomic.Int64
	}
	noContent struct{ _ [0]func() }
	token     struct {
		AccessToken string
		Expiry      time.Time `json:",omitzero"`
		Extra       map[string]any
		raw         any
	}
	shape3 interface{ Sides() int }
	square struct{ Side int }
)

func (square) Sides() int { return 4 }

// temperature has unexported fields only, and methods for JSON.
type temperature struct{ degrees float64 }

func (c temperature) MarshalJSON() ([]byte, error) { return json.Marshal(c.degrees) }

func (c *temperature) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &c.degrees) }

// level has unexported fields only, and methods for text.
type level struct{ name string }

func (l level) MarshalText() ([]byte, error) { return []byte(l.name), nil }

func (l *level) UnmarshalText(b []byte) error { l.name = string(b); return nil }

// oneWay can be encoded but not decoded.
type oneWay struct{ name string }

func (o oneWay) MarshalJSON() ([]byte, error) { return json.Marshal(o.name) }

type uuidLike [16]byte

func bigInt() *big.Int { return new(big.Int).Lsh(big.NewInt(7), 100) }

func sameInt(got big.Int) bool { return got.Cmp(bigInt()) == 0 }

func parse(text string) *url.URL { return must(url.Parse(text)) }

func lockedValue() *locked {
	v := &locked{Name: "ann"}
	v.Lock()
	v.Guard.Lock()
	return v
}

func countedValue(n int64) *tallied {
	v := &tallied{Name: "ann"}
	v.N.Store(n)
	return v
}

var (
	anID     = must(session.ParseID("0198f2a4-7c1e-7d3b-9a52-0c5de1f1a2b3"))
	aTime    = time.Now()
	aDay     = time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC)
	errStock = errors.New("out of stock")
	aName    = "ann"
	pName    = &aName
	notUTF8  = "Zo\xeb"
	tooExact = int64(1)<<53 + 1
)

// A false refusal would break a working program, so the list is long.
func TestSet_ValuesThatComeBack(t *testing.T) {
	for name, c := range map[string]func(t *testing.T, opts []session.Option){
		"text":                         kept("Zoë <b>"),
		"U+FFFD":                       kept("a\ufffdb"),
		"the escape of U+FFFD":         kept(`a\ufffdb`),
		"U+FFFD as a key":              kept(map[string]int{"\ufffd": 1, `\ufffd`: 2}),
		"empty text":                   kept(""),
		"named text":                   kept(named("x")),
		"bytes":                        kept([]byte(notUTF8)),
		"a time with a monotonic part": keptIf(aTime, aTime.Equal),
		"a pointer to a time":          keptIf(&aTime, func(got *time.Time) bool { return got.Equal(aTime) }),
		"no time":                      kept[*time.Time](nil),
		"a duration":                   kept(time.Minute),
		"big.Int":                      keptIf(*bigInt(), sameInt),
		"*big.Int":                     keptIf(bigInt(), func(got *big.Int) bool { return sameInt(*got) }),
		"no *big.Int":                  kept[*big.Int](nil),
		"big.Int in a struct":          keptIf(pair[big.Int]{*bigInt(), *bigInt()}, func(got pair[big.Int]) bool { return sameInt(got.A) && sameInt(got.B) }),
		"big.Int in a slice":           keptIf([]big.Int{*bigInt()}, func(got []big.Int) bool { return sameInt(got[0]) }),
		"big.Int in an array":          keptIf([1]big.Int{*bigInt()}, func(got [1]big.Int) bool { return sameInt(got[0]) }),
		"big.Float":                    keptIf(*big.NewFloat(0.5), func(got big.Float) bool { return got.Cmp(big.NewFloat(0.5)) == 0 }),
		"big.Rat":                      keptIf(*big.NewRat(1, 3), func(got big.Rat) bool { return got.Cmp(big.NewRat(1, 3)) == 0 }),
		"a URL":                        kept(*parse("https://example.com/a?b=c#d")),
		"a pointer to a URL":           kept(parse("https://example.com/a?b=c#d")),
		"an address":                   kept(netip.MustParseAddr("2001:db8::1")),
		"no address":                   kept(netip.Addr{}),
		"a prefix":                     kept(netip.MustParsePrefix("10.0.0.0/8")),
		"an array":                     kept(uuidLike{1, 2, 255}),
		"a session's ID":               kept(anID),
		"no ID":                        kept(session.ID{}),
		"an ID in a struct":            kept(pair[session.ID]{A: anID}),
		"IDs as keys":                  kept(map[session.ID]int{anID: 1}),
		"raw JSON":                     kept(json.RawMessage(`{"a":1}`)),
		"raw JSON with an escape":      kept(json.RawMessage(`"\ufffd"`)),
		"raw JSON in a struct":         kept(pair[json.RawMessage]{json.RawMessage(`"\ufffd"`), json.RawMessage(`"\ufffd"`)}),
		"a JSON number":                kept(json.Number("12345678901234567890")),
		"int keys":                     kept(map[int]string{-1: "a", 2: "b"}),
		"a set":                        kept(map[string]struct{}{"a": {}}),
		"an empty struct":              kept(struct{}{}),
		"a nil slice":                  kept[[]string](nil),
		"an empty slice":               kept([]string{}),
		"a nil map":                    kept[map[string]int](nil),
		"a pointer":                    kept(pName),
		"a pointer to a pointer":       kept(&pName),
		"a nil pointer":                kept[*withName](nil),
		"int64":                        kept(int64(math.MinInt64)),
		"uint64":                       kept(uint64(math.MaxUint64)),
		"float32":                      kept(float32(0.1)),
		"float64":                      kept(0.1 + 0.2),
		"a large float":                kept(math.MaxFloat64),
		"complex structs":              kept(map[string][]pair[*withName]{"a": {{A: &withName{"b"}}}}),
		"sql.NullString":               kept(sql.NullString{String: "a", Valid: true}),
		"a generic type":               kept(pair[string]{"a", "b"}),
		"a recursive type":             kept(tree{"a", []*tree{{"b", nil}}}),
		"an embedded struct":           kept(promoted{withName{"ann"}, 30}),
		"an embedded nil pointer":      kept(promotedPointer{nil, 30}),
		"a locked mutex":               keptIf(lockedValue(), func(got *locked) bool { return got.Name == "ann" }),
		"an atomic zero":               keptIf(countedValue(0), func(got *tallied) bool { return got.Name == "ann" }),
		"JSON methods":                 kept(temperature{21.5}),
		"JSON methods in a map":        kept(map[string]temperature{"a": {21.5}}),
		"text methods":                 kept(level{"info"}),
		"text methods as keys":         kept(map[level]int{{"info"}: 1}),
		"fields with a tag":            keptAs(omitted{Name: "ann", Note: notUTF8, Hidden: hidden{1}, Err: errStock}, omitted{Name: "ann"}),
		"a nil interface in a struct":  kept(optional{Name: "ann"}),
		"any text":                     kept[any]("a"),
		"a large even number in any":   keptAs[any](int64(1)<<60, float64(1<<60)),
		"a large float in any":         kept[any](1e300),
		"a struct with no content":     kept(noContent{}),
		"an OAuth token":               keptAs(&token{"a", aDay, map[string]any{"n": 1e18}, "b"}, &token{"a", aDay, map[string]any{"n": 1e18}, nil}),
		"HTTP fields":                  kept(http.Header{"A": {"b"}}),
		"any nil":                      kept[any](nil),
		"any number":                   keptAs[any](7, 7.0),
		"any object":                   kept(map[string]any{"a": []any{"b", nil, true, 1.5}, "c": map[string]any{}}),
		"any struct":                   keptAs[any](withName{"ann"}, map[string]any{"Name": "ann"}),
		"any nil pointer":              keptAs[any]((*hidden)(nil), nil),
		"any empty struct":             keptAs[any](struct{}{}, map[string]any{}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Run("json", func(t *testing.T) { c(t, asJSON) })
			t.Run("masked", func(t *testing.T) { c(t, asMasked) })
		})
	}
}

func TestSet_ValuesThatDoNotComeBack(t *testing.T) {
	const (
		changed = "a string is not valid UTF-8 and would come back changed; use []byte"
		empty   = "has no exported fields and would come back empty; export them or give it MarshalJSON and UnmarshalJSON methods"
		decode  = "the encoded value cannot be decoded: "
	)
	for name, c := range map[string]func(t *testing.T, opts []session.Option){
		"text":                       refused(notUTF8, changed),
		"text with an escape":        refused(`\ufffd`+notUTF8, changed),
		"named text":                 refused(named(notUTF8), changed),
		"text in a struct":           refused(withName{notUTF8}, changed),
		"text in a slice":            refused([]string{"a", notUTF8}, changed),
		"text in an array":           refused([2]string{"a", notUTF8}, changed),
		"text by a pointer":          refused(&notUTF8, changed),
		"text in a map":              refused(map[int]string{1: notUTF8}, changed),
		"a map's key":                refused(map[string]int{notUTF8: 1}, changed),
		"text in an embedded struct": refused(promoted{withName{notUTF8}, 30}, changed),
		"text in a recursive type":   refused(tree{"a", []*tree{{notUTF8, nil}}}, changed),
		"any text":                   refused[any](notUTF8, changed),
		"text in a struct in any":    refused[any](withName{notUTF8}, changed),
		"text in any in a map":       refused(map[string]any{"a": []any{notUTF8}}, changed),
		"text beside raw JSON": refused(struct {
			Raw  json.RawMessage
			Text string
		}{json.RawMessage(`"\ufffd"`), notUTF8}, changed),
		"an error in a struct":         refused(optional{Err: errStock}, decode),
		"a fmt.Stringer in a struct":   refused(optional{Text: time.Minute}, decode),
		"errors in a slice":            refused([]error{errStock}, decode),
		"errors in a map":              refused(map[string]error{"a": errStock}, decode),
		"an error in any":              refused[any](errStock, "errors.errorString "+empty),
		"an error in a map of any":     refused(map[string]any{"a": errStock}, "errors.errorString "+empty),
		"a counter":                    refused(countedValue(7), "atomic.Int64 "+empty),
		"hidden structs in a slice":    refused([]hidden{{1}}, "session_test.hidden "+empty),
		"big.Int in a map":             refused(map[string]big.Int{"a": *bigInt()}, decode),
		"a number too exact for any":   refused[any](tooExact, "a large integer in an interface would be rounded; use a concrete type"),
		"a number too exact for a map": refused(map[string]any{"id": uint64(math.MaxUint64)}, "a large integer in an interface would be rounded; use a concrete type"),
		"a type without decoding":      refused(oneWay{"a"}, decode),
		"an embedded pointer":          refused(promotedPointer{&withName{"ann"}, 30}, decode),
	} {
		t.Run(name, func(t *testing.T) {
			t.Run("json", func(t *testing.T) { c(t, asJSON) })
			t.Run("masked", func(t *testing.T) { c(t, asMasked) })
		})
	}
	// Another codec may use its MarshalBinary method.
	refused(parse("https://ann:secret@example.com/"), "url.Userinfo "+empty)(t, asJSON)
}

func TestCodec_Gob(t *testing.T) {
	gob.Register(square{})
	for name, c := range map[string]func(t *testing.T, opts []session.Option){
		"invalid UTF-8":         kept(notUTF8),
		"a struct":              kept(withName{notUTF8}),
		"a pointer":             kept(&withName{"ann"}),
		"a time":                keptIf(aTime, aTime.Equal),
		"big.Int":               keptIf(*bigInt(), sameInt),
		"*big.Int":              keptIf(bigInt(), func(got *big.Int) bool { return sameInt(*got) }),
		"a URL with a password": kept(parse("https://ann:secret@example.com/")),
		"a session's ID":        kept(anID),
		"an interface":          kept[shape3](square{2}),
		"interfaces in a map":   kept(map[string]any{"a": tooExact, "b": "c"}),
		"a locked mutex":        refused(lockedValue(), "cannot encode: "),
		"a nil pointer":         refused[*withName](nil, "cannot encode: "),
		"a nil interface":       kept[shape3](nil),
		"an unknown type":       refused[fmt.Stringer](time.Minute, "cannot encode: gob: type not registered for interface"),
		"a hidden struct":       refused(hidden{1}, "cannot encode: gob: type session_test.hidden has no exported fields"),
	} {
		t.Run(name, func(t *testing.T) { c(t, asGob) })
	}
}

// inPlaceCodec overwrites the bytes it decodes.
type inPlaceCodec struct{ maskedCodec }

func (inPlaceCodec) Decode(data []byte, v any) error {
	copy(data, mask(data))
	return json.Unmarshal(data, v)
}

func TestCodec_DecodesInPlace(t *testing.T) {
	opts := []session.Option{session.WithCodec(inPlaceCodec{})}
	kept("Zoë")(t, opts)
	s := must(newManager(t, memstore.New(), opts...).Load(background, nil))
	color.Set(s, "red")
	require.Equal(t, "red", color.GetOr(s, ""))
	require.Equal(t, "red", color.GetOr(s, ""))
}

// pickyCodec panics for values it cannot encode.
type pickyCodec struct{ maskedCodec }

func (c pickyCodec) Encode(v any) ([]byte, error) {
	if n, ok := v.(*int); ok && *n == 0 {
		panic("zero is not a number")
	}
	return c.maskedCodec.Encode(v)
}

func TestCodec_Panics(t *testing.T) {
	opts := []session.Option{session.WithCodec(pickyCodec{})}
	kept(7)(t, opts)
	refused(0, "cannot encode: the codec panicked: zero is not a number")(t, opts)
}

// If JSON can store no value of a type, the key panics at its first use, even
// in Get.
func TestKey_TypesThatJSONCannotStore(t *testing.T) {
	for name, c := range map[string]struct {
		get  func(s *session.Session)
		want string
	}{
		"error":        {func(s *session.Session) { session.Key[error]("k").Get(s) }, `key "k" has type error, an interface, which JSON cannot decode; use a concrete type (`},
		"fmt.Stringer": {func(s *session.Session) { session.Key[fmt.Stringer]("k").Delete(s) }, `key "k" has type fmt.Stringer, an interface, which JSON cannot decode; use a concrete type (`},
		"hidden": {
			func(s *session.Session) { session.Key[hidden]("k").Set(s, hidden{}) },
			`key "k" has type session_test.hidden, which has no exported fields for JSON to store; export them or give it MarshalJSON and UnmarshalJSON methods (`,
		},
		"a pointer to hidden": {func(s *session.Session) { session.Key[*hidden]("k").Get(s) }, `key "k" has type *session_test.hidden, which has no exported fields for JSON to store`},
		"an atomic":           {func(s *session.Session) { session.Key[*atomic.Int64]("k").Get(s) }, `key "k" has type *atomic.Int64, which has no exported fields for JSON to store`},
	} {
		t.Run(name, func(t *testing.T) {
			s := must(newManager(t, memstore.New()).Load(background, nil))
			defer func() {
				text, _ := recover().(string)
				require.Contains(t, text, "session: "+c.want)
				require.Contains(t, text, "values_test.go:")
			}()
			c.get(s)
		})
	}
}
