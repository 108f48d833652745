package main

import (
	"net/url"
	"os"
	"slices"
	"strings"
)

// redact removes the secrets in the environment from a text. The packages that
// the command uses do the same, so this is a second barrier.
func redact(text string) string {
	var secrets []string
	for _, name := range []string{"SESSION_SECRET", "SESSION_SECRET_ALSO"} {
		secrets = append(secrets, os.Getenv(name))
	}
	for _, name := range []string{"MONGO_URI", "REDIS_URL"} {
		secrets = append(secrets, uriSecrets(os.Getenv(name))...)
	}
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "[redacted]")
		}
	}
	return text
}

// uriSecrets returns the parts of a URI that must not be shown, the longest
// first. The URI may be malformed.
func uriSecrets(uri string) []string {
	_, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return []string{uri}
	}
	at := max(strings.LastIndexByte(rest, '@'), 0)
	_, password, _ := strings.Cut(rest[:at], ":")
	plain, _ := url.PathUnescape(password)
	found := []string{uri, rest[:at], password, plain}
	_, query, _ := strings.Cut(rest, "?")
	for pair := range strings.SplitSeq(query, "&") {
		k, v, _ := strings.Cut(pair, "=")
		if k = strings.ToLower(k); strings.Contains(k, "password") || strings.Contains(k, "authmechanismproperties") {
			found = append(found, v)
		}
	}
	return slices.DeleteFunc(found, func(s string) bool { return s == "" })
}
