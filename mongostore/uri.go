package mongostore

import (
	"errors"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

	"github.com/holdfast-go/session/internal/secrets"
)

// parseURI parses a URI. Its errors do not repeat secrets.
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

// redact returns the text of an error without the secrets of the URI and without
// other secrets.
func redact(err error, uri string, others ...string) string {
	return secrets.Hide(err, uri, others...)
}
