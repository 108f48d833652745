package session

import (
	"crypto/hkdf"
	"crypto/sha256"
	"time"

	"github.com/gorilla/securecookie"
)

// SetClock gives a Manager another clock.
func (m *Manager) SetClock(now func() time.Time) { m.now = now }

// Waiting counts the Updates that have the turn of a key or wait for it.
func (m *Manager) Waiting() (n int) {
	m.locks.mu.Lock()
	defer m.locks.mu.Unlock()
	for _, t := range m.locks.turns {
		n += t.users
	}
	return n
}

// MarkerID is where the revocation of a user is kept.
func MarkerID(user string) ID { return markerID(user) }

// SigningKey returns what cookies are signed with.
func SigningKey(secret string) []byte {
	key, _ := hkdf.Key(sha256.New, []byte(secret), nil, "holdfast session: sign", sha256.Size)
	return key
}

// Token returns the 48 bytes that a cookie's value carries.
func Token(secret, value string) string {
	var raw []byte
	sc := securecookie.New(SigningKey(secret), nil).SetSerializer(securecookie.NopEncoder{})
	if err := sc.Decode("__Host-session", value, &raw); err != nil {
		panic(err)
	}
	return string(raw)
}

// JSON is the default codec.
var JSON Codec = jsonCodec{}
