package express

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
)

// Parameters of the Web Crypto adapter of connect-mongo 6.
const (
	webCryptoRounds  = 310_000
	webCryptoSalt    = "connect-mongo:webcrypto-default-salt"
	webCryptoIV      = 12 // of AES-GCM
	webCryptoMinimum = 16 // the tag of AES-GCM, and a block of AES-CBC
)

// WebCrypto has the options of createWebCryptoAdapter. The zero value has its
// defaults.
type WebCrypto struct {
	Salt     string // option salt; empty for the default
	Encoding string // option encoding: "base64" or empty, "base64url" or "hex"
	CBC      bool   // option algorithm is AES-CBC and not AES-GCM
}

// WithWebCrypto reads sessions that connect-mongo has encrypted with
// createWebCryptoAdapter. secret is the secret there. The key is derived once, with
// the first session. AES-CBC does not detect a changed session. Such sessions cannot
// be written.
func WithWebCrypto(secret string, o WebCrypto) MongoOption {
	return func(s *MongoStore) {
		if secret == "" {
			s.addError("WithWebCrypto: the secret is empty")
		}
		decode, ok := webCryptoEncodings[o.Encoding]
		if !ok {
			s.addError("WithWebCrypto: encoding %q: want base64, base64url or hex", o.Encoding)
		}
		if o.Salt == "" {
			o.Salt = webCryptoSalt
		}
		block := sync.OnceValues(func() (cipher.Block, error) {
			key, err := pbkdf2.Key(sha256.New, secret, []byte(o.Salt), webCryptoRounds, 32)
			if err != nil {
				return nil, err
			}
			return aes.NewCipher(key)
		})
		s.setDecrypt("WithWebCrypto", func(_ context.Context, text string) ([]byte, error) {
			raw, err := decode(text)
			if err != nil {
				return nil, fmt.Errorf("%w: it is not in the encoding of WithWebCrypto; leave the option out if it is not encrypted", ErrDamaged)
			}
			b, err := block()
			if err != nil {
				return nil, err
			}
			return openWebCrypto(b, raw, o.CBC)
		})
	}
}

var webCryptoEncodings = map[string]func(string) ([]byte, error){
	"":          base64.StdEncoding.DecodeString,
	"base64":    base64.StdEncoding.DecodeString,
	"base64url": func(s string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "=")) },
	"hex":       hex.DecodeString,
}

// openWebCrypto decrypts a session.
func openWebCrypto(b cipher.Block, raw []byte, cbc bool) ([]byte, error) {
	refused := fmt.Errorf("%w: %w", ErrDamaged, errSecret)
	if cbc {
		iv := b.BlockSize()
		if len(raw) < iv+webCryptoMinimum || len(raw)%iv != 0 {
			return nil, refused
		}
		plain := make([]byte, len(raw)-iv)
		cipher.NewCBCDecrypter(b, raw[:iv]).CryptBlocks(plain, raw[iv:])
		pad := plain[len(plain)-1] // PKCS #7
		content, ok := bytes.CutSuffix(plain, bytes.Repeat([]byte{pad}, int(pad)))
		if !ok || pad == 0 || int(pad) > iv {
			return nil, refused
		}
		return content, nil
	}
	if len(raw) < webCryptoIV+webCryptoMinimum {
		return nil, refused
	}
	gcm, err := cipher.NewGCM(b)
	if err != nil {
		return nil, err
	}
	plain, err := gcm.Open(nil, raw[:webCryptoIV], raw[webCryptoIV:], nil)
	if err != nil {
		return nil, refused
	}
	return plain, nil
}

// decrypter decrypts the text of a session.
type decrypter func(ctx context.Context, text string) ([]byte, error)

// setDecrypt sets the function that decrypts sessions.
func (s *MongoStore) setDecrypt(option string, f decrypter) {
	if s.decrypt != nil {
		s.addError("%s: choose one of WithKruptein and WithWebCrypto", option)
	}
	s.decrypt = f
}
