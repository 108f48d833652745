package session

import (
	"crypto/hkdf"
	"crypto/sha256"
	"time"

	"github.com/gorilla/securecookie"
)

// SetClock replaces the clock of a Manager.
func (m *Manager) SetClock(now func() time.Time) { m.now = now }

// Waiting returns the number of Updates in the queue of a key, including the
// running one.
func (m *Manager) Waiting() (n int) {
	m.locks.mu.Lock()
	defer m.locks.mu.Unlock()
	for _, t := range m.locks.turns {
		n += t.users
	}
	return n
}

// MarkerID returns the ID of the record with the revocations of a user.
func MarkerID(user string) ID { return markerID(user) }

// SigningKey returns the key that signs cookies.
func SigningKey(secret string) []byte {
	key, _ := hkdf.Key(sha256.New, []byte(secret), nil, "holdfast session: sign", sha256.Size)
	return key
}

// Token returns the 48 bytes in the value of a cookie.
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

// Waiters returns the number of sessions whose end is waited for.
func (m *Manager) Waiters() int {
	m.waits.mu.Lock()
	defer m.waits.mu.Unlock()
	return len(m.waits.bySession)
}
