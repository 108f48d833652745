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

// secret is the half of a token known only to the client.
type secret [32]byte

// token is the content of the cookie.
type token struct {
	id     ID
	secret secret

	// unsettled is a time in nanoseconds since 1970. A later revocation ends the
	// sign-in of the token. It is 0 if the sign-in is complete.
	unsettled int64
}

// newSecret returns a random secret.
func newSecret() (s secret) {
	rand.Read(s[:])
	return s
}

// verifier returns the hash of the secret in the store. It identifies the
// secret, but does not reveal it.
func (s secret) verifier() []byte {
	sum := sha256.Sum256(s[:])
	return sum[:]
}

// keys are derived from one configured secret, one key for each purpose.
type keys struct {
	cookies    *securecookie.SecureCookie
	renewal    []byte
	imports    []byte
	encryption encryptionKey
}

// deriveKeys returns the keys of a secret, or an error if the secret is weak.
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
	// MaxAge(0) ignores the cookie's timestamp. Only the record determines the
	// end of a session, because two sources could contradict each other.
	sc := securecookie.New(derive("sign"), nil).SetSerializer(securecookie.NopEncoder{}).MaxAge(0)
	return keys{cookies: sc, renewal: derive("renew"), imports: derive("import"), encryption: newEncryptionKey(master)}, nil
}
