package mongostore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Expiry selects how expired documents are removed. Removal only frees space. The
// Manager rejects a session as soon as it has expired by the Manager's clock.
type Expiry int

const (
	// ExpiryAuto is ExpiryTTL if the server supports TTL indexes, and
	// otherwise ExpirySweep.
	ExpiryAuto Expiry = iota
	// ExpiryTTL uses a TTL index. The server removes a document 300 seconds
	// after its session has expired by the server's clock. Open returns an error
	// if the server does not support TTL indexes.
	ExpiryTTL
	// ExpirySweep deletes documents in the background, every few minutes until
	// Close, if their sessions expired more than ten minutes ago by the slower of
	// the app's and the server's clock.
	ExpirySweep
	// ExpiryNone removes no documents. Use it if another program removes them.
	ExpiryNone
)

const (
	indexTTL  = "session_expires"
	indexUser = "session_user"

	// ttlMargin is the time in seconds between the end of a session and its
	// removal. The server's clock may be ahead of the app's, and without a margin
	// the server would remove live sessions.
	ttlMargin = 300
)

// ensureIndexes creates the two indexes. Any number of instances may do so at the
// same time. It reports whether expired documents must be swept.
func (s *Store) ensureIndexes(ctx context.Context) (sweeps bool, err error) {
	if err := s.ensureUser(ctx); err != nil {
		return false, s.indexError(indexUser, err)
	}
	switch s.expiry {
	case ExpiryNone:
		return false, nil
	case ExpirySweep:
		return true, s.ensureExpires(ctx)
	}
	err = s.ensureTTL(ctx)
	if notSupported(err) && s.expiry == ExpiryAuto {
		s.log.InfoContext(ctx, "mongostore: server has no TTL indexes; deleting expired sessions in the background")
		return true, s.ensureExpires(ctx)
	}
	return false, s.indexError(indexTTL, err)
}

// simple is the collation that compares strings byte by byte. With another default
// collation of the collection, the users "ann" and "Ann" may be equal.
var simple = &options.Collation{Locale: "simple"}

// ensureUser creates the index by user. It omits the options that the server does
// not support. If the index has no collation, queries omit it too, because a query
// uses only an index with the query's collation.
func (s *Store) ensureUser(ctx context.Context) error {
	keys := bson.D{{Key: fieldUser, Value: 1}, {Key: fieldCreated, Value: 1}}
	hasUser := bson.D{{Key: fieldUser, Value: bson.D{{Key: "$gt", Value: ""}}}}
	var err error
	for _, known := range []struct{ partial, collation bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		opts := options.Index().SetName(indexUser)
		if known.partial {
			opts.SetPartialFilterExpression(hasUser)
		}
		if known.collation {
			opts.SetCollation(simple)
		}
		err = s.ensure(ctx, mongo.IndexModel{Keys: keys, Options: opts})
		s.noCollations.Store(!known.collation)
		if !notSupported(err) {
			break
		}
	}
	if !conflicts(err) {
		return err
	}
	switch found := s.conflicting(ctx, indexUser, keys); {
	case !found.ours:
		return s.inTheWay(found, "it is not the index "+indexUser, err)
	case found.Collation.Locale != "" && found.Collation.Locale != simple.Locale:
		return s.inTheWay(found, "its collation is "+found.Collation.Locale+", not "+simple.Locale, err)
	}
	return nil // an index of an earlier version, which serves the same queries
}

// ensureExpires creates the index for the sweep's queries. It accepts a TTL index
// with the same name and fields.
func (s *Store) ensureExpires(ctx context.Context) error {
	keys := bson.D{{Key: fieldExpires, Value: 1}}
	err := s.ensure(ctx, mongo.IndexModel{Keys: keys, Options: options.Index().SetName(indexTTL)})
	if conflicts(err) {
		found := s.conflicting(ctx, indexTTL, keys)
		if found.ours {
			return nil
		}
		err = s.inTheWay(found, "it is not the index "+indexTTL, err)
	}
	return s.indexError(indexTTL, err)
}

func (s *Store) ensure(ctx context.Context, index mongo.IndexModel) error {
	_, err := s.coll.Indexes().CreateOne(ctx, index)
	return err
}

// ensureTTL creates the TTL index. If an index with this name exists, left by an
// older margin or by ExpirySweep, it changes its margin.
func (s *Store) ensureTTL(ctx context.Context) error {
	keys := bson.D{{Key: fieldExpires, Value: 1}}
	err := s.ensure(ctx, mongo.IndexModel{
		Keys:    keys,
		Options: options.Index().SetName(indexTTL).SetExpireAfterSeconds(ttlMargin),
	})
	if !conflicts(err) {
		return err
	}
	found := s.conflicting(ctx, indexTTL, keys)
	if !found.ours {
		return s.inTheWay(found, "it is not the index "+indexTTL, err)
	}
	err = s.coll.Database().RunCommand(ctx, bson.D{
		{Key: "collMod", Value: s.coll.Name()},
		{Key: "index", Value: bson.D{{Key: "name", Value: indexTTL}, {Key: "expireAfterSeconds", Value: ttlMargin}}},
	}).Err()
	var server mongo.ServerError
	if errors.As(err, &server) && server.HasErrorCode(codeInvalidOptions) {
		return s.inTheWay(found, "this server cannot make it a TTL index; or use ExpirySweep", err)
	}
	return err
}

func conflicts(err error) bool {
	var server mongo.ServerError
	return errors.As(err, &server) && hasCode(server, codeIndexOptionsConflict, codeIndexKeySpecConflict)
}

// index describes an existing index that conflicts with an index of the store.
type index struct {
	Name      string
	Key       bson.Raw
	Collation struct{ Locale string }

	ours bool // it has the name and the fields of the store's index
}

// conflicting returns the existing index that conflicts with an index of this name
// on keys. It returns a zero index if it cannot find out.
func (s *Store) conflicting(ctx context.Context, name string, keys bson.D) (found index) {
	cur, err := s.coll.Indexes().List(ctx)
	if err != nil {
		return found
	}
	defer cur.Close(ctx)
	for cur.Next(ctx) {
		var other index
		if cur.Decode(&other) != nil {
			continue
		}
		sameKeys := sameFields(other.Key, keys)
		if other.Name == name || sameKeys && found.Name == "" {
			found = other
			found.ours = other.Name == name && sameKeys
		}
	}
	return found
}

// sameFields reports whether an index has exactly these fields, in ascending
// order.
func sameFields(key bson.Raw, keys bson.D) bool {
	elements, err := key.Elements()
	return err == nil && slices.EqualFunc(elements, keys, func(e bson.RawElement, k bson.E) bool {
		n, ok := e.Value().AsInt64OK()
		return ok && n == 1 && e.Key() == k.Key
	})
}

// indexInTheWay is an error of inTheWay, to which indexError adds nothing.
type indexInTheWay struct{ error }

func (e indexInTheWay) Unwrap() error { return e.error }

// inTheWay returns the error for an index that must be dropped manually. The store
// drops no index, because another program may need it.
func (s *Store) inTheWay(found index, why string, err error) error {
	return indexInTheWay{fmt.Errorf("index %q of %s conflicts with the store (%s); drop it, or use WithoutIndexes: in mongosh, db.%s.dropIndex(%q): %w",
		found.Name, s.namespace(), why, s.coll.Name(), found.Name, err)}
}

// indexError adds the index's name and advice to an error.
func (s *Store) indexError(name string, err error) error {
	var inTheWay indexInTheWay
	if err == nil || errors.As(err, &inTheWay) {
		return err
	}
	return fmt.Errorf("cannot create index %q of %s: %w; allow the app to create it, or create it as in docs/reference/indexes.md and use WithoutIndexes",
		name, s.namespace(), err)
}

func (s *Store) namespace() string { return s.coll.Database().Name() + "." + s.coll.Name() }
