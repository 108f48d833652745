package redisstore

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-go/session"
)

// refusals are the codes of replies that mean that a command was not executed.
// Redis has no transaction around a script. So the codes of firstWrite and only
// these may also come from a command inside a script, because Redis checks them
// at the first write. Any other error reply is uncertain, in particular ERR.
var refusals = []string{
	"ASK", "MOVED", "TRYAGAIN", "CLUSTERDOWN", "CROSSSLOT",
	"LOADING", "MASTERDOWN", "BUSY", "NOSCRIPT",
	"NOAUTH", "WRONGPASS", "NOPERM", "DENIED",
}

var firstWrite = []string{"READONLY", "OOM", "MISCONF", "NOREPLICAS"}

// code returns the first word of an error reply, and whether err is one.
func code(err error) (code string, ok bool) {
	var reply redis.Error
	if !errors.As(err, &reply) || errors.Is(err, redis.Nil) {
		return "", false
	}
	text := strings.TrimPrefix(reply.Error(), "-")
	code, _, _ = strings.Cut(text, " ")
	return code, true
}

// insideScript is part of the error reply to a command that a script has called.
const insideScript = " script: "

// refused reports whether err proves that the server did not apply a write.
func refused(err error) bool {
	code, ok := code(err)
	switch {
	case !ok:
		return false
	case slices.Contains(firstWrite, code), isTooLarge(err):
		return true
	}
	return slices.Contains(refusals, code) && !strings.Contains(err.Error(), insideScript)
}

// isTooLarge reports whether the server has refused an argument because of its
// size. It does not read the rest of the command.
func isTooLarge(err error) bool {
	return redis.HasErrorPrefix(err, "Protocol error: invalid bulk length")
}

// certain reports whether a command with this error had no effect. The client may
// have sent it once before, to a server that refused it.
func certain(err error) bool {
	return refused(err) || unsent(err)
}

// unsent reports whether the client got no connection.
func unsent(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return true
	}
	var dns *net.DNSError
	return errors.As(err, &dns) || errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) || errors.Is(err, redis.ErrClosed)
}

func uncertain(err error) error { return fmt.Errorf("%w: %w", session.ErrUncertain, err) }

// passingCodes are the codes of temporary refusals.
var passingCodes = []string{
	"ASK", "MOVED", "TRYAGAIN", "CLUSTERDOWN", // a failover or a move of slots
	"LOADING", "MASTERDOWN", "READONLY", "NOREPLICAS", // a restart or a failover
	"BUSY", // another script takes long
}

// passing reports whether another attempt may succeed. It ignores whether the
// write may have been applied, see unapplied.
func passing(err error) bool {
	if code, ok := code(err); ok {
		return slices.Contains(passingCodes, code) || redis.IsMaxClientsError(err)
	}
	if errors.Is(err, redis.ErrClosed) || errors.Is(err, redis.ErrPoolTimeout) {
		return false
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errNotAcknowledged)
}

// unapplied reports whether another attempt may succeed and the last one was
// certainly not applied. Otherwise the Manager must read the record before it
// repeats a write.
func unapplied(err error) bool {
	return passing(err) && !errors.Is(err, session.ErrUncertain)
}
