package mongostore

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/holdfast-go/session"
)

// Confirm is [Store.Load] for a write whose outcome is unknown: it returns
// only what a failover cannot undo, as if the write had been acknowledged. It
// takes a read and a write that changes nothing. An error that does not wrap
// [session.ErrNotFound] wraps [session.ErrUncertain].
func (s *Store) Confirm(ctx context.Context, id session.ID) (*session.Record, error) {
	var raw bson.Raw
	err := s.do(ctx, passing, func(ctx context.Context) (err error) {
		raw, err = s.confirm(ctx, id)
		return err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", session.ErrUncertain, err)
	case raw == nil:
		return nil, session.ErrNotFound
	}
	return decodeRecord(id, raw), nil
}

// confirm reads a document, nil if there is none, and then writes nothing to
// it. The server acknowledges a write that changes nothing only when a majority
// has everything that its primary had before, so an acknowledged one confirms
// the read. This needs no read concern, which not every server has.
//
// The write demands that the document is still the same: if there was a
// failover in between, another primary may acknowledge it that never had what
// was read.
func (s *Store) confirm(ctx context.Context, id session.ID) (bson.Raw, error) {
	raw, err := s.coll.FindOne(ctx, filterID(id)).Raw()
	if err != nil && !errors.Is(err, mongo.ErrNoDocuments) {
		return nil, err
	}
	filter := filterID(id)
	if raw != nil {
		filter = filterSame(raw)
	}
	res, err := s.coll.UpdateOne(ctx, filter, changesNothing)
	switch {
	case err != nil:
		return nil, err
	case (res.MatchedCount > 0) != (raw != nil):
		return nil, errChanged
	}
	return raw, nil
}

// changesNothing removes a field that no document has.
var changesNothing = bson.Raw(bsoncore.NewDocumentBuilder().AppendDocument("$unset",
	bsoncore.NewDocumentBuilder().AppendString("nothing", "").Build()).Build())

// filterSame matches the document with the fields of raw.
func filterSame(raw bson.Raw) bson.Raw {
	at, b := bsoncore.AppendDocumentStart(make([]byte, 0, 2*len(raw)))
	each(bsoncore.Document(raw), func(key []byte, v bsoncore.Value) {
		b = appendCondition(b, string(key), func(b []byte) []byte { return bsoncore.AppendValueElement(b, "$eq", v) })
	})
	return end(b, at)
}

// errChanged asks for another attempt.
const errChanged = temporaryError("mongostore: the record changes too often to be confirmed")
