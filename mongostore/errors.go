package mongostore

import (
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"github.com/holdfast-go/session"
)

// Codes of the server, from its error_codes.yml.
const (
	codeIndexOptionsConflict = 85
	codeIndexKeySpecConflict = 86
	codeNotImplemented       = 238
	codeBSONObjectTooLarge   = 10334
	codeInsertTooLarge       = 2     // BadValue, with "too large" or "larger" in the text
	codeUpdateTooLarge       = 17419 // the resulting document
	codeUpdateTooLargeOld    = 17420
)

// translate gives an error of the driver its meaning for the Manager.
func translate(err error) error {
	if err == nil {
		return nil
	}
	var server mongo.ServerError
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return session.ErrNotFound
	case mongo.IsDuplicateKeyError(err):
		return session.ErrConflict
	case errors.As(err, &server) && tooLarge(server):
		return fmt.Errorf("%w: %w", session.ErrTooLarge, err)
	default:
		return err
	}
}

func tooLarge(err mongo.ServerError) bool {
	return hasCode(err, codeBSONObjectTooLarge, codeUpdateTooLarge, codeUpdateTooLargeOld) ||
		err.HasErrorCodeWithMessage(codeInsertTooLarge, "too large") || err.HasErrorCodeWithMessage(codeInsertTooLarge, "larger than")
}

func hasCode(err mongo.ServerError, codes ...int) bool {
	return slices.ContainsFunc(codes, err.HasErrorCode)
}

// writeError marks an error of a write that may have been applied all the
// same: its reply was lost, or the server that applied it may lose it. What
// the server refused outright, and what was never sent, was not.
func writeError(err error) error {
	if err == nil || unsent(err) || refused(err) {
		return err
	}
	return fmt.Errorf("%w: %w", session.ErrUncertain, err)
}

// unsent tells that no attempt reached a server: after one that did, the driver
// gives that one's error.
func unsent(err error) bool {
	var selection topology.ServerSelectionError
	var pool topology.WaitQueueTimeoutError
	return errors.As(err, &selection) || errors.As(err, &pool) || errors.Is(err, mongo.ErrClientDisconnected)
}

// refused tells an answer of the server that says no, from one that a server
// gives which is stepping down or failing: the driver repeats after that one,
// and it may be the first attempt that was applied.
func refused(err error) bool {
	var exception mongo.WriteException
	if errors.As(err, &exception) {
		return exception.WriteConcernError == nil && !exception.HasErrorLabel("RetryableWriteError")
	}
	var command mongo.CommandError
	return errors.As(err, &command) && !passing(err)
}

// passingCodes are those of the driver specifications' retryable errors, and
// of a server under overload.
var passingCodes = []int{
	6,     // HostUnreachable
	7,     // HostNotFound
	89,    // NetworkTimeout
	91,    // ShutdownInProgress
	134,   // ReadConcernMajorityNotAvailableYet
	189,   // PrimarySteppedDown
	262,   // ExceededTimeLimit
	462,   // IngressRequestRateLimitExceeded
	9001,  // SocketException
	10058, // LegacyNotPrimary
	10107, // NotWritablePrimary
	11600, // InterruptedAtShutdown
	11602, // InterruptedDueToReplStateChange
	13388, // StaleConfig
	13435, // NotPrimaryNoSecondaryOk
	13436, // NotPrimaryOrSecondary
	64,    // WriteConcernTimeout
}

// passing tells an error after which another try may succeed.
func passing(err error) bool {
	var labeled mongo.LabeledError
	if errors.As(err, &labeled) && (labeled.HasErrorLabel("RetryableWriteError") || labeled.HasErrorLabel("NetworkError")) {
		return true
	}
	// The driver's error for a pool that was cleared is not exported, and where
	// the driver wraps it, it does not try again itself.
	var cleared interface{ Retryable() bool }
	if errors.As(err, &cleared) && cleared.Retryable() {
		return true
	}
	var server mongo.ServerError
	if errors.As(err, &server) {
		return hasCode(server, passingCodes...)
	}
	var conn topology.ConnectionError
	return mongo.IsNetworkError(err) || errors.As(err, &conn)
}
