package express

import (
	"context"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session/internal/mongoctx"
)

// sampled is the number of documents to look at. One document may be damaged.
const sampled = 5

// Sample implements [Store]. It also creates the index of the marks.
func (s *MongoStore) Sample(ctx context.Context) ([]Stored, error) {
	ctx = mongoctx.New(ctx)
	var docs []bson.Raw
	cur, err := s.coll.Find(ctx, bson.D{}, options.Find().SetLimit(sampled))
	if err == nil {
		err = cur.All(ctx, &docs)
	}
	if err != nil {
		return nil, err
	}
	var all []Stored
	var first error
	for _, doc := range docs {
		text, err := s.examine(ctx, doc)
		if err == nil {
			all = append(all, Stored{JSON: text})
		} else if first == nil {
			first = err
		}
	}
	if len(all) == 0 && first != nil {
		return nil, fmt.Errorf("collection %s.%s: %w", s.coll.Database().Name(), s.coll.Name(), first)
	}
	return all, s.indexMarks(ctx)
}

// examine decodes a document like Load, but its errors say what to configure.
func (s *MongoStore) examine(ctx context.Context, doc bson.Raw) ([]byte, error) {
	if _, ok := doc.Lookup(fieldID).StringValueOK(); !ok {
		if _, err := doc.LookupErr("verifier"); err == nil {
			return nil, fmt.Errorf("%w: it is a record of mongostore; use the collection of connect-mongo, which is named sessions by default", ErrDamaged)
		}
		return nil, fmt.Errorf("%w: its _id is not text; use the collection of connect-mongo, which is named sessions by default", ErrDamaged)
	}
	v, err := doc.LookupErr(fieldSession)
	if err != nil {
		return nil, fmt.Errorf("%w: it has no field session; use the collection of connect-mongo, which is named sessions by default", ErrDamaged)
	}
	if text, ok := v.StringValueOK(); ok && s.decrypt == nil && !strings.HasPrefix(strings.TrimSpace(text), "{") {
		return nil, fmt.Errorf("%w: it seems to be encrypted; use WithKruptein or WithWebCrypto", ErrDamaged)
	}
	return s.decode(ctx, v)
}
