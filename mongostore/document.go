package mongostore

import (
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/holdfast-go/session"
)

// The fields of a document. The package encodes and decodes documents without
// reflection. This takes a tenth of the time, and fields that are unknown or have
// a wrong type are skipped instead of causing an error.
const (
	fieldID       = "_id"
	fieldFormat   = "v"
	fieldVerifier = "verifier"
	fieldSalt     = "salt"
	fieldRenewed  = "renewed"
	fieldUser     = "user"
	fieldLogin    = "login"
	fieldCreated  = "created"
	fieldSeen     = "seen"
	fieldExpires  = "expires"
	fieldDeadline = "deadline"
	fieldIdle     = "idle" // milliseconds
	fieldIP       = "ip"
	fieldAgent    = "agent"
	fieldData     = "data" // escaped key → {v: value, n: version}
	valueData     = "v"
	valueVersion  = "n"

	format = 1
)

var withoutData = bson.Raw(bsoncore.NewDocumentBuilder().AppendInt32(fieldData, 0).Build())

var onlyID = bson.Raw(bsoncore.NewDocumentBuilder().AppendInt32(fieldID, 1).Build())

// appendValue stores valid UTF-8 as a string, so mongosh shows it as text.
func appendValue(b []byte, key string, v session.Value) []byte {
	at, b := bsoncore.AppendDocumentElementStart(b, key)
	if utf8.Valid(v.Data) {
		b = bsoncore.AppendStringElement(b, valueData, string(v.Data))
	} else {
		b = bsoncore.AppendBinaryElement(b, valueData, 0, v.Data)
	}
	b = bsoncore.AppendInt64Element(b, valueVersion, v.Version)
	return endDocument(b, at)
}

func appendData(b []byte, values map[string]session.Value) []byte {
	at, b := bsoncore.AppendDocumentElementStart(b, fieldData)
	for name, v := range values {
		b = appendValue(b, escapeKey(name), v)
	}
	return endDocument(b, at)
}

func filterID(id session.ID) bson.Raw {
	at, b := bsoncore.AppendDocumentStart(make([]byte, 0, 32))
	return endDocument(appendID(b, fieldID, id), at)
}

func filterUser(user string) bson.Raw {
	at, b := bsoncore.AppendDocumentStart(nil)
	return endDocument(bsoncore.AppendStringElement(b, fieldUser, user), at)
}

func encodeRecord(rec *session.Record) bson.Raw {
	at, b := bsoncore.AppendDocumentStart(make([]byte, 0, 512))
	b = appendID(b, fieldID, rec.ID)
	b = bsoncore.AppendInt32Element(b, fieldFormat, format)
	b = appendBytes(b, fieldVerifier, rec.Verifier)
	b = appendBytes(b, fieldSalt, rec.Salt)
	b = appendTime(b, fieldRenewed, rec.RenewedAt)
	b = appendText(b, fieldUser, rec.User)
	b = appendTime(b, fieldLogin, rec.SignedInAt)
	b = appendTime(b, fieldCreated, rec.CreatedAt)
	b = appendTime(b, fieldSeen, rec.LastSeenAt)
	b = appendTime(b, fieldExpires, rec.ExpiresAt)
	b = appendTime(b, fieldDeadline, rec.Deadline)
	if rec.IdleTimeout != 0 {
		b = bsoncore.AppendInt64Element(b, fieldIdle, rec.IdleTimeout.Milliseconds())
	}
	b = appendText(b, fieldIP, rec.ClientIP)
	b = appendText(b, fieldAgent, rec.UserAgent)
	if len(rec.Values) > 0 {
		b = appendData(b, rec.Values)
	}
	return endDocument(b, at)
}

// encodeChange returns the filter and the update of a change. The update is nil if
// the change has no effects.
func encodeChange(id session.ID, ch *session.Change) (filter, update bson.Raw) {
	at, b := bsoncore.AppendDocumentStart(make([]byte, 0, 128))
	b = appendID(b, fieldID, id)
	b = appendBytes(b, fieldVerifier, ch.If.Verifier)
	if !ch.If.SeenBefore.IsZero() {
		b = appendCondition(b, fieldSeen, func(b []byte) []byte { return appendTime(b, "$lt", ch.If.SeenBefore) })
	}
	for name, version := range ch.If.Versions {
		path := fieldData + "." + escapeKey(name)
		if version == 0 {
			b = appendCondition(b, path, func(b []byte) []byte { return bsoncore.AppendBooleanElement(b, "$exists", false) })
		} else {
			b = bsoncore.AppendInt64Element(b, path+"."+valueVersion, version)
		}
	}
	filter = endDocument(b, at)
	at, b = bsoncore.AppendDocumentStart(make([]byte, 0, 256))
	b = appendOperator(b, "$set", func(b []byte) []byte { return appendSet(b, ch) })
	b = appendOperator(b, "$unset", func(b []byte) []byte { return appendUnset(b, ch) })
	if update = endDocument(b, at); len(update) == emptyDocument {
		update = nil
	}
	return filter, update
}

func appendSet(b []byte, ch *session.Change) []byte {
	b = appendBytes(b, fieldVerifier, ch.Verifier)
	b = appendBytes(b, fieldSalt, ch.Salt)
	b = appendTime(b, fieldRenewed, ch.RenewedAt)
	b = appendText(b, fieldUser, ch.User)
	b = appendTime(b, fieldLogin, ch.SignedInAt)
	b = appendTime(b, fieldSeen, ch.LastSeenAt)
	b = appendTime(b, fieldExpires, ch.ExpiresAt)
	b = appendTime(b, fieldDeadline, ch.Deadline)
	if ch.IdleTimeout != nil && *ch.IdleTimeout != 0 {
		b = bsoncore.AppendInt64Element(b, fieldIdle, ch.IdleTimeout.Milliseconds())
	}
	b = appendText(b, fieldIP, ch.ClientIP)
	b = appendText(b, fieldAgent, ch.UserAgent)
	if ch.Replace {
		return appendData(b, ch.Set)
	}
	for name, v := range ch.Set {
		b = appendValue(b, fieldData+"."+escapeKey(name), v)
	}
	return b
}

func appendUnset(b []byte, ch *session.Change) []byte {
	if ch.IdleTimeout != nil && *ch.IdleTimeout == 0 {
		b = bsoncore.AppendStringElement(b, fieldIdle, "")
	}
	if ch.Replace {
		return b
	}
	for _, name := range ch.Unset {
		b = bsoncore.AppendStringElement(b, fieldData+"."+escapeKey(name), "")
	}
	return b
}

// decodeRecord decodes a document. It skips fields that are damaged or come from a
// newer version, so it returns no error. The Manager rejects a record without a
// verifier or its times. The record uses the memory of raw, so the caller must not
// use raw afterwards.
func decodeRecord(id session.ID, raw bson.Raw) *session.Record {
	rec := &session.Record{Info: session.Info{ID: id}}
	eachElement(bsoncore.Document(raw), func(key []byte, v bsoncore.Value) {
		switch string(key) {
		case fieldID:
			if _, data, ok := v.BinaryOK(); ok && len(data) == len(rec.ID) {
				rec.ID = session.ID(data)
			}
		case fieldVerifier:
			rec.Verifier = binary(v)
		case fieldSalt:
			rec.Salt = binary(v)
		case fieldRenewed:
			rec.RenewedAt = date(v)
		case fieldUser:
			rec.User, _ = v.StringValueOK()
		case fieldLogin:
			rec.SignedInAt = date(v)
		case fieldCreated:
			rec.CreatedAt = date(v)
		case fieldSeen:
			rec.LastSeenAt = date(v)
		case fieldExpires:
			rec.ExpiresAt = date(v)
		case fieldDeadline:
			rec.Deadline = date(v)
		case fieldIdle:
			rec.IdleTimeout = milliseconds(v)
		case fieldIP:
			rec.ClientIP, _ = v.StringValueOK()
		case fieldAgent:
			rec.UserAgent, _ = v.StringValueOK()
		case fieldData:
			rec.Values = decodeData(v)
		}
	})
	return rec
}

func decodeData(v bsoncore.Value) map[string]session.Value {
	data, ok := v.DocumentOK()
	if !ok {
		return nil
	}
	values := make(map[string]session.Value)
	eachElement(data, func(key []byte, v bsoncore.Value) { values[unescapeKey(string(key))] = decodeValue(v) })
	return values
}

// decodeValue leaves Data nil if the value is damaged, which the Manager detects.
func decodeValue(v bsoncore.Value) (val session.Value) {
	doc, _ := v.DocumentOK()
	eachElement(doc, func(key []byte, v bsoncore.Value) {
		switch string(key) {
		case valueData:
			val.Data = text(v)
			if val.Data == nil {
				val.Data = binary(v)
			}
		case valueVersion:
			val.Version, _ = v.AsInt64OK()
		}
	})
	return val
}
