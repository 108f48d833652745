package mongostore

import (
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"github.com/holdfast-go/session"
)

// Error codes of MongoDB, from its error_codes.yml.
const (
	codeInvalidOptions       = 72
	codeIndexOptionsConflict = 85
	codeIndexKeySpecConflict = 86
	codeCommandNotSupported  = 115
	codeNotImplemented       = 238
)

// readError converts an error of a read for the Manager.
func readError(err error) error {
	if errors.Is(err, mongo.ErrNoDocuments) {
		return session.ErrNotFound
	}
	return err
}

// writeError converts an error of a write for the Manager. The outcome is uncertain
// if the reply was lost, if the server may lose the applied write, or if the error
// does not say whether the write was applied. A crashing server returns many kinds
// of errors, so only known refusals count as refusals.
func writeError(err error) error {
	switch {
	case err == nil || unsent(err):
		return err
	case tooLarge(err):
		return fmt.Errorf("%w: %w", session.ErrTooLarge, err)
	case !refused(err):
		return fmt.Errorf("%w: %w", session.ErrUncertain, err)
	case mongo.IsDuplicateKeyError(err):
		return session.ErrConflict
	default:
		return err
	}
}

// tooLargeCodes are the error codes for a document above the server's size limit.
var tooLargeCodes = []int{
	10334,     // BSONObjectTooLarge
	17419,     // document too large after an update
	17420,     // the same, on the first update of a document
	285999133, // DocumentDB
}

// tooLarge reports whether the driver or the server refused a document because of
// its size. Servers use different codes, and some only a general one.
func tooLarge(err error) bool {
	if errors.Is(err, driver.ErrDocumentTooLarge) {
		return true
	}
	var server mongo.ServerError
	if !errors.As(err, &server) {
		return false
	}
	return hasCode(server, tooLargeCodes...) || slices.ContainsFunc(server.ErrorCodes(), func(code int) bool {
		return server.HasErrorCodeWithMessage(code, "too large") || server.HasErrorCodeWithMessage(code, "larger than")
	})
}

// hasCode reports whether err has one of the codes.
func hasCode(err mongo.ServerError, codes ...int) bool {
	return slices.ContainsFunc(codes, err.HasErrorCode)
}

// unsent reports whether no attempt reached a server. The driver returns such an
// error only if there was no earlier attempt.
func unsent(err error) bool {
	var selection topology.ServerSelectionError
	var pool topology.WaitQueueTimeoutError
	if errors.As(err, &selection) || errors.As(err, &pool) || errors.Is(err, mongo.ErrClientDisconnected) || poolCleared(err) {
		return true
	}
	// The driver wraps the error of an established connection in a driver.Error,
	// but not the error of a connection that could not be established.
	if command, ok := err.(mongo.CommandError); ok {
		err = command.Wrapped
	}
	_, ok := err.(topology.ConnectionError)
	return ok
}

// poolCleared reports whether the driver provided no connection because other
// connections to the server had failed. The driver does not export this error.
func poolCleared(err error) bool {
	var cleared interface{ Retryable() bool }
	return errors.As(err, &cleared) && cleared.Retryable()
}

// refusals are the error codes of a server that has not applied a write. All other
// codes are uncertain, including InternalError (1), UnknownError (8) and
// MaxTimeMSExpired (50).
var refusals = []int{
	2,     // BadValue
	9,     // FailedToParse
	13,    // Unauthorized
	14,    // TypeMismatch
	18,    // AuthenticationFailed
	20,    // IllegalOperation, for a retryable write on a server without these
	26,    // NamespaceNotFound
	28,    // PathNotViable
	40,    // ConflictingUpdateOperators
	52,    // DollarPrefixedFieldName
	56,    // EmptyFieldName
	57,    // DottedFieldName
	59,    // CommandNotFound
	66,    // ImmutableField
	72,    // InvalidOptions
	73,    // InvalidNamespace
	112,   // WriteConflict
	115,   // CommandNotSupported
	121,   // DocumentValidationFailure
	238,   // NotImplemented
	10058, // LegacyNotPrimary
	10107, // NotWritablePrimary
	11000, // DuplicateKey
	11001, // DuplicateKey of an update
	13435, // NotPrimaryNoSecondaryOk
	40414, // a missing field of a command
	40415, // an unknown field of a command
}

// refused reports whether err proves that the write was not applied. An error with
// the label RetryableWriteError is no proof, because the driver may have sent the
// write twice and the error concerns only the second attempt.
func refused(err error) bool {
	if errors.Is(err, driver.ErrUnsupportedStorageEngine) {
		return true // the driver returns it instead of IllegalOperation
	}
	var labeled mongo.LabeledError
	if errors.As(err, &labeled) && (labeled.HasErrorLabel("RetryableWriteError") || labeled.HasErrorLabel("NetworkError")) {
		return false
	}
	var exception mongo.WriteException
	if errors.As(err, &exception) && exception.WriteConcernError != nil {
		return false
	}
	var server mongo.ServerError
	if !errors.As(err, &server) {
		return false
	}
	codes := server.ErrorCodes()
	return len(codes) > 0 && !slices.ContainsFunc(codes, func(code int) bool { return !slices.Contains(refusals, code) })
}

// passingCodes are the error codes of temporary failures. They are the retryable
// errors of the driver specifications, overload, and a conflict with another
// write.
var passingCodes = []int{
	6,     // HostUnreachable
	7,     // HostNotFound
	89,    // NetworkTimeout
	91,    // ShutdownInProgress
	112,   // WriteConflict
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

// passing reports whether another attempt may succeed. It ignores whether the
// write may have been applied, see unapplied.
func passing(err error) bool {
	var labeled mongo.LabeledError
	if errors.As(err, &labeled) && (labeled.HasErrorLabel("RetryableWriteError") || labeled.HasErrorLabel("NetworkError")) {
		return true
	}
	// The driver makes no second attempt itself if it has wrapped the error of a
	// cleared pool.
	var temporary temporaryError
	if errors.As(err, &temporary) || poolCleared(err) {
		return true
	}
	var server mongo.ServerError
	if errors.As(err, &server) {
		return hasCode(server, passingCodes...)
	}
	var conn topology.ConnectionError
	return mongo.IsNetworkError(err) || errors.As(err, &conn)
}

// temporaryError is an error of this package after which another attempt may
// succeed.
type temporaryError string

func (e temporaryError) Error() string { return string(e) }

// unapplied reports whether another attempt may succeed and the last one was
// certainly not applied. Otherwise the Manager must read the record before it
// repeats a write.
func unapplied(err error) bool {
	return passing(err) && !errors.Is(err, session.ErrUncertain)
}

// notSupported reports whether the server does not implement a command or an
// option.
func notSupported(err error) bool {
	var server mongo.ServerError
	return errors.As(err, &server) && hasCode(server, codeNotImplemented, codeCommandNotSupported)
}
