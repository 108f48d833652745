package readme_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/mongostore"
)

// The indexes that docs/indexes.md tells to make by hand are those that Open
// makes: after them it finds nothing to do and nothing in its way.
func TestIndexesByHandAreThoseOfOpen(t *testing.T) {
	srv := testserver.Get(t)
	srv.Need(t, "TTL indexes", srv.TTL)
	coll := testserver.Collection(t)

	commands := regexp.MustCompile(`(?s)db\.http_sessions\.createIndex\((\{.*?\}), (\{.*?\})\)\n`).
		FindAllStringSubmatch(strings.Join(blocks(read(t, root+"/docs/indexes.md"), "js"), ""), -1)
	require.Len(t, commands, 2)
	for _, c := range commands {
		var keys, index bson.D
		require.NoError(t, bson.UnmarshalExtJSON([]byte(c[1]), false, &keys))
		require.NoError(t, bson.UnmarshalExtJSON([]byte(c[2]), false, &index))
		require.NoError(t, coll.Database().RunCommand(t.Context(), bson.D{
			{Key: "createIndexes", Value: coll.Name()},
			{Key: "indexes", Value: bson.A{append(index, bson.E{Key: "key", Value: keys})}},
		}).Err())
	}

	list := func() (indexes []bson.M) {
		cur, err := coll.Indexes().List(t.Context())
		require.NoError(t, err)
		require.NoError(t, cur.All(t.Context(), &indexes))
		return indexes
	}
	before := list()
	require.Len(t, before, 3)
	store, err := mongostore.OpenCollection(t.Context(), coll, mongostore.WithExpiry(mongostore.ExpiryTTL))
	require.NoError(t, err)
	require.NoError(t, store.Close(t.Context()))
	require.Equal(t, before, list())
}
