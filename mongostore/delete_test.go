package mongostore_test

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

// During a concurrent update, some servers report 0 deleted documents and leave the
// document.
func TestDelete_UntilTheRecordIsGone(t *testing.T) {
	coll, direct, relay := relayed(t)
	store := open(t, coll, mongostore.WithoutIndexes())
	id := session.ID{1}
	require.NoError(t, store.Insert(background, &session.Record{Info: session.Info{ID: id}}))
	var deletes atomic.Int32
	relay.handle(func(c *call) bson.Raw {
		if c.name == "delete" && deletes.Add(1) <= 3 {
			return must(bson.Marshal(bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 0}}))
		}
		return c.forward()
	})
	require.NoError(t, store.Delete(background, id))
	require.Zero(t, must(direct.CountDocuments(background, bson.D{})))
	require.EqualValues(t, 4, deletes.Load())
	require.NoError(t, store.Delete(background, id), "Delete of a deleted record")
	require.EqualValues(t, 5, deletes.Load())
}
