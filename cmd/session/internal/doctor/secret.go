package doctor

import (
	"bytes"
	"compress/flate"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"unicode"
)

const (
	minSecret   = 32 // bytes, the limit of session.New
	wantEntropy = 128

	// fingerprintLabel separates the fingerprint from the keys that package
	// session derives from the secret.
	fingerprintLabel = "holdfast session: fingerprint of doctor"
)

// Secret judges a secret from the environment variable name. The finding does
// not contain the secret.
func Secret(name, secret string) []Finding {
	return named("secret", []Finding{judgeSecret(name, secret)})
}

func judgeSecret(name, secret string) Finding {
	const advice = "Make one with: session secret"
	entropy := entropyOf(secret)
	switch {
	case secret == "":
		return skipped("%s is not set; set it to check the secret", name)
	case len(secret) < minSecret:
		return failure(advice, "%s has %d bytes, and session.New requires %d", name, len(secret), minSecret)
	case strings.Count(secret, secret[:1]) == len(secret):
		return failure(advice, "%s is one repeated byte", name)
	case strings.TrimSpace(secret) != secret:
		return warning("Remove the white space at its ends from all replicas at once, or rotate the secret.",
			"%s has white space at an end, which another replica may lack", name)
	case entropy < wantEntropy:
		// A fingerprint of a weak secret would let its reader guess the secret.
		f := warning(advice, "%s has %d bytes, but an estimated entropy of %.0f bits; want %d. It gets no fingerprint", name, len(secret), entropy, wantEntropy)
		return f
	}
	f := ok("%s has %d bytes, estimated entropy %.0f bits, fingerprint %s; it must be equal on all replicas", name, len(secret), entropy, Fingerprint(secret))
	f.Data = map[string]any{"name": name, "bytes": len(secret), "entropyBits": math.Round(entropy), "fingerprint": Fingerprint(secret)}
	return f
}

// Fingerprint returns a text by which the secrets of replicas can be compared. It
// is derived by HKDF with a label of its own, so it reveals neither the secret
// nor a key.
func Fingerprint(secret string) string {
	// The only error is a length beyond 255 hashes.
	sum, _ := hkdf.Key(sha256.New, []byte(secret), nil, fingerprintLabel, 8)
	text := hex.EncodeToString(sum)
	return fmt.Sprintf("%s-%s-%s-%s", text[:4], text[4:8], text[8:12], text[12:])
}

// entropyOf estimates the entropy of a secret in bits, from above. It is the
// smallest of the estimates by frequency, by repetitions and by language.
func entropyOf(secret string) float64 {
	if secret == "" {
		return 0
	}
	n := float64(len(secret))
	counts := map[byte]float64{}
	for i := range len(secret) {
		counts[secret[i]]++
	}
	byFrequency := 0.0
	for _, c := range counts {
		byFrequency -= c * math.Log2(c/n)
	}
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	_, _ = w.Write([]byte(secret))
	_ = w.Close()
	estimate := min(byFrequency, 8*float64(b.Len()))
	if isText(secret) {
		estimate = min(estimate, 2*n)
	}
	return estimate
}

// isText reports whether a secret consists of letters, spaces and a little
// punctuation. Random text in base64 or hexadecimal digits has digits.
func isText(secret string) bool {
	return strings.IndexFunc(secret, func(r rune) bool { return !unicode.IsLetter(r) && !strings.ContainsRune(" -_.,!?'", r) }) < 0
}
