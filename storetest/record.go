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

// id returns a new ID and deletes what it names when the trial ends: on a
// store that scans, leftovers would slow down all that follows.
func (t *trial) id() session.ID {
	id := session.ID(randomBytes(16)) // to be a UUIDv7, as the Manager's are
	ms := time.Now().UnixMilli()
	binary.BigEndian.PutUint16(id[:2], uint16(ms>>32))
	binary.BigEndian.PutUint32(id[2:6], uint32(ms))
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() { _ = t.store.Delete(ctx, id) })
	return id
}

// user returns a name that no other trial uses, in letters of both cases.
func (t *trial) user() string { return "Ann-" + hex.EncodeToString(randomBytes(8)) }

// value returns a value with a version of its own. It is below 2^53, as only
// one rule is about larger ones.
func (t *trial) value(text string) session.Value {
	return session.Value{Data: []byte(text), Version: 1 + int64(binary.BigEndian.Uint64(randomBytes(8))>>12)}
}

// record returns a record with no field zero.
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

// bare returns a record with an ID, a time when it expires, and values.
func (t *trial) bare(values map[string]session.Value) *session.Record {
	return &session.Record{Info: session.Info{ID: t.id(), ExpiresAt: t.now.Add(24 * time.Hour)}, Values: values}
}

// change returns a Change of [trial.record] with no field zero but If, Unset
// and Replace, and every field other than the record's.
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

// changed returns what ch makes of rec: the contract of Update once more, as
// a test may write it. Fields of the two that bear one name are one thing.
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

// clone shares nothing with rec.
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

// diff says where got differs from want, and nothing where it does not. It
// goes through the fields by itself, so that none is forgotten.
func diff(got, want *session.Record) string {
	return strings.Join(diffFields(reflect.ValueOf(*got), reflect.ValueOf(*want)), "; ")
}

func diffInfo(got, want session.Info) string {
	return strings.Join(diffFields(reflect.ValueOf(got), reflect.ValueOf(want)), "; ")
}

func diffFields(got, want reflect.Value) (faults []string) {
	for i := range want.NumField() {
		name, g := want.Type().Field(i).Name, got.Field(i).Interface()
		same, format := false, "%s is %v, want %v"
		switch w := want.Field(i).Interface().(type) {
		case session.Info:
			faults = append(faults, diffFields(got.Field(i), want.Field(i))...)
			continue
		case map[string]session.Value:
			faults = append(faults, diffValues(g.(map[string]session.Value), w)...)
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
			faults = append(faults, fmt.Sprintf(format, name, g, want.Field(i)))
		}
	}
	return faults
}

func diffValues(got, want map[string]session.Value) (faults []string) {
	for key, w := range want {
		g, ok := got[key]
		switch {
		case !ok:
			faults = append(faults, fmt.Sprintf("key %.40q is missing", key))
		case !bytes.Equal(g.Data, w.Data):
			faults = append(faults, fmt.Sprintf("key %.40q has the value %.40q, want %.40q", key, g.Data, w.Data))
		case g.Data == nil && w.Data != nil:
			faults = append(faults, fmt.Sprintf("key %.40q has the value nil, want an empty one", key))
		case g.Version != w.Version:
			faults = append(faults, fmt.Sprintf("key %.40q has version %d, want %d", key, g.Version, w.Version))
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			faults = append(faults, fmt.Sprintf("key %.40q is there and must not be", key))
		}
	}
	slices.Sort(faults) // a map's order would vary the message
	return faults
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
