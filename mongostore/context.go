package mongostore

import (
	"context"
	"reflect"
	"strings"
	"time"
)

// operation is the context that the driver gets in place of the caller's. It
// keeps the end of the caller's context and its values, except the driver's
// own: inside the callback of a transaction the caller's context names that
// transaction, which would take the store's commands with it if it is aborted.
//
// It has no deadline. With one, the driver repeats a command that keeps
// failing until then, thousands of times a second.
type operation struct{ context.Context }

const driverPackages = "go.mongodb.org/mongo-driver/"

// Value implements [context.Context].
func (o operation) Value(key any) any {
	if t := reflect.TypeOf(key); t != nil && strings.HasPrefix(t.PkgPath(), driverPackages) {
		return nil
	}
	return o.Context.Value(key)
}

// Deadline implements [context.Context].
func (operation) Deadline() (time.Time, bool) { return time.Time{}, false }
