package express

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/backoff"
	"github.com/holdfast-go/session/internal/mongoctx"
)

// Fields of a document of connect-mongo 6.
const (
	fieldID           = "_id"
	fieldSession      = "session"
	fieldExpires      = "expires"
	fieldLastModified = "lastModified"
)

// MongoStore is a [Store] for the sessions of connect-mongo. It reads sessions
// stored as text (stringify: true, the default of connect-mongo) and as
// sub-documents (stringify: false). It is safe for concurrent use.
//
// It deletes and changes single sessions in the collection of connect-mongo, and
// creates neither documents nor indexes there. The marks are in another
// collection, which can be dropped when Express is no longer used.
type MongoStore struct {
	coll      *mongo.Collection
	marks     *mongo.Collection
	transform func(id string) string
	ttl       time.Duration
	decrypt   decrypter // nil without encryption
	errs      []error
}

// MongoOption sets an option of [NewMongoStore].
type MongoOption func(*MongoStore)

// WithTransformID sets the function that maps the ID in the cookie to the _id of
// the document, as the option transformId of connect-mongo does. By default both
// are equal.
func WithTransformID(f func(id string) string) MongoOption {
	return func(s *MongoStore) {
		if s.transform = f; f == nil {
			s.addError("WithTransformID(nil): leave the option out if connect-mongo has no transformId")
		}
	}
}

// WithMarks sets the collection of the marks. The default is the collection with
// the name of the sessions' collection and the suffix _marks, in the same
// database.
func WithMarks(coll *mongo.Collection) MongoOption {
	return func(s *MongoStore) {
		if s.marks = coll; coll == nil {
			s.addError("WithMarks(nil): leave the option out for the default")
		}
	}
}

// WithTTL sets the time after which a session without a maximum age of its
// cookie expires, as the option ttl of connect-mongo does. The default is 14 days,
// as in connect-mongo. Only writing uses it.
func WithTTL(d time.Duration) MongoOption {
	return func(s *MongoStore) {
		if s.ttl = d; d < time.Second {
			s.addError("WithTTL(%v): want at least one second", d)
		}
	}
}

// NewMongoStore returns a store for the collection of connect-mongo, which is
// "sessions" unless its option collectionName says otherwise. It does no I/O. Reads
// go to the primary, and writes wait for a majority, because a secondary could
// return a session that has ended.
func NewMongoStore(coll *mongo.Collection, opts ...MongoOption) (*MongoStore, error) {
	s := &MongoStore{coll: coll, transform: func(id string) string { return id }, ttl: 14 * 24 * time.Hour}
	for i, opt := range opts {
		if opt == nil {
			s.addError("NewMongoStore: option %d is nil", i+1)
			continue
		}
		opt(s)
	}
	if coll == nil {
		s.addError("NewMongoStore: the collection is nil")
	}
	if s.errs != nil {
		return nil, errors.Join(s.errs...)
	}
	if s.marks == nil {
		s.marks = coll.Database().Collection(coll.Name() + "_marks")
	}
	if s.marks.Name() == coll.Name() && s.marks.Database().Name() == coll.Database().Name() {
		return nil, errors.New("express: WithMarks: the marks need another collection than the sessions")
	}
	s.coll, s.marks = durable(s.coll), durable(s.marks)
	return s, nil
}

func (s *MongoStore) addError(format string, args ...any) {
	s.errs = append(s.errs, fmt.Errorf("express: "+format, args...))
}

// durable returns the collection with reads from the primary and writes to a
// majority.
func durable(coll *mongo.Collection) *mongo.Collection {
	return coll.Clone(options.Collection().SetReadPreference(readpref.Primary()).SetWriteConcern(writeconcern.Majority()))
}

// Load implements [Store].
func (s *MongoStore) Load(ctx context.Context, id string) (Stored, error) {
	key := s.transform(id)
	ctx = mongoctx.New(ctx)
	raw, err := s.coll.FindOne(ctx, bson.D{{Key: fieldID, Value: key}}).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return Stored{}, session.ErrNotFound
	}
	if err != nil {
		return Stored{}, err
	}
	expires, err := expiry(raw)
	if err != nil {
		return Stored{}, err
	}
	text, err := s.decode(ctx, raw.Lookup(fieldSession))
	if err != nil {
		return Stored{}, err
	}
	mark, err := s.markOf(ctx, key)
	return Stored{JSON: text, Expires: expires, Mark: mark, doc: raw}, err
}

// expiry returns the time when a document expires. connect-mongo finds a
// document if expires is absent or a later date.
func expiry(raw bson.Raw) (time.Time, error) {
	v, err := raw.LookupErr(fieldExpires)
	if err != nil {
		return time.Time{}, nil
	}
	if t, ok := v.TimeOK(); ok && t.After(time.Now()) {
		return t, nil
	}
	return time.Time{}, session.ErrNotFound
}

// decode returns the field session of a document as JSON text.
func (s *MongoStore) decode(ctx context.Context, v bson.RawValue) ([]byte, error) {
	text, isText := v.StringValueOK()
	doc, isDocument := v.DocumentOK()
	switch {
	case s.decrypt != nil && isText:
		return s.decrypt(ctx, text)
	case s.decrypt != nil:
		return nil, fmt.Errorf("%w: it is not encrypted text; leave WithKruptein and WithWebCrypto out if connect-mongo has no option crypto", ErrDamaged)
	case isText:
		return []byte(text), nil
	case isDocument:
		return appendDocument(nil, doc, 0)
	}
	return nil, fmt.Errorf("%w: its field session has the BSON type %v", ErrDamaged, v.Type)
}

// Delete implements [Store]. If the server has deleted nothing, it looks again,
// because some servers report this under a concurrent update and keep the document.
func (s *MongoStore) Delete(ctx context.Context, id string) error {
	ctx = mongoctx.New(ctx)
	filter := bson.D{{Key: fieldID, Value: s.transform(id)}}
	for try := 0; ; try++ {
		res, err := s.coll.DeleteOne(ctx, filter)
		if err != nil || res.DeletedCount > 0 {
			return err
		}
		err = s.coll.FindOne(ctx, filter).Err()
		if errors.Is(err, mongo.ErrNoDocuments) {
			return nil
		}
		if err != nil || !backoff.Wait(ctx, try, 100*time.Millisecond) {
			return cmp.Or(err, errNotDeleted)
		}
	}
}

var errNotDeleted = errors.New("express: the server did not delete the session")
