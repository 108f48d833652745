// Package secrets removes passwords from the errors of stores.
package secrets

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Hide returns the text of an error without the secrets of the URI and without
// other secrets. Parsers repeat the malformed part of a URI in their errors.
func Hide(err error, uri string, others ...string) string {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no reply in time: %w", err)
	}
	text := err.Error()
	for _, s := range append(secretsOf(uri), others...) {
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s), fmt.Sprintf("%q", s)} {
			text = strings.ReplaceAll(text, strings.Trim(form, `"`), "[redacted]")
		}
	}
	return text
}

// secretsOf returns the parts of a URI that must not be shown, the longest first. The
// URI may be malformed.
func secretsOf(uri string) []string {
	found := []string{uri}
	_, rest, ok := strings.Cut(uri, "://")
	if !ok {
		rest = uri
	}
	for _, at := range []int{strings.LastIndexByte(rest, '@'), strings.IndexByte(rest, '@')} {
		_, password, _ := strings.Cut(rest[:max(at, 0)], ":")
		plain, _ := url.PathUnescape(password)
		found = append(found, rest[:max(at, 0)], password, plain)
	}
	if _, query, ok := strings.Cut(rest, "?"); ok {
		for pair := range strings.SplitSeq(query, "&") {
			k, v, _ := strings.Cut(pair, "=")
			if k = strings.ToLower(k); strings.Contains(k, "password") || strings.Contains(k, "authmechanismproperties") {
				found = append(found, v)
			}
		}
	}
	return slices.DeleteFunc(found, func(s string) bool { return s == "" })
}
