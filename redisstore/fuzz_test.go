package redisstore_test

import (
	"bytes"
	"strconv"
	"testing"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/redisstore"
)

// A field of any content is read without a panic, and a value comes back unchanged.
func FuzzDecodeField(f *testing.F) {
	f.Add("d:cart", "\x00\x00\x00\x00\x00\x00\x00\x01[1]")
	f.Add("d:", "short")
	f.Add("idle", "9223372036854775807")
	f.Add("seen", "-62135596800001")
	f.Add("expires", "x")
	f.Fuzz(func(t *testing.T, field, value string) {
		rec := redisstore.DecodeRecord(session.ID{}, map[string]string{field: value})
		if rec.IdleTimeout < 0 {
			t.Errorf("a negative timeout %v from %q", rec.IdleTimeout, value)
		}
		for name, v := range rec.Values {
			if v.Data == nil {
				continue
			}
			args := redisstore.EncodeInsert(&session.Record{Values: rec.Values}, "")
			if got := args[len(args)-1].([]byte); string(got) != value || args[len(args)-2] != field {
				t.Errorf("%q became %q", value, got)
			}
			if !bytes.HasSuffix([]byte(value), v.Data) || "d:"+name != field {
				t.Errorf("%s is not from %q", strconv.Quote(string(v.Data)), value)
			}
		}
	})
}
