package mongostore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"
)

func parseURI(uri string) (*connstring.ConnString, error) {
	if strings.TrimSpace(uri) == "" {
		return nil, errors.New("mongostore: the URI is empty (is the environment variable MONGO_URI set?); want mongodb://host:27017/database")
	}
	cs, err := connstring.ParseAndValidate(uri)
	if err != nil {
		return nil, fmt.Errorf("mongostore: the URI is malformed, want mongodb://user:password@host:27017/database: %s", redact(err, uri))
	}
	return cs, nil
}

// redact returns an error's text without anything of the URI that is secret:
// the driver's parser repeats what it cannot read.
func redact(err error, uri string) string {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("nobody answered in time: %w", err)
	}
	text := err.Error()
	for _, s := range secrets(uri) {
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s), fmt.Sprintf("%q", s)} {
			text = strings.ReplaceAll(text, strings.Trim(form, `"`), "[redacted]")
		}
	}
	return text
}

// secrets lists the parts of a URI that must not be shown, the longest first;
// it takes malformed ones too.
func secrets(uri string) []string {
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
