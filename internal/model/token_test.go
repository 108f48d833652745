package model_test

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"net/http"

	"github.com/gorilla/securecookie"

	"github.com/holdfast-go/session"
)

var opener = newOpener()

func newOpener() *securecookie.SecureCookie {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "holdfast session: sign", sha256.Size)
	if err != nil {
		panic(err)
	}
	return securecookie.New(key, nil).SetSerializer(securecookie.NopEncoder{}).MaxAge(0)
}

// token is the content of a cookie.
type token struct {
	id        session.ID
	verifier  [sha256.Size]byte
	unsettled int64 // nanoseconds since 1970 if the sign-in is not complete, otherwise 0
}

func tokenOf(c *http.Cookie) (t token, ok bool) {
	if c == nil || c.MaxAge < 0 {
		return t, false
	}
	var raw []byte
	if opener.Decode(c.Name, c.Value, &raw) != nil || len(raw) != 48 && len(raw) != 56 {
		return t, false
	}
	if len(raw) == 56 {
		t.unsettled = int64(binary.BigEndian.Uint64(raw[48:]))
	}
	copy(t.id[:], raw)
	t.verifier = sha256.Sum256(raw[16:48])
	return t, true
}

// opens reports whether the token matches the record.
func (t token) opens(rec *session.Record) bool {
	return rec != nil && rec.ID == t.id && string(rec.Verifier) == string(t.verifier[:])
}
