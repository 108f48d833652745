package main

import (
	"errors"
	"os"
	"slices"

	"github.com/holdfast-go/session/internal/secrets"
)

// redact removes the secrets in the environment from a text. The stores do the
// same with their errors, so this is a second barrier.
func redact(text string) string {
	others := slices.DeleteFunc([]string{os.Getenv("SESSION_SECRET"), os.Getenv("SESSION_SECRET_ALSO")},
		func(s string) bool { return s == "" })
	for _, name := range []string{"MONGO_URI", "REDIS_URL"} {
		text = secrets.Hide(errors.New(text), os.Getenv(name), others...)
	}
	return text
}
