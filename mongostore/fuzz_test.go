package mongostore

import (
	"bytes"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session"
)

// FuzzRecord decodes any bytes, such as malformed BSON, unknown fields and wrong
// types. Decoding must not panic, and the record must be the same after it has been
// encoded and decoded again.
func FuzzRecord(f *testing.F) {
	now := time.UnixMilli(1_800_000_000_000).UTC()
	full := encodeRecord(&session.Record{
		Info: session.Info{
			ID: session.ID{1}, User: "ann", CreatedAt: now, SignedInAt: now, LastSeenAt: now, ExpiresAt: now, Deadline: now,
			IdleTimeout: time.Hour, ClientIP: "::1", UserAgent: "x",
		},
		Verifier: []byte{1}, Salt: []byte{2}, RenewedAt: now,
		Values: map[string]session.Value{"a.b": {Data: []byte("1"), Version: 1}, "raw": {Data: []byte{0xff}, Version: 2}},
	})
	odd, _ := bson.Marshal(bson.D{
		{Key: "verifier", Value: "text"},
		{Key: "expires", Value: 1},
		{Key: "idle", Value: bson.D{}},
		{Key: "unknown", Value: bson.A{1, "x"}},
		{Key: "data", Value: bson.D{{Key: "a", Value: 1}, {Key: "%zz", Value: bson.D{{Key: "v", Value: nil}, {Key: "n", Value: "x"}}}}},
	})
	f.Add([]byte(full))
	f.Add(odd)
	f.Add([]byte(full[:len(full)/2]))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		rec := decodeRecord(session.ID{9}, raw)
		again := decodeRecord(rec.ID, encodeRecord(rec))
		if again.User != rec.User || !again.ExpiresAt.Equal(rec.ExpiresAt) || !bytes.Equal(again.Verifier, rec.Verifier) || again.IdleTimeout != rec.IdleTimeout {
			t.Fatalf("%+v\nwas read again as\n%+v", rec, again)
		}
		for name, v := range rec.Values {
			if v.Data != nil && !bytes.Equal(again.Values[name].Data, v.Data) {
				t.Fatalf("value %q: %x was read again as %x", name, v.Data, again.Values[name].Data)
			}
		}
	})
}

// FuzzEscape checks that a field name has no special characters and that its key
// can be recovered.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{"a", "a.b", "$set", "%2E", " a ", "\u00a0", "é%", "\xff", "a\x00b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		field := escapeKey(name)
		if bytes.ContainsAny([]byte(field), ".$ \x00") {
			t.Fatalf("%q became %q", name, field)
		}
		if back := unescapeKey(field); back != name {
			t.Fatalf("%q came back as %q", name, back)
		}
	})
}
