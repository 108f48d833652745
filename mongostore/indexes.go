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

// Expiry is what removes expired sessions. They are dead before: the Manager
// judges them by its own clock.
type Expiry int

const (
	// ExpiryAuto is ExpiryTTL where the server has TTL indexes, else
	// ExpirySweep.
	ExpiryAuto Expiry = iota
	// ExpiryTTL is a TTL index; a server without them is an error.
	ExpiryTTL
	// ExpirySweep deletes in the background, every few minutes, until Close.
	ExpirySweep
	// ExpiryNone leaves it to somebody else.
	ExpiryNone
)

const (
	indexTTL  = "session_expires"
	indexUser = "session_user"

	// ttlMargin keeps the server, whose clock may be ahead of the app's, from
	// removing what is still alive. In seconds.
	ttlMargin = 300
)

// ensureIndexes makes the two indexes, which any number of instances may do at
// once, and reports whether a sweep must do what the TTL index cannot.
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
		s.log.InfoContext(ctx, "mongostore: this server has no TTL indexes, expired sessions are swept instead")
		return true, s.ensureExpires(ctx)
	}
	return false, s.indexError(indexTTL, err)
}

// simple compares strings byte by byte. A collection may have another default,
// with which the users "ann" and "Ann" are one.
var simple = &options.Collation{Locale: "simple"}

// ensureUser makes the index by user. It leaves out the parts that a server
// does not know. A query then has no collation either, so that it has the
// index's.
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
	switch is := s.conflicting(ctx, indexUser, keys); {
	case !is.ours:
		return s.inTheWay(is, "it is not "+indexUser, err)
	case is.Collation.Locale != "" && is.Collation.Locale != simple.Locale:
		return s.inTheWay(is, "its collation is "+is.Collation.Locale+", not "+simple.Locale, err)
	}
	return nil // of an earlier version, and as good
}

// ensureExpires makes the index that a sweep reads. A TTL index of our name
// does as well.
func (s *Store) ensureExpires(ctx context.Context) error {
	keys := bson.D{{Key: fieldExpires, Value: 1}}
	err := s.ensure(ctx, mongo.IndexModel{Keys: keys, Options: options.Index().SetName(indexTTL)})
	if conflicts(err) {
		is := s.conflicting(ctx, indexTTL, keys)
		if is.ours {
			return nil
		}
		err = s.inTheWay(is, "it is not "+indexTTL, err)
	}
	return s.indexError(indexTTL, err)
}

func (s *Store) ensure(ctx context.Context, index mongo.IndexModel) error {
	_, err := s.coll.Indexes().CreateOne(ctx, index)
	return err
}

// ensureTTL makes the TTL index, or gives one of our name that an older
// setting or a sweep left the margin of today.
func (s *Store) ensureTTL(ctx context.Context) error {
	keys := bson.D{{Key: fieldExpires, Value: 1}}
	err := s.ensure(ctx, mongo.IndexModel{
		Keys:    keys,
		Options: options.Index().SetName(indexTTL).SetExpireAfterSeconds(ttlMargin),
	})
	if !conflicts(err) {
		return err
	}
	is := s.conflicting(ctx, indexTTL, keys)
	if !is.ours {
		return s.inTheWay(is, "it is not the TTL index that sessions need", err)
	}
	err = s.coll.Database().RunCommand(ctx, bson.D{
		{Key: "collMod", Value: s.coll.Name()},
		{Key: "index", Value: bson.D{{Key: "name", Value: indexTTL}, {Key: "expireAfterSeconds", Value: ttlMargin}}},
	}).Err()
	var server mongo.ServerError
	if errors.As(err, &server) && server.HasErrorCode(codeInvalidOptions) {
		return s.inTheWay(is, "this server cannot make it a TTL index; or use ExpirySweep", err)
	}
	return err
}

func conflicts(err error) bool {
	var server mongo.ServerError
	return errors.As(err, &server) && hasCode(server, codeIndexOptionsConflict, codeIndexKeySpecConflict)
}

// index describes an index that conflicts with one of the store's.
type index struct {
	Name      string
	Key       bson.Raw
	Collation struct{ Locale string }

	ours bool // it has our name and is on our fields
}

// conflicting finds the index that conflicts with one of this name on keys.
func (s *Store) conflicting(ctx context.Context, name string, keys bson.D) (is index) {
	cur, err := s.coll.Indexes().List(ctx)
	if err != nil {
		return is
	}
	defer cur.Close(ctx)
	for cur.Next(ctx) {
		var other index
		if cur.Decode(&other) != nil {
			continue
		}
		sameKeys := sameFields(other.Key, keys)
		if other.Name == name || sameKeys && is.Name == "" {
			is = other
			is.ours = other.Name == name && sameKeys
		}
	}
	return is
}

// sameFields reports whether an index is on these fields, in ascending order.
func sameFields(key bson.Raw, keys bson.D) bool {
	elements, err := key.Elements()
	return err == nil && slices.EqualFunc(elements, keys, func(e bson.RawElement, k bson.E) bool {
		n, ok := e.Value().AsInt64OK()
		return ok && n == 1 && e.Key() == k.Key
	})
}

// indexInTheWay is an error that says what to do.
type indexInTheWay struct{ error }

func (e indexInTheWay) Unwrap() error { return e.error }

// inTheWay is the error of an index that must be dropped by hand: the store
// drops no index, as it cannot know who else needs it.
func (s *Store) inTheWay(is index, why string, err error) error {
	return indexInTheWay{fmt.Errorf("index %q of %s is in the way (%s); drop it, or use WithoutIndexes: in mongosh, db.%s.dropIndex(%q): %w",
		is.Name, s.namespace(), why, s.coll.Name(), is.Name, err)}
}

func (s *Store) indexError(name string, err error) error {
	var inTheWay indexInTheWay
	if err == nil || errors.As(err, &inTheWay) {
		return err
	}
	return fmt.Errorf("cannot create index %q of %s: %w; create it as docs/reference/indexes.md says and use WithoutIndexes, or permit the app to do so",
		name, s.namespace(), err)
}

func (s *Store) namespace() string { return s.coll.Database().Name() + "." + s.coll.Name() }
