package session

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/gorilla/securecookie"
)

// secret is the half of a token that only the browser knows.
type secret [32]byte

// token is what the cookie carries.
type token struct {
	id     ID
	secret secret

	// unsettled is the time, in nanoseconds since 1970, from which on a
	// revocation ends the sign-in that made the token; 0 if none can any more.
	unsettled int64
}

func newSecret() (s secret) {
	rand.Read(s[:])
	return s
}

// verifier is what the store holds of the secret: it tells whether a secret
// is the right one and is of no use to whoever reads it.
func (s secret) verifier() []byte {
	sum := sha256.Sum256(s[:])
	return sum[:]
}

// keys are derived from one configured secret, one key for each purpose.
type keys struct {
	cookies    *securecookie.SecureCookie
	renewal    []byte
	encryption encryptionKey
}

func deriveKeys(master string) (keys, error) {
	const advice = "make one with: openssl rand -base64 32"
	switch {
	case master == "":
		return keys{}, errors.New("is empty; " + advice)
	case len(master) < 32:
		return keys{}, fmt.Errorf("has %d bytes, want at least 32; %s", len(master), advice)
	case strings.Count(master, master[:1]) == len(master):
		return keys{}, errors.New("is one repeated byte; " + advice)
	}
	derive := func(purpose string) []byte {
		// The only error is a length beyond 255 hashes.
		key, _ := hkdf.Key(sha256.New, []byte(master), nil, "holdfast session: "+purpose, sha256.Size)
		return key
	}
	// The record decides when a session ends, not the cookie's timestamp:
	// two clocks for one question drift apart.
	sc := securecookie.New(derive("sign"), nil).SetSerializer(securecookie.NopEncoder{}).MaxAge(0)
	return keys{cookies: sc, renewal: derive("renew"), encryption: newEncryptionKey(master)}, nil
}
