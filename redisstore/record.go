package redisstore

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-go/session"
)

// The fields of a record's hash. docs/reference/document.md describes them.
const (
	fieldFormat   = "v"
	fieldVerifier = "verifier"
	fieldSalt     = "salt"
	fieldRenewed  = "renewed"
	fieldUser     = "user"
	fieldTicket   = "ticket" // of the entry in the user's index
	fieldLogin    = "login"
	fieldCreated  = "created"
	fieldSeen     = "seen"
	fieldExpires  = "expires"
	fieldDeadline = "deadline"
	fieldIdle     = "idle" // milliseconds
	fieldIP       = "ip"
	fieldAgent    = "agent"
	fieldData     = "d:" // and the key: version (8 bytes) ‖ value

	format      = 1
	versionSize = 8
)

// expiryMargin is the time after ExpiresAt in which Redis keeps a record, because
// its clock may be ahead of the Manager's.
const expiryMargin = 300 * time.Second

// expireAt returns the time of a record's removal in milliseconds, or the empty
// string if a time is zero.
func expireAt(expires time.Time) string {
	if expires.IsZero() {
		return ""
	}
	return strconv.FormatInt(expires.Add(expiryMargin).UnixMilli(), 10)
}

func appendTime(args []any, field string, t time.Time) []any {
	if t.IsZero() {
		return args
	}
	return append(args, field, t.UnixMilli())
}

func appendText(args []any, field, text string) []any {
	if text == "" {
		return args
	}
	return append(args, field, text)
}

func appendBytes(args []any, field string, data []byte) []any {
	if data == nil {
		return args
	}
	return append(args, field, data)
}

func appendValues(args []any, values map[string]session.Value) []any {
	for name, v := range values {
		b := make([]byte, versionSize, versionSize+len(v.Data))
		binary.BigEndian.PutUint64(b, uint64(v.Version))
		args = append(args, fieldData+name, append(b, v.Data...))
	}
	return args
}

// encodeInsert returns the arguments of insert.lua.
func encodeInsert(rec *session.Record, ticket string) []any {
	args := make([]any, 0, 32+2*len(rec.Values))
	args = append(args, expireAt(rec.ExpiresAt), fieldFormat, format)
	args = appendBytes(args, fieldVerifier, rec.Verifier)
	args = appendBytes(args, fieldSalt, rec.Salt)
	args = appendTime(args, fieldRenewed, rec.RenewedAt)
	args = appendText(args, fieldUser, rec.User)
	args = appendText(args, fieldTicket, ticket)
	args = appendTime(args, fieldLogin, rec.SignedInAt)
	args = appendTime(args, fieldCreated, rec.CreatedAt)
	args = appendTime(args, fieldSeen, rec.LastSeenAt)
	args = appendTime(args, fieldExpires, rec.ExpiresAt)
	args = appendTime(args, fieldDeadline, rec.Deadline)
	if rec.IdleTimeout != 0 {
		args = append(args, fieldIdle, rec.IdleTimeout.Milliseconds())
	}
	args = appendText(args, fieldIP, rec.ClientIP)
	args = appendText(args, fieldAgent, rec.UserAgent)
	return appendValues(args, rec.Values)
}

// encodeChange returns the arguments of update.lua.
func encodeChange(ch *session.Change, ticket string) []any {
	args := make([]any, 0, 32+2*len(ch.Set)+len(ch.Unset)+2*len(ch.If.Versions))
	args = append(args, expireAt(ch.ExpiresAt), ch.Replace)
	args = appendGuard(args, &ch.If)
	remove := len(args) - 1 - 2*len(ch.If.Versions)
	if ch.IdleTimeout != nil && *ch.IdleTimeout == 0 {
		args = append(args, fieldIdle)
		args[remove] = 1
	}
	if !ch.Replace {
		for _, name := range ch.Unset {
			args = append(args, fieldData+name)
		}
		args[remove] = args[remove].(int) + len(ch.Unset)
	}
	args = appendBytes(args, fieldVerifier, ch.Verifier)
	args = appendBytes(args, fieldSalt, ch.Salt)
	args = appendTime(args, fieldRenewed, ch.RenewedAt)
	args = appendText(args, fieldUser, ch.User)
	args = appendText(args, fieldTicket, ticket)
	args = appendTime(args, fieldLogin, ch.SignedInAt)
	args = appendTime(args, fieldSeen, ch.LastSeenAt)
	args = appendTime(args, fieldExpires, ch.ExpiresAt)
	args = appendTime(args, fieldDeadline, ch.Deadline)
	if ch.IdleTimeout != nil && *ch.IdleTimeout != 0 {
		args = append(args, fieldIdle, ch.IdleTimeout.Milliseconds())
	}
	args = appendText(args, fieldIP, ch.ClientIP)
	args = appendText(args, fieldAgent, ch.UserAgent)
	return appendValues(args, ch.Set)
}

// appendGuard appends the guard of a change, the numbers of guarded values and of
// fields to remove, and the guarded values. The second number is 0.
func appendGuard(args []any, g *session.Guard) []any {
	seen, verifier := "", ""
	if !g.SeenBefore.IsZero() {
		seen = strconv.FormatInt(g.SeenBefore.UnixMilli(), 10)
	}
	if g.Verifier != nil {
		verifier = "=" + string(g.Verifier)
	}
	args = append(args, seen, verifier, len(g.Versions), 0)
	for name, version := range g.Versions {
		if version == 0 {
			args = append(args, fieldData+name, "")
		} else {
			args = append(args, fieldData+name, string(binary.BigEndian.AppendUint64(nil, uint64(version))))
		}
	}
	return args
}

// decodeRecord decodes the fields of a record. It skips fields that are damaged or
// come from a newer version, so it returns no error. The Manager rejects a record
// without a verifier or its times.
func decodeRecord(id session.ID, fields map[string]string) *session.Record {
	rec := &session.Record{Info: session.Info{ID: id}}
	for field, value := range fields {
		decodeField(rec, field, value)
	}
	return rec
}

func decodeField(rec *session.Record, field, value string) {
	switch field {
	case fieldVerifier:
		rec.Verifier = []byte(value)
	case fieldSalt:
		rec.Salt = []byte(value)
	case fieldRenewed:
		rec.RenewedAt = date(value)
	case fieldUser:
		rec.User = value
	case fieldLogin:
		rec.SignedInAt = date(value)
	case fieldCreated:
		rec.CreatedAt = date(value)
	case fieldSeen:
		rec.LastSeenAt = date(value)
	case fieldExpires:
		rec.ExpiresAt = date(value)
	case fieldDeadline:
		rec.Deadline = date(value)
	case fieldIdle:
		rec.IdleTimeout = milliseconds(value)
	case fieldIP:
		rec.ClientIP = value
	case fieldAgent:
		rec.UserAgent = value
	default:
		if name, ok := strings.CutPrefix(field, fieldData); ok {
			if rec.Values == nil {
				rec.Values = make(map[string]session.Value)
			}
			rec.Values[name] = decodeValue(value)
		}
	}
}

// decodeValue leaves Data nil if the value is damaged, which the Manager detects.
func decodeValue(value string) (v session.Value) {
	if len(value) < versionSize {
		return v
	}
	v.Version = int64(binary.BigEndian.Uint64([]byte(value[:versionSize])))
	v.Data = []byte(value[versionSize:])
	return v
}

func date(value string) time.Time {
	ms, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// milliseconds returns a duration, and zero for a value out of range.
func milliseconds(value string) time.Duration {
	ms, err := strconv.ParseInt(value, 10, 64)
	if err != nil || ms < 0 || ms > math.MaxInt64/int64(time.Millisecond) {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}
