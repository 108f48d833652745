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

// Codes of the server, from its error_codes.yml.
const (
	codeInvalidOptions       = 72
	codeIndexOptionsConflict = 85
	codeIndexKeySpecConflict = 86
	codeCommandNotSupported  = 115
	codeNotImplemented       = 238
)

// readError gives an error of a read its meaning for the Manager.
func readError(err error) error {
	if errors.Is(err, mongo.ErrNoDocuments) {
		return session.ErrNotFound
	}
	return err
}

// writeError gives an error of a write its meaning for the Manager. A write
// that may have been applied is uncertain: its reply was lost, the server that
// applied it may lose it, or the error does not say. A server that crashes
// answers with all kinds of errors, so only known refusals count as refusals.
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

// tooLargeCodes are codes of a document that exceeds the server's limit.
var tooLargeCodes = []int{
	10334,     // BSONObjectTooLarge
	17419,     // the document after an update
	17420,     // the same, on the first update of a document
	285999133, // DocumentDB
}

// tooLarge reports whether the driver or the server refused a document for its
// size. Servers differ in the code, and some give only a general one.
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

func hasCode(err mongo.ServerError, codes ...int) bool {
	return slices.ContainsFunc(codes, err.HasErrorCode)
}

// unsent reports whether no attempt reached a server. The driver returns such
// an error only if there was no earlier attempt.
func unsent(err error) bool {
	var selection topology.ServerSelectionError
	var pool topology.WaitQueueTimeoutError
	if errors.As(err, &selection) || errors.As(err, &pool) || errors.Is(err, mongo.ErrClientDisconnected) || poolCleared(err) {
		return true
	}
	// An error of a connection that was in use is inside a driver.Error; one
	// of a connection that could not be made is not.
	if command, ok := err.(mongo.CommandError); ok {
		err = command.Wrapped
	}
	_, ok := err.(topology.ConnectionError)
	return ok
}

// poolCleared reports whether the driver gave out no connection because others
// to the same server had failed. It does not export this error.
func poolCleared(err error) bool {
	var cleared interface{ Retryable() bool }
	return errors.As(err, &cleared) && cleared.Retryable()
}

// refusals are codes with which a server says that it has not applied a write.
// Codes that are missing here are uncertain, InternalError (1), UnknownError
// (8) and MaxTimeMSExpired (50) among them.
var refusals = []int{
	2,     // BadValue
	9,     // FailedToParse
	13,    // Unauthorized
	14,    // TypeMismatch
	18,    // AuthenticationFailed
	20,    // IllegalOperation: a retryable write on a server without them
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

// refused reports whether err says that the write was not applied. With the
// label RetryableWriteError it does not: the driver may have sent the write
// twice, and the error is only about the second attempt.
func refused(err error) bool {
	if errors.Is(err, driver.ErrUnsupportedStorageEngine) {
		return true // in place of IllegalOperation
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

// passingCodes are those of the driver specifications' retryable errors, of a
// server under overload, and of a conflict with another write.
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

// passing reports whether another attempt may succeed.
func passing(err error) bool {
	var labeled mongo.LabeledError
	if errors.As(err, &labeled) && (labeled.HasErrorLabel("RetryableWriteError") || labeled.HasErrorLabel("NetworkError")) {
		return true
	}
	// If the driver wraps the error of a cleared pool, it does not make another
	// attempt itself.
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

// temporaryError is a finding of this package after which another attempt may
// succeed.
type temporaryError string

func (e temporaryError) Error() string { return string(e) }

// unapplied reports whether another attempt may succeed and the last one is
// known not to have been applied. Otherwise the Manager must read the record
// before it repeats a write.
func unapplied(err error) bool {
	return passing(err) && !errors.Is(err, session.ErrUncertain)
}

// notSupported reports whether the server does not know an option.
func notSupported(err error) bool {
	var server mongo.ServerError
	return errors.As(err, &server) && hasCode(server, codeNotImplemented, codeCommandNotSupported)
}
