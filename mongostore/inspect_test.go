package mongostore_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/mongostore"
)

// fill inserts n sessions, each seventh of them anonymous and the others of ten
// users, and documents of other programs.
func fill(t testing.TB, coll *mongo.Collection, n int) {
	t.Helper()
	docs := []any{
		bson.D{{Key: "_id", Value: "config"}, {Key: "verifier", Value: bson.Binary{Data: []byte("x")}}},
		bson.D{{Key: "_id", Value: bson.NewObjectID()}, {Key: "verifier", Value: bson.Binary{Data: []byte("x")}}},
		bson.D{{Key: "_id", Value: bson.Binary{Subtype: 4, Data: bytes.Repeat([]byte{0x77}, 16)}}, {Key: "verifier", Value: "x"}},
	}
	for i := range n {
		id := numbered(i)
		doc := bson.D{
			{Key: "_id", Value: bson.Binary{Subtype: 4, Data: id[:]}},
			{Key: "verifier", Value: bson.Binary{Data: make([]byte, 32)}},
		}
		if i%7 != 0 {
			doc = append(doc, bson.E{Key: "user", Value: fmt.Sprint("user-", i%10)})
		}
		docs = append(docs, doc)
	}
	_, err := coll.InsertMany(background, docs)
	require.NoError(t, err)
}

// numbered returns the ID of a session of fill.
func numbered(i int) (id session.ID) {
	binary.BigEndian.PutUint32(id[:], uint32(i+1))
	id[6], id[8] = 0x70, 0x80
	return id
}

// All reads pages with one command each, so no cursor is open between them. It
// returns no document of another program.
func TestAll_Pages(t *testing.T) {
	const n = 2*mongostore.PageSize + 3
	coll, sent := recorded(t)
	store := open(t, coll, mongostore.WithExpiry(mongostore.ExpiryNone)) // a sweep sends commands too
	fill(t, coll, n)
	sent()
	seen := 0
	for info, err := range store.All(background, session.Filter{}) {
		require.NoError(t, err)
		require.Equal(t, numbered(seen), info.ID)
		seen++
		if seen%500 == 0 {
			require.Zero(t, store.InFlight(), "the loop is no operation")
		}
	}
	require.Equal(t, n, seen)
	commands := sent()
	require.Len(t, commands, 3)
	for _, command := range commands {
		require.Contains(t, command.String(), `"find"`)
	}
	count, err := store.Count(background, session.Filter{})
	require.NoError(t, err)
	require.EqualValues(t, n, count)
	count, err = store.Count(background, session.Filter{Kind: session.KindAnonymous})
	require.NoError(t, err)
	require.EqualValues(t, (n+6)/7, count)
}

// If a page cannot be read, the loop gets the error after the sessions before it,
// and continues later.
func TestAll_ContinuesAfterAnError(t *testing.T) {
	const n = mongostore.PageSize + 3
	coll, direct, r := relayed(t)
	store := open(t, coll)
	fill(t, direct, n)
	finds := 0
	r.handle(func(c *call) bson.Raw {
		if c.name == "find" {
			if finds++; finds == 2 {
				return failure(1, "disk full")
			}
		}
		return c.forward()
	})
	var f session.Filter
	seen, failed := 0, 0
	for info, err := range store.All(background, f) {
		if err != nil {
			require.ErrorContains(t, err, "disk full")
			failed++
			continue
		}
		f.After = info.ID
		seen++
	}
	require.Equal(t, mongostore.PageSize, seen)
	require.Equal(t, 1, failed)
	for _, err := range store.All(background, f) {
		require.NoError(t, err)
		seen++
	}
	require.Equal(t, n, seen)
}

// A server that ignores the order cannot cause an endless loop.
func TestAll_UnorderedServer(t *testing.T) {
	coll, direct, r := relayed(t)
	store := open(t, coll)
	fill(t, direct, 5)
	r.handle(func(c *call) bson.Raw {
		reply := c.forward()
		if c.name != "find" {
			return reply
		}
		var doc bson.D
		require.NoError(t, bson.Unmarshal(reply, &doc))
		var batch bson.A
		last := numbered(2)
		for range mongostore.PageSize {
			batch = append(batch, bson.D{{Key: "_id", Value: bson.Binary{Subtype: 4, Data: last[:]}}, {Key: "verifier", Value: bson.Binary{Data: []byte("x")}}})
		}
		return must(bson.Marshal(bson.D{{Key: "cursor", Value: bson.D{{Key: "firstBatch", Value: batch}, {Key: "id", Value: int64(0)}, {Key: "ns", Value: "a.b"}}}, {Key: "ok", Value: 1}}))
	})
	var errs []error
	for _, err := range store.All(background, session.Filter{}) {
		errs = append(errs, err)
	}
	require.Len(t, errs, 2, "one session and the error")
	require.NoError(t, errs[0])
	require.ErrorContains(t, errs[1], "ascending order")
}

// The operations of a user use its index. All uses the index on _id, whose order it
// needs, and not an index after which the server would have to sort.
func TestInspector_UsesTheIndexes(t *testing.T) {
	server := testserver.Get(t)
	server.Need(t, "secondary indexes", server.TTL)
	coll, sent := recorded(t)
	store := open(t, coll)
	fill(t, coll, 2000)
	explain := func(f session.Filter) (plans []string) {
		sent()
		for _, err := range store.All(background, f) {
			require.NoError(t, err)
		}
		_, err := store.Count(background, f)
		require.NoError(t, err)
		for _, command := range sent() {
			if _, err := command.LookupErr("getMore"); err == nil {
				continue
			}
			var fields bson.D
			require.NoError(t, bson.Unmarshal(command, &fields))
			var plain bson.D
			for _, e := range fields {
				switch e.Key {
				case "lsid", "$db", "$clusterTime", "$readPreference", "readConcern":
				default:
					plain = append(plain, e)
				}
			}
			plan, err := coll.Database().RunCommand(background, bson.D{{Key: "explain", Value: plain}, {Key: "verbosity", Value: "queryPlanner"}}).Raw()
			require.NoError(t, err)
			plans = append(plans, plan.String())
		}
		return plans
	}
	for _, f := range []session.Filter{{User: "user-3"}, {User: "user-3", Kind: session.KindUser}} {
		for _, plan := range explain(f) {
			require.Contains(t, plan, "session_user")
			require.NotContains(t, plan, "COLLSCAN")
		}
	}
	for _, f := range []session.Filter{{}, {Kind: session.KindUser}, {Kind: session.KindAnonymous}} {
		plans := explain(f)
		for _, plan := range plans[:len(plans)-1] { // the last one counts
			require.NotContains(t, plan, "session_user")
			require.NotContains(t, plan, `"SORT"`)
		}
	}
}
