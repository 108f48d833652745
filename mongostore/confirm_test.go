package mongostore_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/mongostore"
)

func values(text string, version int64) map[string]session.Value {
	return map[string]session.Value{"k.1": {Data: []byte(text), Version: version}, "raw": {Data: []byte{0xff}, Version: version}}
}

func TestConfirm(t *testing.T) {
	store := open(t, testserver.Collection(t), mongostore.WithoutIndexes())
	for i, rec := range []*session.Record{
		{Info: session.Info{User: "ann", UserAgent: "$set"}, Verifier: []byte{1}, Values: values("1", 1)},
		{Verifier: []byte{1}},
		{},
	} {
		rec.ID = session.ID{byte(i)}
		_, err := store.Confirm(background, rec.ID)
		require.ErrorIs(t, err, session.ErrNotFound)
		require.NotErrorIs(t, err, session.ErrUncertain)
		require.NoError(t, store.Insert(background, rec))
		confirmed, err := store.Confirm(background, rec.ID)
		require.NoError(t, err)
		require.Equal(t, must(store.Load(background, rec.ID)), confirmed)
	}
}

// Confirm does not confirm a write on the primary while no majority acknowledges
// writes.
func TestConfirm_WaitsForAMajority(t *testing.T) {
	id := session.ID{1}
	for name, c := range map[string]struct {
		write func(*mongostore.Store) error
		local func(*testing.T, *mongostore.Store)
	}{
		"Insert": {
			func(s *mongostore.Store) error {
				return s.Insert(background, &session.Record{Info: session.Info{ID: session.ID{2}}})
			},
			func(t *testing.T, s *mongostore.Store) { must(s.Load(background, session.ID{2})) },
		},
		"Update": {
			func(s *mongostore.Store) error { return s.Update(background, id, &session.Change{Set: values("2", 2)}) },
			func(t *testing.T, s *mongostore.Store) {
				require.EqualValues(t, 2, must(s.Load(background, id)).Values["k.1"].Version)
			},
		},
		"Delete": {
			func(s *mongostore.Store) error {
				ctx, cancel := context.WithCancel(background)
				defer cancel()
				return s.Delete(ctx, id)
			},
			func(t *testing.T, s *mongostore.Store) {
				_, err := s.Load(background, id)
				require.ErrorIs(t, err, session.ErrNotFound)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			coll, _, relay := relayed(t, options.Client().SetRetryWrites(false))
			store := open(t, coll, mongostore.WithoutIndexes())
			require.NoError(t, store.Insert(background, &session.Record{Info: session.Info{ID: id}, Values: values("1", 1)}))
			const unsatisfiable = 100
			relay.handle(func(c *call) bson.Raw {
				switch reply := c.forward(); c.name {
				case "insert", "update", "delete":
					return unconfirmed(reply, unsatisfiable)
				default:
					return reply
				}
			})
			require.ErrorIs(t, c.write(store), session.ErrUncertain)
			c.local(t, store)
			for _, id := range []session.ID{id, {2}, {3}} {
				_, err := store.Confirm(background, id)
				require.ErrorIs(t, err, session.ErrUncertain)
				require.NotErrorIs(t, err, session.ErrNotFound)
			}
			relay.handle(nil)
			for _, id := range []session.ID{id, {2}, {3}} {
				want, werr := store.Load(background, id)
				rec, err := store.Confirm(background, id)
				require.Equal(t, want, rec)
				require.Equal(t, werr, err)
			}
		})
	}
}

// Between the read and the write another primary may take over, without having
// the document as it was read.
func TestConfirm_ReadsAgainAfterAFailover(t *testing.T) {
	id := session.ID{1}
	filter := bson.D{{Key: "_id", Value: bson.Binary{Subtype: 4, Data: id[:]}}}
	old := &session.Record{Info: session.Info{ID: id}, Values: values("1", 1)}
	for name, c := range map[string]struct {
		before, after *session.Record // nil if the record does not exist
	}{
		"a rolled-back update":       {&session.Record{Info: session.Info{ID: id}, Values: values("2", 2)}, old},
		"a rolled-back touch":        {&session.Record{Info: session.Info{ID: id, UserAgent: "new"}, Values: values("1", 1)}, &session.Record{Info: session.Info{ID: id, UserAgent: "old"}, Values: values("1", 1)}},
		"a removed key is back":      {&session.Record{Info: session.Info{ID: id}, Values: map[string]session.Value{"raw": old.Values["raw"]}}, old},
		"a rolled-back insert":       {old, nil},
		"a rolled-back deletion":     {nil, old},
		"the read data is unchanged": {old, old},
	} {
		t.Run(name, func(t *testing.T) {
			coll, direct, relay := relayed(t)
			store := open(t, coll, mongostore.WithoutIndexes())
			other := open(t, direct, mongostore.WithoutIndexes())
			if c.before != nil {
				require.NoError(t, store.Insert(background, c.before))
			}
			var failed atomic.Bool
			relay.handle(func(call *call) bson.Raw {
				if call.name == "update" && !failed.Swap(true) {
					if _, err := direct.DeleteOne(background, filter); err != nil {
						t.Error(err)
					}
					if c.after != nil {
						if err := other.Insert(background, c.after); err != nil {
							t.Error(err)
						}
					}
				}
				return call.forward()
			})
			rec, err := store.Confirm(background, id)
			require.True(t, failed.Load())
			if c.after == nil {
				require.ErrorIs(t, err, session.ErrNotFound)
				return
			}
			require.NoError(t, err)
			require.Equal(t, must(other.Load(background, id)), rec)
		})
	}
}

// Confirm tries again after a lost reply and after a change of the record.
func TestConfirm_TriesAgain(t *testing.T) {
	coll, _, relay := relayed(t)
	store := open(t, coll, mongostore.WithoutIndexes())
	id := session.ID{1}
	require.NoError(t, store.Insert(background, &session.Record{Info: session.Info{ID: id}}))
	var updates atomic.Int32
	relay.handle(func(c *call) bson.Raw {
		reply := c.forward()
		if c.name == "update" && updates.Add(1) <= 2 {
			return nil
		}
		return reply
	})
	_, err := store.Confirm(background, id)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(background)
	relay.handle(func(c *call) bson.Raw { cancel(); return nil })
	_, err = store.Confirm(ctx, id)
	require.ErrorIs(t, err, session.ErrUncertain)
}
