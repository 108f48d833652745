package faultmongo

import (
	"slices"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
)

// Codes of the server for faults.
const (
	HostUnreachable                 int32 = 6
	HostNotFound                    int32 = 7
	WriteConcernTimeout             int32 = 64
	NetworkTimeout                  int32 = 89
	ShutdownInProgress              int32 = 91
	PrimarySteppedDown              int32 = 189
	TransactionTooOld               int32 = 225
	ExceededTimeLimit               int32 = 262
	NotWritablePrimary              int32 = 10107
	InterruptedAtShutdown           int32 = 11600
	InterruptedDueToReplStateChange int32 = 11602
	NotPrimaryNoSecondaryOk         int32 = 13435
	NotPrimaryOrSecondary           int32 = 13436
)

var codeNames = map[int32]string{
	HostUnreachable: "HostUnreachable", HostNotFound: "HostNotFound",
	WriteConcernTimeout: "WriteConcernTimeout", NetworkTimeout: "NetworkTimeout",
	ShutdownInProgress: "ShutdownInProgress", PrimarySteppedDown: "PrimarySteppedDown",
	TransactionTooOld: "TransactionTooOld", ExceededTimeLimit: "ExceededTimeLimit", NotWritablePrimary: "NotWritablePrimary",
	InterruptedAtShutdown: "InterruptedAtShutdown", InterruptedDueToReplStateChange: "InterruptedDueToReplStateChange",
	NotPrimaryNoSecondaryOk: "NotPrimaryNoSecondaryOk", NotPrimaryOrSecondary: "NotPrimaryOrSecondary",
}

// retryable are the codes to which a server adds the label RetryableWriteError
// if the command has a transaction number.
var retryable = []int32{
	HostUnreachable, HostNotFound, NetworkTimeout, ShutdownInProgress, PrimarySteppedDown, ExceededTimeLimit,
	NotWritablePrimary, InterruptedAtShutdown, InterruptedDueToReplStateChange, NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary,
}

// refusal returns the reply to a refused command.
func (r *request) refusal(code int32) bsoncore.Document {
	b := bsoncore.NewDocumentBuilder().AppendDouble("ok", 0)
	r.describe(b, code)
	r.label(b, code)
	return b.Build()
}

// unconfirmed changes the reply to an applied write into a reply with a failed
// write concern.
func (r *request) unconfirmed(answer bsoncore.Document, code int32) bsoncore.Document {
	b := bsoncore.NewDocumentBuilder()
	elems, _ := answer.Elements()
	for _, e := range elems {
		b.AppendValue(e.Key(), e.Value())
	}
	concern := bsoncore.NewDocumentBuilder()
	r.describe(concern, code)
	b.AppendDocument("writeConcernError", concern.Build())
	r.label(b, code)
	return b.Build()
}

func (r *request) describe(b *bsoncore.DocumentBuilder, code int32) {
	b.AppendInt32("code", code).AppendString("codeName", codeNames[code]).AppendString("errmsg", "injected by faultmongo")
}

func (r *request) label(b *bsoncore.DocumentBuilder, code int32) {
	if _, err := r.body.LookupErr("txnNumber"); err == nil && slices.Contains(retryable, code) {
		b.AppendArray("errorLabels", bsoncore.NewArrayBuilder().AppendString("RetryableWriteError").Build())
	}
}
