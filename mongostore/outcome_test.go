package mongostore_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/mongostore"
)

// A crashing server may report an error although it has applied the write. Only
// the codes in refusals count as a refusal.
func TestWriteOutcome(t *testing.T) {
	const retryable = "RetryableWriteError"
	single := options.Client().SetRetryWrites(false)
	for name, tc := range map[string]struct {
		reply bson.Raw
		want  error // nil: an error without a meaning of its own
	}{
		"unauthorized":                        {failure(13, "not authorized"), nil},
		"authentication failed":               {failure(18, "authentication failed"), nil},
		"bad value":                           {failure(2, "bad value"), nil},
		"document validation":                 {writeFailure(121, "Document failed validation"), nil},
		"duplicate key":                       {writeFailure(11000, "E11000 duplicate key error"), session.ErrConflict},
		"transaction numbers not allowed":     {failure(20, "Transaction numbers are only allowed on a replica set member or mongos"), nil},
		"internal error":                      {failure(1, "unexpected EOF"), session.ErrUncertain},
		"internal error of the write":         {writeFailure(1, "unexpected EOF"), session.ErrUncertain},
		"unknown error":                       {failure(8, "unknown"), session.ErrUncertain},
		"SQLSTATE":                            {failure(50463173, "terminating connection"), session.ErrUncertain},
		"SQLSTATE of the write":               {writeFailure(50463173, "terminating connection"), session.ErrUncertain},
		"a code of a future version":          {failure(987654, "?"), session.ErrUncertain},
		"time limit":                          {failure(50, "operation exceeded time limit"), session.ErrUncertain},
		"interrupted":                         {failure(11601, "operation was interrupted"), session.ErrUncertain},
		"stepping down":                       {failure(11602, "interrupted by a step-down"), session.ErrUncertain},
		"primary stepped down":                {failure(189, "primary stepped down"), session.ErrUncertain},
		"disk full":                           {failure(14031, "out of disk space"), session.ErrUncertain},
		"not primary, after another attempt":  {failure(10107, "not primary", retryable), session.ErrUncertain},
		"bad value, after another attempt":    {failure(2, "bad value", retryable), session.ErrUncertain},
		"write concern timeout":               {unconfirmed(bson.Raw(must(bson.Marshal(bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 1}}))), 64), session.ErrUncertain},
		"duplicate key without majority":      {unconfirmed(writeFailure(11000, "E11000 duplicate key error"), 64), session.ErrUncertain},
		"too large":                           {writeFailure(10334, "BSONObj size is invalid"), session.ErrTooLarge},
		"too large, bad value":                {writeFailure(2, "object to insert too large. size in bytes: 17825814, max size: 16777216"), session.ErrTooLarge},
		"update too large":                    {writeFailure(17419, "Resulting document after update is larger than 16777216"), session.ErrTooLarge},
		"too large on DocumentDB":             {failure(285999133, "Size 17000000 is larger than MaxDocumentSize 16777216"), session.ErrTooLarge},
		"too large on DocumentDB, by a write": {writeFailure(285999133, "Size 17000000 is larger than MaxDocumentSize 16777216"), session.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			coll, _, relay := relayed(t, single)
			store := open(t, coll, mongostore.WithoutIndexes())
			id := session.ID{1}
			require.NoError(t, store.Insert(background, &session.Record{Info: session.Info{ID: id}, Verifier: []byte{1}}))
			var writes atomic.Int32
			ctx, cancel := context.WithCancel(background)
			defer cancel()
			relay.handle(func(c *call) bson.Raw {
				if c.name != "insert" && c.name != "update" {
					return c.forward()
				}
				if writes.Add(1) > 10 {
					cancel()
				}
				return tc.reply
			})
			for op, err := range map[string]error{
				"Insert":         store.Insert(ctx, &session.Record{Info: session.Info{ID: session.ID{2}}}),
				"Update":         store.Update(ctx, id, &session.Change{User: "ann"}),
				"guarded Update": store.Update(ctx, id, &session.Change{User: "ann", If: session.Guard{Verifier: []byte{1}}}),
			} {
				require.Error(t, err, op)
				for _, meaning := range []error{session.ErrUncertain, session.ErrConflict, session.ErrTooLarge, session.ErrNotFound} {
					require.Equal(t, meaning == tc.want, errors.Is(err, meaning), "%s: %v", op, err)
				}
			}
			require.EqualValues(t, 3, writes.Load(), "each write is sent once")
		})
	}
}

// A write is not repeated after a lost reply, because another request may have
// changed the record since the write was applied.
func TestWrite_LostReplyIsNotRepeated(t *testing.T) {
	id := session.ID{1}
	for name, write := range map[string]func(*mongostore.Store) error{
		"Insert": func(s *mongostore.Store) error {
			return s.Insert(background, &session.Record{Info: session.Info{ID: session.ID{2}}})
		},
		"Update": func(s *mongostore.Store) error {
			return s.Update(background, id, &session.Change{User: "ann"})
		},
		"guarded Update": func(s *mongostore.Store) error {
			return s.Update(background, id, &session.Change{User: "ann", If: session.Guard{Verifier: []byte{1}}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			coll, _, relay := relayed(t, options.Client().SetRetryWrites(false))
			store := open(t, coll, mongostore.WithoutIndexes())
			require.NoError(t, store.Insert(background, &session.Record{Info: session.Info{ID: id}, Verifier: []byte{1}}))
			var sent atomic.Int32
			relay.handle(func(c *call) bson.Raw {
				reply := c.forward()
				if (c.name == "insert" || c.name == "update") && sent.Add(1) == 1 {
					return nil
				}
				return reply
			})
			require.ErrorIs(t, write(store), session.ErrUncertain)
			require.EqualValues(t, 1, sent.Load())
		})
	}
}

// Another attempt is allowed if the server replied that nothing was applied.
func TestWrite_TransientRefusalIsRepeated(t *testing.T) {
	coll, _, relay := relayed(t, options.Client().SetRetryWrites(false))
	store := open(t, coll, mongostore.WithoutIndexes())
	refusals := []bson.Raw{writeFailure(112, "WriteConflict"), failure(10107, "not primary")}
	var writes atomic.Int32
	relay.handle(func(c *call) bson.Raw {
		if c.name == "insert" || c.name == "update" {
			if n := int(writes.Add(1)); n <= len(refusals) {
				return refusals[n-1]
			}
		}
		return c.forward()
	})
	id := session.ID{1}
	require.NoError(t, store.Insert(background, &session.Record{Info: session.Info{ID: id}}))
	require.EqualValues(t, len(refusals)+1, writes.Swap(0))
	require.NoError(t, store.Update(background, id, &session.Change{User: "ann"}))
	require.EqualValues(t, len(refusals)+1, writes.Load())
}

// A connection that could not be established has sent nothing. For an established
// connection, the driver wraps the same error in another one.
func TestWriteError_Unsent(t *testing.T) {
	broken := topology.ConnectionError{}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{broken, false},
		{mongo.CommandError{Wrapped: broken}, false},
		{clearedPool{}, false},
		{mongo.CommandError{Wrapped: clearedPool{}}, false},
		{topology.WaitQueueTimeoutError{}, false},
		{topology.ServerSelectionError{}, false},
		{mongo.ErrClientDisconnected, false},
		{mongo.CommandError{Labels: []string{"NetworkError"}, Wrapped: driver.Error{Wrapped: broken}}, true},
		{mongo.CommandError{Wrapped: driver.Error{Wrapped: broken}}, true},
		{context.Canceled, true},
		{errors.New("unknown"), true},
	} {
		require.Equal(t, c.want, errors.Is(mongostore.WriteError(c.err), session.ErrUncertain), "%#v", c.err)
	}
}

// An operation is not sent if its context has ended.
func TestStore_EndedContextSendsNothing(t *testing.T) {
	coll, sent := recorded(t)
	store := open(t, coll, mongostore.WithoutIndexes())
	sent()
	ctx, cancel := context.WithCancel(background)
	cancel()
	id := session.ID{1}
	_, load := store.Load(ctx, id)
	_, list := store.List(ctx, "ann")
	for op, err := range map[string]error{
		"Load": load, "List": list, "Delete": store.Delete(ctx, id),
		"Insert": store.Insert(ctx, &session.Record{Info: session.Info{ID: id}}),
		"Update": store.Update(ctx, id, &session.Change{User: "ann"}),
	} {
		require.ErrorIs(t, err, context.Canceled, op)
		require.NotErrorIs(t, err, session.ErrUncertain, op)
	}
	require.Empty(t, sent())
}

// The driver refuses a document above the message size and sends nothing.
func TestWrite_TooLargeForTheDriver(t *testing.T) {
	store := open(t, testserver.Collection(t), mongostore.WithoutIndexes())
	id := session.ID{1}
	require.NoError(t, store.Insert(background, &session.Record{Info: session.Info{ID: id}}))
	huge := map[string]session.Value{"huge": {Data: bytes.Repeat([]byte("x"), 50<<20), Version: 1}}
	for op, err := range map[string]error{
		"Insert": store.Insert(background, &session.Record{Info: session.Info{ID: session.ID{2}}, Values: huge}),
		"Update": store.Update(background, id, &session.Change{Set: huge}),
	} {
		require.ErrorIs(t, err, session.ErrTooLarge, op)
		require.NotErrorIs(t, err, session.ErrUncertain, op)
	}
}
