package storetest

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-go/session"
)

// names returns key names known to be confused by stores, and random names of
// characters used in escapes. They are the same in each run.
func names() []string {
	long := strings.Repeat("k", 1024)
	list := []string{
		"a", "b", "a.b", "a.b.c", "b.a", ".", "..", ".a", "a.", "a..b",
		"%", "%%", "%2E", "%2e", "%252E", "a%2Eb", "%25", "%24", "%00", "%zz",
		"$", "$$", "$set", "$a", "a$b", "a.$", "a.$[]", "%24set",
		"_id", "id", "v", "n", "user", "data", "values", "verifier", "__proto__", "constructor", "length",
		"0", "1", "01", "-1", "1.0", "[0]", "a[0]", "null", "true", "*", "?", "#", ":", ";", "/", "{}", "~0", "~1",
		" ", "  ", "a ", " a", "\t", "\n", "\r\n", "\x01", "\x1f", "\x7f", "\u00a0a", "a\u3000", `"`, `\`, `\u0061`, `'`, "`",
		"A", "é", "e\u0301", "ß", "SS", "ı", "I", "日本語", "שלום", "😀", "👩\u200d👧", "\u200b", "\ufeff", "\ufffd", "\uff0e", "\uff04", "\U0010ffff",
		long, long + "x", strings.Repeat(".", 300), strings.Repeat("😀", 256),
	}
	alphabet := []rune(".$%245Ee0ab_ é😀\x01\ufffd")
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		name := make([]rune, 2+random.IntN(10))
		for i := range name {
			name[i] = alphabet[random.IntN(len(alphabet))]
		}
		list = append(list, string(name))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// named returns a different value for each name.
func (t *trial) named(names []string) map[string]session.Value {
	values := map[string]session.Value{}
	for i, name := range names {
		values[name] = t.value(strconv.Itoa(i))
	}
	return values
}

func insertNames(t *trial) {
	rec := t.bare(t.named(names()))
	t.insert(rec)
	t.stored(rec, "Insert")
}

func setNames(t *trial) {
	rec := t.bare(nil)
	t.insert(rec)
	rec.Values = t.named(names())
	t.update(rec.ID, &session.Change{Set: rec.Values})
	t.stored(rec, "Set")
	rec.Values = t.named(names())
	t.update(rec.ID, &session.Change{Set: rec.Values})
	t.stored(rec, "Set over existing values")
	rec.Values = t.named(names())
	t.update(rec.ID, &session.Change{Set: rec.Values, Replace: true})
	t.stored(rec, "Set with Replace")
}

// unsetNames removes every second name from a record with all names, and then the
// rest. If the store confuses two names, it removes too many or too few.
func unsetNames(t *trial) {
	rec := t.bare(t.named(names()))
	t.insert(rec)
	even, odd := &session.Change{}, &session.Change{}
	for i, name := range names() {
		if i%2 == 0 {
			even.Unset = append(even.Unset, name)
		} else {
			odd.Unset = append(odd.Unset, name)
		}
	}
	for _, ch := range []*session.Change{even, even, odd} {
		t.update(rec.ID, ch)
		rec = changed(rec, ch)
		t.stored(rec, "Unset")
	}
}

// guardNames stores a record for each bit of an index, with the names whose index
// has that bit set. If the store confuses two names, some of these records have
// one of them without the other.
func guardNames(t *trial) {
	names := names()
	for bit := 1; bit < len(names); bit <<= 1 {
		rec := t.bare(map[string]session.Value{})
		there, absent := map[string]int64{}, map[string]int64{}
		for i, name := range names {
			if i&bit == 0 {
				absent[name] = 0
				continue
			}
			v := t.value(name)
			rec.Values[name], there[name] = v, v.Version
		}
		t.insert(rec)
		t.holds(rec.ID, session.Guard{Versions: there}, "the versions of half of the names")
		t.holds(rec.ID, session.Guard{Versions: absent}, "0 of the other half")
	}

	rec := t.bare(t.named(names))
	t.insert(rec)
	for name, v := range rec.Values {
		t.refused(rec.ID, versions(name, v.Version+1), fmt.Sprintf("another version of %.40q", name))
		t.refused(rec.ID, versions(name, 0), fmt.Sprintf("0 of %.40q, which exists", name))
	}
}

func valueBytes(t *trial) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	data := [][]byte{
		every,
		{0},
		{0xff},
		{0xff, 0x00},
		{0xff, 0x01, 0x02},
		[]byte("a\x00b"), []byte("\xed\xa0\x80"), []byte("caf\xe9"), []byte("\xc0\xaf"),
		[]byte(`{"a":1,"$set":{"_id":null}}`), []byte("null"), []byte("1.0"), []byte(`"`), []byte(" \t\r\n"),
		[]byte("\ufeffé😀\ufffd"), bytes.Repeat([]byte("text "), 20_000), randomBytes(100_000),
	}
	values := map[string]session.Value{}
	for i, b := range data {
		v := t.value("")
		v.Data = b
		values[strconv.Itoa(i)] = v
	}
	t.bothWays(values)
}

func valueEmpty(t *trial) {
	t.bothWays(map[string]session.Value{"empty": t.value("")})
	t.bothWays(map[string]session.Value{"empty": t.value(""), "full": t.value("x")})
}

func valueVersions(t *trial) {
	values := map[string]session.Value{}
	for i, version := range []int64{2, math.MaxInt32, math.MaxInt32 + 1, 1<<53 + 1, math.MaxInt64 - 1, math.MaxInt64} {
		values[strconv.Itoa(i)] = session.Value{Data: []byte("x"), Version: version}
	}
	id := t.bothWays(values)
	for key, v := range values {
		t.holds(id, versions(key, v.Version), fmt.Sprintf("version %d", v.Version))
		t.refused(id, versions(key, v.Version^1), fmt.Sprintf("version %d instead of %d", v.Version^1, v.Version))
	}
}

// bothWays stores values by Insert in one record and by Update in another. It
// returns the ID of the second one.
func (t *trial) bothWays(values map[string]session.Value) session.ID {
	t.Helper()
	rec := t.bare(values)
	t.insert(rec)
	t.stored(rec, "Insert")
	rec = t.bare(nil)
	t.insert(rec)
	rec.Values = values
	t.update(rec.ID, &session.Change{Set: values})
	t.stored(rec, "Update")
	return rec.ID
}
