package express

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
)

// Parameters of kruptein 3 with its default options.
const (
	krupteinRounds  = 15_000
	krupteinMaxSalt = 1024
)

// errSecret does not tell a wrong secret from changed text.
var errSecret = errors.New("it has been encrypted with another secret or other options, or was changed")

// WithKruptein reads sessions that connect-mongo has encrypted with its option
// crypto or with createKrupteinAdapter. secret is the secret there. Other options of
// kruptein must have their defaults. Each read of a session costs 15,000 rounds of
// PBKDF2, as in Express, because each session has a salt of its own. Not more sessions
// are decrypted at a time than there are processors. Such sessions cannot be written.
func WithKruptein(secret string) MongoOption {
	return func(s *MongoStore) {
		if secret == "" {
			s.addError("WithKruptein: the secret is empty")
		}
		slots := make(chan struct{}, runtime.GOMAXPROCS(0))
		s.setDecrypt("WithKruptein", func(ctx context.Context, text string) ([]byte, error) {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
				return openKruptein(text, secret)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
	}
}

// krupteinBox is the ASN.1 structure of an encrypted session. Only IV, Salt and Tag
// are raw bytes. The other fields are text.
type krupteinBox struct {
	Ciphertext, MAC, IV, Salt, Tag, Data []byte
}

// openKruptein decrypts a session.
func openKruptein(text, secret string) ([]byte, error) {
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: it is not base64; leave WithKruptein out if it is not encrypted", ErrDamaged)
	}
	var box krupteinBox
	if rest, err := asn1.Unmarshal(der, &box); err != nil || len(rest) > 0 || len(box.Salt) > krupteinMaxSalt {
		return nil, fmt.Errorf("%w: it is not encrypted by kruptein; for the Web Crypto adapter use WithWebCrypto", ErrDamaged)
	}
	key, err := pbkdf2.Key(sha512.New, secret, box.Salt, krupteinRounds, 32)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	mac := hmac.New(sha512.New, key)
	mac.Write(box.Ciphertext)
	if !hmac.Equal([]byte(base64.StdEncoding.EncodeToString(mac.Sum(nil))), box.MAC) {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, errSecret)
	}
	plain, err := box.decrypt(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, errSecret)
	}
	return unwrapText(plain), nil
}

// decrypt decrypts the content after the MAC has been checked.
func (b *krupteinBox) decrypt(key []byte) ([]byte, error) {
	ciphertext, err := base64.StdEncoding.DecodeString(string(b.Ciphertext))
	if err != nil {
		return nil, err
	}
	data, err := base64.StdEncoding.DecodeString(string(b.Data))
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	if len(b.IV) == 0 || len(b.Tag) != 16 {
		return nil, errSecret
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, len(b.IV))
	if err != nil {
		return nil, err
	}
	return gcm.Open(nil, b.IV, append(ciphertext, b.Tag...), data)
}

// unwrapText returns the JSON text in a JSON string, as connect-mongo does for
// sessions that it encrypts as text. Other text is returned as it is.
func unwrapText(plain []byte) []byte {
	if trimmed := bytes.TrimSpace(plain); len(trimmed) > 0 && trimmed[0] == '"' {
		var text string
		if json.Unmarshal(trimmed, &text) == nil {
			return []byte(text)
		}
	}
	return plain
}
