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
// once, and tells whether a sweep must do what the TTL index cannot.
func (s *Store) ensureIndexes(ctx context.Context) (sweeps bool, err error) {
	err = s.ensure(ctx, mongo.IndexModel{
		Keys: bson.D{{Key: fieldUser, Value: 1}, {Key: fieldCreated, Value: 1}},
		Options: options.Index().SetName(indexUser).
			SetPartialFilterExpression(bson.D{{Key: fieldUser, Value: bson.D{{Key: "$gt", Value: ""}}}}), // has one
	})
	if notSupported(err) {
		err = s.ensure(ctx, mongo.IndexModel{
			Keys:    bson.D{{Key: fieldUser, Value: 1}, {Key: fieldCreated, Value: 1}},
			Options: options.Index().SetName(indexUser),
		})
	}
	if err != nil {
		return false, err
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
	return false, err
}

// ensureExpires makes the index that a sweep reads. A TTL index of our name
// does as well.
func (s *Store) ensureExpires(ctx context.Context) error {
	err := s.ensure(ctx, mongo.IndexModel{Keys: bson.D{{Key: fieldExpires, Value: 1}}, Options: options.Index().SetName(indexTTL)})
	if conflicts(err) {
		if _, ours := s.conflicting(ctx); ours {
			return nil
		}
	}
	return err
}

func (s *Store) ensure(ctx context.Context, index mongo.IndexModel) error {
	_, err := s.coll.Indexes().CreateOne(ctx, index)
	return err
}

// ensureTTL makes the TTL index, or gives one of our name that an older
// setting or a sweep left the margin of today.
func (s *Store) ensureTTL(ctx context.Context) error {
	err := s.ensure(ctx, mongo.IndexModel{
		Keys:    bson.D{{Key: fieldExpires, Value: 1}},
		Options: options.Index().SetName(indexTTL).SetExpireAfterSeconds(ttlMargin),
	})
	if !conflicts(err) {
		return err
	}
	name, ours := s.conflicting(ctx)
	if !ours {
		return fmt.Errorf("the index %q on {%s: 1} is not the TTL index that sessions need; drop it, or use WithoutIndexes: %w", name, fieldExpires, err)
	}
	return s.coll.Database().RunCommand(ctx, bson.D{
		{Key: "collMod", Value: s.coll.Name()},
		{Key: "index", Value: bson.D{{Key: "name", Value: indexTTL}, {Key: "expireAfterSeconds", Value: ttlMargin}}},
	}).Err()
}

func conflicts(err error) bool {
	var server mongo.ServerError
	return errors.As(err, &server) && hasCode(server, codeIndexOptionsConflict, codeIndexKeySpecConflict)
}

// conflicting finds the index in the way, and tells whether it is of our name
// and on our field, so that only its TTL differs.
func (s *Store) conflicting(ctx context.Context) (name string, ours bool) {
	specs, err := s.coll.Indexes().ListSpecifications(ctx)
	if err != nil {
		return "", false
	}
	wanted, _ := bson.Marshal(bson.D{{Key: fieldExpires, Value: int32(1)}})
	for _, spec := range specs {
		on := slices.Equal(spec.KeysDocument, wanted)
		if on || spec.Name == indexTTL {
			return spec.Name, on && spec.Name == indexTTL
		}
	}
	return "", false
}
