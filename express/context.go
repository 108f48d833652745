package express

import (
	"context"
	"reflect"
	"strings"
	"time"
)

// operation is the context passed to the driver in place of the caller's, without
// the values of the driver and without a deadline. In the callback of a transaction, the caller's context holds the driver's session. The
// store's commands would become part of the transaction. With a deadline, the driver
// repeats a failing command as fast as it can.
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
