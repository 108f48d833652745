package express

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// CookieID returns the ID in a Cookie header's value of connect.sid.
func CookieID(value string, secrets ...string) (string, bool) {
	var keys [][]byte
	for _, s := range secrets {
		keys = append(keys, []byte(s))
	}
	return verify(value, keys)
}

// Sign returns the signature of an ID.
func Sign(id, secret string) string { return sign(id, []byte(secret)) }

// SetClock replaces the clock.
func (x *Sessions) SetClock(now func() time.Time) { x.now = now }

// DecodeDocument returns the session of a document as JSON text.
func (s *MongoStore) DecodeDocument(doc bson.Raw) ([]byte, error) {
	return s.decode(context.Background(), doc.Lookup(fieldSession))
}

// DecodeJSON decodes the text of a session and returns the names of its properties.
func DecodeJSON(text []byte) ([]string, error) {
	s, err := (&Sessions{}).decode("", Stored{JSON: text})
	if err != nil {
		return nil, err
	}
	return s.Names(), nil
}

// Decrypt decrypts the text of a session.
func (s *MongoStore) Decrypt(text string) ([]byte, error) {
	return s.decrypt(context.Background(), text)
}

// SetMember sets or removes a property in the text of an object.
var SetMember = setMember
