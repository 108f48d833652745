package express

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session/internal/mongoctx"
)

// fieldMark is the field of a mark's document. Its _id is the one of the session.
const fieldMark = "mark"

// Mark implements [Store]. The marks are not fields of the session's document,
// because a slow request of Express can create that document again after a
// deletion, without them.
func (s *MongoStore) Mark(ctx context.Context, id string, m Mark) (Mark, error) {
	ctx = mongoctx.New(ctx)
	key := s.transform(id)
	update := bson.D{
		{Key: "$max", Value: bson.D{{Key: fieldMark, Value: int32(m)}}},
		{Key: "$set", Value: bson.D{{Key: fieldExpires, Value: time.Now().Add(MarkLife)}}},
	}
	for try := 0; ; try++ {
		_, err := s.marks.UpdateOne(ctx, bson.D{{Key: fieldID, Value: key}}, update, options.UpdateOne().SetUpsert(true))
		switch {
		case err == nil:
			return s.markOf(ctx, key)
		case try > 0 || !mongo.IsDuplicateKeyError(err): // of a concurrent upsert
			return MarkNone, err
		}
	}
}

// markOf returns the mark of the session with a key.
func (s *MongoStore) markOf(ctx context.Context, key string) (Mark, error) {
	raw, err := s.marks.FindOne(ctx, bson.D{{Key: fieldID, Value: key}}).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return MarkNone, nil
	}
	if err != nil {
		return MarkNone, err
	}
	m, _ := raw.Lookup(fieldMark).AsInt64OK()
	return Mark(m), nil
}

// indexMarks creates the index by which the server removes old marks. The sessions'
// collection gets no index, because connect-mongo fails at its start if it finds
// another one on expires.
func (s *MongoStore) indexMarks(ctx context.Context) error {
	_, err := s.marks.Indexes().CreateOne(ctx, mongo.IndexModel{
		Keys: bson.D{{Key: fieldExpires, Value: 1}}, Options: options.Index().SetExpireAfterSeconds(0),
	})
	if err != nil {
		return fmt.Errorf("%w %s.%s: %w", errIndex, s.marks.Database().Name(), s.marks.Name(), err)
	}
	return nil
}

// errIndex is no reason not to start, because old marks only take space.
var errIndex = errors.New("cannot create the index {expires: 1} with expireAfterSeconds: 0 of the collection")
