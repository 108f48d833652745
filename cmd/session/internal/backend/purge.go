package backend

import (
	"bytes"
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// purgeBatch is the number of documents that one command deletes, so that other
// commands can run in between.
const purgeBatch = 500

// filter returns the query of a purge.
func (p Purge) filter() (bson.D, error) {
	switch {
	case p.Expired.IsZero() == p.AnonymousUnseen.IsZero():
		return nil, errors.New("a purge selects either expired or anonymous sessions")
	case p.AnonymousUnseen.IsZero():
		return bson.D{condition("expires", "$lt", p.Expired)}, nil
	default:
		return bson.D{sessions, anonymous, condition("seen", "$lt", p.AnonymousUnseen)}, nil
	}
}

// Matches implements [Backend].
func (m *Mongo) Matches(ctx context.Context, p Purge) (int64, error) {
	filter, err := p.filter()
	if err != nil {
		return 0, err
	}
	return m.Collection().CountDocuments(ctx, filter)
}

// Purge implements [Backend].
func (m *Mongo) Purge(ctx context.Context, p Purge, progress func(int64)) (done Purged, err error) {
	filter, err := p.filter()
	if err != nil {
		return done, err
	}
	cur, err := m.Collection().Find(ctx, filter,
		options.Find().SetBatchSize(purgeBatch).SetProjection(bson.D{{Key: "_id", Value: 1}}))
	if err != nil {
		return done, err
	}
	defer cur.Close(ctx)
	for {
		ids := nextIDs(ctx, cur)
		if len(ids) == 0 {
			return done, cur.Err()
		}
		// The conditions are repeated, because a request may have used a session
		// since the find.
		res, err := m.Collection().DeleteMany(ctx, append(bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, filter...))
		if err != nil {
			return done, err
		}
		done.Deleted += res.DeletedCount
		done.Kept += int64(len(ids)) - res.DeletedCount
		progress(done.Deleted + done.Kept)
	}
}

// nextIDs returns the IDs of the next documents, at most purgeBatch.
func nextIDs(ctx context.Context, cur *mongo.Cursor) (ids bson.A) {
	for len(ids) < purgeBatch && cur.Next(ctx) {
		id := cur.Current.Lookup("_id")
		id.Value = bytes.Clone(id.Value) // the cursor reuses its buffer
		ids = append(ids, id)
	}
	return ids
}
