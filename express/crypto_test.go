package express_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session/express"
)

// The vectors were made by kruptein 3.0.8 and by the Web Crypto adapter of
// connect-mongo 6, with the secret "squirrel".
const (
	krupteinVector = "MIICCgSBsDJ0S3J1empGNU1OSWN0ZFU1TkRtSkUxcU9nMTJGR2xON2JDNFhaMkpYUUczZUxlUStDZmw1MGF0bFUwMGVFcjZWcjBEVWE1dHYzVkJ0NkxuNVNCbXNTb3FBL3dqQnMyT2pBdUdPclFOWkJERFhTNEFneExTY1cyM0VWYmdQc2MrYk9obmFESTJRVDVVcjlhdmwzVTByczRJdm1kL1B6WCtTVEgrZi82RlNtejNzbnFLBFhjYmdQdTZFMXhPZDg1eEFRQm1wWU1OV2dCcXdtZXZGVjJtRGppMDdsTlVVNi9WbCtFQk1UODE3R2NUM0hkZ2JzNzVsemQ2emtzTmp4NS9sLzFqQ3YzQT09BAyZ2ElEg7tZFkuzj9YEgYBfNipbbsEYDla6WewY37jsyzCrNn+CGwuzzN0YpH9V9HuOXZVU1TqUjBDKVmHK1OKtCXzi9fAR+usvM+t7Ct1EDvdNR4CVrAFHFtbUI7yX5QbZOGtW2V+39b5m3vGdk6dy4p6Uf10uoAA2jF+dDwbeXilRrAaGuZBasKWI2ZiI6AQQXGyPnQZtdveGXnnkIpBbAQRYLzVTQ2lxTktWN0psMlQ4ejhjamNGTzkrNE4vTytyYTA1YlRnbXpYV0I2WE91dUZmbldLQnloZFVsbHpDUGpIc0dLVVA3R215MXlqWFd2TlVPcjdIb3c9PQ=="
	krupteinPlain  = `{"cookie":{"originalMaxAge":60000,"expires":"2030-01-01T00:00:00.000Z","httpOnly":true,"path":"/"},"user":"ada"}`
	webVector      = "AAECAwQFBgcICQoL5zWsiFrrFslflt0QKMlP+QoFRZIrv4RzJ+ZwIlHoQWXWY6P69B7DdINo"
	webURLVector   = "Ebagl0o8Fp_i32DvXg6IB4O-cNwQfFnENomLUAeex8l8Gg1KfbfM_koFtkv2PsvplU3zT4mW"
	webCBCVector   = "e5311bf0124651c68e27c9936162701c7850d665dff561b08b6d016cb54ca0deef22d8cb95eb9ca11153cca5265bb88e"
	krupteinOnce   = "MIIBiQQwazh2M3NsY0FGTS96Y0hLV0I3dnVMUDBFZTg4VmhScG9HcGdYUGNlRWZacjhadz09BFgrS25IREl0alZqTUNnZXJxUFZLbUUwL2pDTTNWTldJbitHNGtiYlQ3cTlJUzBhVmg0UDlnVkpCRys2RlNZWVFtVysvTGV6ZVNQUzEyMmRZZlZaK0RIZz09BAwrTN6PV2pwoyZpDTIEgYC7o2vV3PXv65XG/LMfBPNqEo/dygSW5ialmYiC6SqWiVVmQcehFVUEQyzB9JT3+vr/eVNmv+Jdm+/sB0qYyGX7uyLhxOfDc9ZkYIOFME4Vn+FTuvjMaggf7p8aqz1Cp5doNBtWThPx0LKfCH2sCnZxBsKd0QI3KEgkbaD80okZ2AQQCyDVinqic0spBk+uNq5rwARYOENXWUh2ZDNzUHlXYUNwV0JlMm9YR1pPclBCd241QWczRnI4elVqaUMwalliR1BEemFOWjFyV05hZ2VoU1JEUHdQK0JVZitQZEt0TnlkSldic0NzbEE9PQ=="
	webPlain       = `{"cookie":{},"user":"ada"}`
	webKey         = "0a8880a87d9b36eabfa01021fd6437c6211fee93c2695f84660d08461d06d2b8"
)

// encrypted returns a store with the option.
func encrypted(t testing.TB, o express.MongoOption) *express.MongoStore {
	t.Helper()
	store, err := express.NewMongoStore(offline(t), o)
	require.NoError(t, err)
	return store
}

func TestCrypto_Vectors(t *testing.T) {
	plain, err := encrypted(t, express.WithKruptein("squirrel")).Decrypt(krupteinVector)
	require.NoError(t, err)
	require.Equal(t, krupteinPlain, string(plain))

	raw := must(base64.StdEncoding.DecodeString(webVector))
	for encoding, text := range map[string]string{
		"": webVector, "base64": webVector, "base64url": base64.RawURLEncoding.EncodeToString(raw), "hex": hex.EncodeToString(raw),
	} {
		plain, err := encrypted(t, express.WithWebCrypto("squirrel", express.WebCrypto{Encoding: encoding})).Decrypt(text)
		require.NoError(t, err, encoding)
		require.Equal(t, webPlain, string(plain))
	}
	for _, c := range []struct {
		option express.MongoOption
		text   string
	}{
		{express.WithKruptein("squirrel"), krupteinOnce},
		{express.WithWebCrypto("squirrel", express.WebCrypto{Encoding: "base64url"}), webURLVector},
		{express.WithWebCrypto("squirrel", express.WebCrypto{Encoding: "hex", Salt: "pepper", CBC: true}), webCBCVector},
	} {
		plain, err := encrypted(t, c.option).Decrypt(c.text)
		require.NoError(t, err)
		require.Equal(t, webPlain, string(plain))
	}
	key := must(pbkdf2.Key(sha256.New, "squirrel", []byte("connect-mongo:webcrypto-default-salt"), 310_000, 32))
	require.Equal(t, webKey, hex.EncodeToString(key))
}

// seal encrypts like kruptein. A field can be replaced before.
func seal(t *testing.T, plain string, change func(fields [][]byte)) string {
	t.Helper()
	iv, salt, aad := random(12), random(128), random(64)
	key := must(pbkdf2.Key(sha512.New, "squirrel", salt, 15_000, 32))
	gcm := must(cipher.NewGCM(must(aes.NewCipher(key))))
	sealed := gcm.Seal(nil, iv, []byte(plain), aad)
	body, tag := sealed[:len(sealed)-16], sealed[len(sealed)-16:]
	fields := [][]byte{[]byte(base64.StdEncoding.EncodeToString(body)), nil, iv, salt, tag, []byte(base64.StdEncoding.EncodeToString(aad))}
	mac := hmac.New(sha512.New, key)
	mac.Write(fields[0])
	fields[1] = []byte(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	if change != nil {
		change(fields)
	}
	return base64.StdEncoding.EncodeToString(must(asn1.Marshal(fields)))
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func TestKruptein_TextAndObject(t *testing.T) {
	store := encrypted(t, express.WithKruptein("squirrel"))
	for name, plain := range map[string]string{"JSON twice": string(must(json.Marshal(webPlain))), "JSON once": webPlain} {
		got, err := store.Decrypt(seal(t, plain, nil))
		require.NoError(t, err, name)
		require.Equal(t, webPlain, string(got), name)
	}
}

func TestKruptein_Refused(t *testing.T) {
	store := encrypted(t, express.WithKruptein("squirrel"))
	flip := func(field int) func([][]byte) {
		return func(f [][]byte) { f[field][0] ^= 1 }
	}
	for name, text := range map[string]string{
		"empty": "", "not base64": "{}", "other base64": webVector, "cut": krupteinVector[:len(krupteinVector)-40], "longer": seal(t, webPlain, nil) + "AAAA",
		"ciphertext": seal(t, webPlain, flip(0)), "MAC": seal(t, webPlain, flip(1)), "IV": seal(t, webPlain, flip(2)),
		"salt": seal(t, webPlain, flip(3)), "tag": seal(t, webPlain, flip(4)), "data": seal(t, webPlain, flip(5)),
		"no IV":     seal(t, webPlain, func(f [][]byte) { f[2] = nil }),
		"short tag": seal(t, webPlain, func(f [][]byte) { f[4] = f[4][:4] }),
		"no tag":    seal(t, webPlain, func(f [][]byte) { f[4] = nil }),
		"huge salt": seal(t, webPlain, func(f [][]byte) { f[3] = random(1 << 16) }),
	} {
		_, err := store.Decrypt(text)
		require.ErrorIs(t, err, express.ErrDamaged, name)
		require.NotContains(t, err.Error(), "squirrel")
	}
	_, err := encrypted(t, express.WithKruptein("another")).Decrypt(krupteinVector)
	require.ErrorIs(t, err, express.ErrDamaged)
}

func TestWebCrypto_CBC(t *testing.T) {
	key := must(pbkdf2.Key(sha256.New, "squirrel", []byte("salt"), 310_000, 32))
	block := must(aes.NewCipher(key))
	store := encrypted(t, express.WithWebCrypto("squirrel", express.WebCrypto{Salt: "salt", CBC: true}))
	cbc := func(padded string) string {
		raw := append(random(16), padded...)
		cipher.NewCBCEncrypter(block, raw[:16]).CryptBlocks(raw[16:], raw[16:])
		return base64.StdEncoding.EncodeToString(raw)
	}
	got, err := store.Decrypt(cbc(webPlain + strings.Repeat("\x06", 6)))
	require.NoError(t, err)
	require.Equal(t, webPlain, string(got))
	for name, padded := range map[string]string{
		"no padding": strings.Repeat("x", 16), "zero": strings.Repeat("x", 15) + "\x00", "17": strings.Repeat("\x11", 32), "unequal": strings.Repeat("x", 14) + "\x01\x02", "no block": "",
	} {
		_, err := store.Decrypt(cbc(padded))
		require.ErrorIs(t, err, express.ErrDamaged, name)
	}
}

func TestWebCrypto_Refused(t *testing.T) {
	store := encrypted(t, express.WithWebCrypto("squirrel", express.WebCrypto{}))
	raw := must(base64.StdEncoding.DecodeString(webVector))
	raw[20] ^= 1
	for _, text := range []string{"", "!", "AAAA", krupteinVector, webVector[:len(webVector)-4], base64.StdEncoding.EncodeToString(raw)} {
		_, err := store.Decrypt(text)
		require.ErrorIs(t, err, express.ErrDamaged, text)
	}
	_, err := encrypted(t, express.WithWebCrypto("squirrel", express.WebCrypto{Salt: "another"})).Decrypt(webVector)
	require.ErrorIs(t, err, express.ErrDamaged)
}

// An encrypted session can be read and moved, but not written.
func TestLoad_Encrypted(t *testing.T) {
	for name, c := range map[string]struct {
		option express.MongoOption
		text   string
	}{
		"kruptein":   {express.WithKruptein("squirrel"), krupteinVector},
		"Web Crypto": {express.WithWebCrypto("squirrel", express.WebCrypto{}), webVector},
	} {
		t.Run(name, func(t *testing.T) {
			coll := collection(t)
			insert(t, coll, document(c.text))
			store, err := express.NewMongoStore(coll, c.option)
			require.NoError(t, err)
			x, err := express.Open(t.Context(), store, secret)
			require.NoError(t, err)
			s, err := x.Load(request(sid))
			require.NoError(t, err)
			user := express.Key[string]("user")
			require.Equal(t, "ada", user.GetOr(s, ""))
			require.ErrorContains(t, user.Set(t.Context(), s, "bob"), "cannot be written")
			require.ErrorContains(t, s.Touch(t.Context()), "cannot be written")
			after, err := coll.FindOne(t.Context(), bson.D{}).Raw()
			require.NoError(t, err)
			require.Equal(t, c.text, after.Lookup("session").StringValue())
			require.NoError(t, s.End(t.Context()))
			s, err = x.Load(request(sid))
			require.NoError(t, err)
			require.Empty(t, s.ID())
		})
	}
}

func FuzzKruptein(f *testing.F) {
	store := encrypted(f, express.WithKruptein("squirrel"))
	f.Add(krupteinVector)
	f.Add(webVector)
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := store.Decrypt(text); err != nil {
			require.ErrorIs(t, err, express.ErrDamaged)
		}
	})
}

func FuzzWebCrypto(f *testing.F) {
	gcm := encrypted(f, express.WithWebCrypto("squirrel", express.WebCrypto{}))
	cbc := encrypted(f, express.WithWebCrypto("squirrel", express.WebCrypto{CBC: true}))
	f.Add(webVector)
	f.Fuzz(func(t *testing.T, text string) {
		for _, store := range []*express.MongoStore{gcm, cbc} {
			if _, err := store.Decrypt(text); err != nil {
				require.ErrorIs(t, err, express.ErrDamaged)
			}
		}
	})
}
