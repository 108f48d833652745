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

// Confirm implements [session.Confirmer]. It is like [Store.Load], but a failover
// cannot undo the state that it returns. The Manager calls it after a write whose
// outcome is unknown. Confirm sends a read and a write without effects. It returns
// an error that wraps [session.ErrNotFound] or [session.ErrUncertain].
func (s *Store) Confirm(ctx context.Context, id session.ID) (*session.Record, error) {
	var raw bson.Raw
	err := s.doSlowly(ctx, confirmSkip, passing, func(ctx context.Context) (err error) {
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

// confirmSkip makes the pauses of Confirm longer. An attempt is two commands, and
// Confirm runs after an error, when the server may be overloaded.
const confirmSkip = 4

// confirm reads a document and then sends an update without effects. The result
// is nil if the document does not exist. The server acknowledges the update only
// when a majority has all earlier writes of its primary, so the acknowledgement
// confirms the read. This needs no read concern, which some servers lack.
//
// The filter of the update holds every field that was read. After a failover, a
// new primary could otherwise acknowledge the update without having the document
// as it was read.
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

// changesNothing is an update that removes a field which no document has.
var changesNothing = bson.Raw(bsoncore.NewDocumentBuilder().AppendDocument("$unset",
	bsoncore.NewDocumentBuilder().AppendString("nothing", "").Build()).Build())

// filterSame returns a filter for a document with the fields of raw.
func filterSame(raw bson.Raw) bson.Raw {
	at, b := bsoncore.AppendDocumentStart(make([]byte, 0, 2*len(raw)))
	eachElement(bsoncore.Document(raw), func(key []byte, v bsoncore.Value) {
		b = appendCondition(b, string(key), func(b []byte) []byte { return bsoncore.AppendValueElement(b, "$eq", v) })
	})
	return endDocument(b, at)
}

// errChanged is returned if the document has changed between the read and the
// update.
const errChanged = temporaryError("mongostore: cannot confirm the record, because it keeps changing")
