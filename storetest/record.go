package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-go/session"
)

// id returns a new ID. It deletes the record with this ID when the trial ends,
// because records left behind would slow down a store that scans.
func (t *trial) id() session.ID {
	id := session.ID(randomBytes(16)) // becomes a UUIDv7 like the Manager's
	ms := time.Now().UnixMilli()
	binary.BigEndian.PutUint16(id[:2], uint16(ms>>32))
	binary.BigEndian.PutUint32(id[2:6], uint32(ms))
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	t.deleteAfterwards(id)
	return id
}

func (t *trial) deleteAfterwards(id session.ID) {
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() { _ = t.store.Delete(ctx, id) })
}

// user returns a random name with letters of both cases.
func (t *trial) user() string { return "Ann-" + hex.EncodeToString(randomBytes(8)) }

// value returns a value with a random version below 2^53. One rule tests larger
// versions, and only that rule fails if a store keeps them as floating point.
func (t *trial) value(text string) session.Value {
	return session.Value{Data: []byte(text), Version: 1 + int64(binary.BigEndian.Uint64(randomBytes(8))>>12)}
}

// record returns a record without zero fields.
func (t *trial) record() *session.Record {
	return &session.Record{
		Info: session.Info{
			ID:          t.id(),
			User:        t.user(),
			CreatedAt:   t.now.Add(-5 * time.Hour),
			SignedInAt:  t.now.Add(-4 * time.Hour),
			LastSeenAt:  t.now.Add(-2 * time.Hour),
			ExpiresAt:   t.now.Add(24 * time.Hour),
			Deadline:    t.now.Add(48 * time.Hour),
			IdleTimeout: 26 * time.Hour,
			ClientIP:    "2001:db8::1",
			UserAgent:   "Browser/1.0 (Ünïcode; \"quoted\")",
		},
		Verifier:  randomBytes(32),
		Salt:      randomBytes(16),
		RenewedAt: t.now.Add(-3 * time.Hour),
		Values:    map[string]session.Value{"cart": t.value("[1,2]"), "theme": t.value(`"dark"`)},
	}
}

// bare returns a record with only ID, ExpiresAt and values.
func (t *trial) bare(values map[string]session.Value) *session.Record {
	return &session.Record{Info: session.Info{ID: t.id(), ExpiresAt: t.now.Add(24 * time.Hour)}, Values: values}
}

// change returns a Change without zero fields, except If, Unset and Replace.
// Each field differs from the field of [trial.record].
func (t *trial) change() *session.Change {
	idle := 7 * time.Hour
	return &session.Change{
		Set:         map[string]session.Value{"cart": t.value("[3]"), "new": t.value("1")},
		User:        t.user(),
		Verifier:    randomBytes(32),
		Salt:        randomBytes(16),
		RenewedAt:   t.now.Add(-30 * time.Minute),
		SignedInAt:  t.now.Add(-20 * time.Minute),
		LastSeenAt:  t.now.Add(-10 * time.Minute),
		ExpiresAt:   t.now.Add(7 * time.Hour),
		Deadline:    t.now.Add(72 * time.Hour),
		IdleTimeout: &idle,
		ClientIP:    "192.0.2.7",
		UserAgent:   "Browser/2.0",
	}
}

// changed returns a copy of rec with ch applied. It does not use
// [session.Record.Apply], because stores may use that and the suite would then
// test it against itself. Fields of Record and Change with the same name
// correspond.
func changed(rec *session.Record, ch *session.Change) *session.Record {
	c := clone(rec)
	if ch.Replace {
		clear(c.Values)
	}
	for _, key := range ch.Unset {
		delete(c.Values, key)
	}
	maps.Copy(c.Values, ch.Set)
	into, from := reflect.ValueOf(c).Elem(), reflect.ValueOf(ch).Elem()
	for i := range from.NumField() {
		field := into.FieldByName(from.Type().Field(i).Name)
		if v := from.Field(i); field.IsValid() && !v.IsZero() {
			field.Set(reflect.Indirect(v))
		}
	}
	return clone(c)
}

// clone returns a copy of rec that shares no memory with it.
func clone(rec *session.Record) *session.Record {
	c := *rec
	c.Verifier = bytes.Clone(rec.Verifier)
	c.Salt = bytes.Clone(rec.Salt)
	c.Values = make(map[string]session.Value, len(rec.Values))
	for key, v := range rec.Values {
		c.Values[key] = session.Value{Data: bytes.Clone(v.Data), Version: v.Version}
	}
	return &c
}

// diff describes the differences between got and want, and is empty if there are
// no differences. It uses reflection so that it includes fields added later.
func diff(got, want *session.Record) string {
	return strings.Join(diffFields(reflect.ValueOf(*got), reflect.ValueOf(*want)), "; ")
}

func diffInfo(got, want session.Info) string {
	return strings.Join(diffFields(reflect.ValueOf(got), reflect.ValueOf(want)), "; ")
}

func diffFields(got, want reflect.Value) (diffs []string) {
	for i := range want.NumField() {
		name, g := want.Type().Field(i).Name, got.Field(i).Interface()
		same, format := false, "%s is %v, want %v"
		switch w := want.Field(i).Interface().(type) {
		case session.Info:
			diffs = append(diffs, diffFields(got.Field(i), want.Field(i))...)
			continue
		case map[string]session.Value:
			diffs = append(diffs, diffValues(g.(map[string]session.Value), w)...)
			continue
		case time.Time:
			same = w.Equal(g.(time.Time))
		case []byte:
			same, format = bytes.Equal(w, g.([]byte)), "%s is %x, want %x"
		case string:
			same, format = w == g, "%s is %q, want %q"
		default:
			same = w == g
		}
		if !same {
			diffs = append(diffs, fmt.Sprintf(format, name, g, want.Field(i)))
		}
	}
	return diffs
}

func diffValues(got, want map[string]session.Value) (diffs []string) {
	for key, w := range want {
		g, ok := got[key]
		switch {
		case !ok:
			diffs = append(diffs, fmt.Sprintf("key %.40q is missing", key))
		case !bytes.Equal(g.Data, w.Data):
			diffs = append(diffs, fmt.Sprintf("key %.40q has the value %.40q, want %.40q", key, g.Data, w.Data))
		case g.Data == nil && w.Data != nil:
			diffs = append(diffs, fmt.Sprintf("key %.40q has the value nil, want an empty one", key))
		case g.Version != w.Version:
			diffs = append(diffs, fmt.Sprintf("key %.40q has version %d, want %d", key, g.Version, w.Version))
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			diffs = append(diffs, fmt.Sprintf("key %.40q exists but should not", key))
		}
	}
	slices.Sort(diffs) // the order of a map varies
	return diffs
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
