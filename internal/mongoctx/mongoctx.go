// Package mongoctx makes contexts for the MongoDB driver.
package mongoctx

import (
	"context"
	"reflect"
	"strings"
	"time"
)

// New returns a context to pass to the driver in place of the caller's. It ends
// with the caller's context and has its values, except those of the driver. In the
// callback of a transaction, the caller's context holds the driver's session. The
// store's commands would become part of the transaction and be lost if it aborts.
//
// It has no deadline. With one, the driver repeats a failing command thousands of
// times a second until the deadline.
func New(ctx context.Context) context.Context { return operation{ctx} }

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
