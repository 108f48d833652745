package express

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxCookieValue is the maximum size of a cookie in browsers (RFC 6265bis,
// section 5.6). express-session has no limit.
const maxCookieValue = 4096

// sessionID returns the ID in the session cookie of r, if one of the secrets
// has signed it. Like express-session, it uses the first cookie of the name.
func (x *Sessions) sessionID(r *http.Request) (id string, ok bool) {
	for _, line := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			name, value, found := strings.Cut(pair, "=")
			if found && strings.Trim(name, " \t") == x.cookieName {
				return verify(strings.Trim(value, " \t"), x.secrets)
			}
		}
	}
	return "", false
}

// verify returns the ID in a cookie's value if one of the secrets has signed
// it. The value is encodeURIComponent("s:" + ID + "." + signature).
func verify(value string, secrets [][]byte) (id string, ok bool) {
	if len(value) > maxCookieValue {
		return "", false
	}
	signed, ok := strings.CutPrefix(decodeComponent(unquote(value)), "s:")
	dot := strings.LastIndexByte(signed, '.')
	if !ok || dot <= 0 {
		return "", false
	}
	id = signed[:dot]
	for _, secret := range secrets {
		// The encoded signatures are compared, because base64 has several encodings
		// of one signature and Express accepts only its own.
		if hmac.Equal([]byte(sign(id, secret)), []byte(signed[dot+1:])) {
			return id, true
		}
	}
	return "", false
}

// sign returns the signature of cookie-signature.
func sign(id string, secret []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(id))
	return base64.RawStdEncoding.EncodeToString(mac.Sum(nil))
}

// unquote removes the quotes around a value, like the package cookie.
func unquote(value string) string {
	if n := len(value); n > 1 && value[0] == '"' && value[n-1] == '"' {
		return value[1 : n-1]
	}
	return value
}

// decodeComponent is decodeURIComponent. If it would throw, the value is used
// as it is, like the package cookie does. Node reads bytes beyond ASCII in a
// header as Latin-1, so they never agree with a signature and are refused.
func decodeComponent(value string) string {
	for i := range len(value) {
		if value[i] >= utf8.RuneSelf {
			return ""
		}
	}
	decoded, err := url.PathUnescape(value) // QueryUnescape would change "+"
	if err != nil || !utf8.ValidString(decoded) {
		return value
	}
	return decoded
}
