package readme_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/mongostore"
)

// After the commands of the page on indexes, Open has nothing to change.
func TestIndexesByHandAreThoseOfOpen(t *testing.T) {
	srv := testserver.Get(t)
	srv.Need(t, "TTL indexes", srv.TTL)
	coll := testserver.Collection(t)

	commands := regexp.MustCompile(`(?s)db\.http_sessions\.createIndex\((\{.*?\}), (\{.*?\})\)\n`).
		FindAllStringSubmatch(strings.Join(blocks(read(t, filepath.Join(root, "docs/reference/indexes.md")), "js"), ""), -1)
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

// The page's count of sessions leaves out the markers of revocations.
func TestCountByHand_LeavesOutMarkers(t *testing.T) {
	found := regexp.MustCompile(`countDocuments\((\{.*\})\)`).FindStringSubmatch(read(t, filepath.Join(root, "docs/reference/indexes.md")))
	require.Len(t, found, 2)
	now := time.Now().UTC().Format(`{"$date": "2006-01-02T15:04:05.000Z"}`)
	var filter bson.D
	require.NoError(t, bson.UnmarshalExtJSON([]byte(strings.ReplaceAll(found[1], "new Date()", now)), false, &filter))

	store, err := mongostore.OpenCollection(t.Context(), testserver.Collection(t))
	require.NoError(t, err)
	defer store.Close(t.Context())
	m, err := session.New(store, "a secret of a test, of 32 bytes.")
	require.NoError(t, err)
	s, err := m.Load(t.Context(), nil)
	require.NoError(t, err)
	s.SignIn("ann")
	require.NoError(t, s.Save(t.Context()))
	_, err = m.RevokeAll(t.Context(), "bob")
	require.NoError(t, err)

	count := func(filter bson.D) int64 {
		n, err := store.Collection().CountDocuments(t.Context(), filter)
		require.NoError(t, err)
		return n
	}
	require.EqualValues(t, 2, count(bson.D{}), "with bob's marker")
	require.EqualValues(t, 1, count(filter))
}
