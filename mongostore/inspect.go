package mongostore

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session"
)

var _ session.Inspector = (*Store)(nil)

// pageSize is the number of documents that All reads with one command. The batch is
// larger by one. Some servers would otherwise leave the cursor open after the page.
const pageSize = 1000

// Count implements [session.Inspector]. Of a user it reads the documents through an
// index. Otherwise it may read every document. After a temporary error it tries
// again until ctx ends.
func (s *Store) Count(ctx context.Context, f session.Filter) (n int64, err error) {
	if f.User != "" {
		for _, err := range s.All(ctx, f) {
			if err != nil {
				return 0, err
			}
			n++
		}
		return n, nil
	}
	err = s.do(ctx, passing, func(ctx context.Context) error {
		return s.collated(func(simple *options.Collation) error {
			n, err = s.coll.CountDocuments(ctx, filterOf(f), options.Count().SetCollation(simple))
			return err
		})
	})
	return n, err
}

// All implements [session.Inspector]. It reads pages of 1,000 documents in the order
// of the index on _id, and so the whole collection. It reads the documents of a user
// at once, through the index by user. Each page counts as one operation for
// [WithMaxInFlight]. After a temporary error it reads the page again until ctx ends.
func (s *Store) All(ctx context.Context, f session.Filter) iter.Seq2[session.Info, error] {
	return func(yield func(session.Info, error) bool) {
		next := f
		for more := true; more; {
			var docs []bson.Raw
			err := s.do(ctx, passing, func(ctx context.Context) (err error) {
				docs, err = s.page(ctx, next)
				return err
			})
			if err != nil {
				yield(session.Info{}, err)
				return
			}
			more = f.User == "" && len(docs) == pageSize
			for _, doc := range docs {
				rec := decodeRecord(session.ID{}, doc)
				err := ctx.Err()
				if more && bytes.Compare(rec.ID[:], next.After[:]) <= 0 {
					err = errUnordered // prevents an endless loop
				}
				if err != nil {
					yield(session.Info{}, err)
					return
				}
				if f.Matches(rec) && !yield(rec.Info, nil) {
					return
				}
				next.After = rec.ID
			}
		}
	}
}

var errUnordered = errors.New("mongostore: the server does not return session IDs in ascending order")

// page returns the next documents of All in the order of their IDs, and for a user
// all documents of this user.
func (s *Store) page(ctx context.Context, f session.Filter) (docs []bson.Raw, err error) {
	err = s.collated(func(simple *options.Collation) error {
		opts := options.Find().SetProjection(withoutData).SetCollation(simple)
		var cur *mongo.Cursor
		if f.User != "" {
			cur, err = s.coll.Find(ctx, filterUser(f.User), opts)
		} else {
			byID := bson.D{{Key: fieldID, Value: 1}}
			cur, err = s.coll.Find(ctx, filterOf(f), opts.SetSort(byID).SetHint(byID).SetLimit(pageSize).SetBatchSize(pageSize+1))
		}
		if err != nil {
			return err
		}
		docs, err = all(ctx, cur)
		return err
	})
	if f.User != "" {
		slices.SortFunc(docs, func(a, b bson.Raw) int {
			return bytes.Compare(a.Lookup(fieldID).Value, b.Lookup(fieldID).Value)
		})
	}
	return docs, err
}

// all reads and closes a cursor.
func all(ctx context.Context, cur *mongo.Cursor) (docs []bson.Raw, err error) {
	defer cur.Close(ctx)
	for cur.Next(ctx) {
		docs = append(docs, bytes.Clone(cur.Current)) // the cursor reuses its buffer
	}
	return docs, cur.Err()
}

// collated calls query with the collation that compares users byte by byte, or with
// nil if the server does not support collations.
func (s *Store) collated(query func(simple *options.Collation) error) error {
	if !s.noCollations.Load() {
		err := query(simple)
		if !notSupported(err) || s.noCollations.Swap(true) {
			return err
		}
	}
	return query(nil)
}

// greatestID bounds the IDs from above, so documents with another kind of _id are
// left out.
var greatestID = session.ID(bytes.Repeat([]byte{0xff}, 16))

// binData is the number of the BSON type of a verifier. A document without one is
// no session.
const binData = 5

// filterOf returns the query for a Filter without a user.
func filterOf(f session.Filter) bson.D {
	hasUser := bson.E{Key: fieldUser, Value: bson.D{{Key: "$gt", Value: ""}}}
	filter := bson.D{
		{Key: fieldID, Value: bson.D{{Key: "$gt", Value: uuid(f.After)}, {Key: "$lte", Value: uuid(greatestID)}}},
		{Key: fieldVerifier, Value: bson.D{{Key: "$type", Value: binData}}},
	}
	switch f.Kind {
	case session.KindUser:
		filter = append(filter, hasUser)
	case session.KindAnonymous:
		filter = append(filter, bson.E{Key: "$nor", Value: bson.A{bson.D{hasUser}}})
	}
	if !f.SeenBefore.IsZero() {
		filter = append(filter, bson.E{Key: fieldSeen, Value: bson.D{{Key: "$lt", Value: f.SeenBefore}}})
	}
	if !f.LiveAt.IsZero() {
		filter = append(filter, bson.E{Key: fieldExpires, Value: bson.D{{Key: "$gt", Value: f.LiveAt}}})
	}
	return filter
}

func uuid(id session.ID) bson.Binary { return bson.Binary{Subtype: subtypeUUID, Data: id[:]} }
