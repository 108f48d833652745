package doctor

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// repeatedWrites finds out whether the server recognizes a repeated write. It does
// what docs/reference/compatibility.md describes for mongosh.
func (e *examination) repeatedWrites(ctx context.Context) []Finding {
	switch {
	case e.collection == nil:
		return []Finding{skipped("the collection does not exist")}
	case !e.server.Repeats():
		return []Finding{ok("the driver repeats no write on this server")}
	}
	n, err := e.writeTwice(ctx)
	switch {
	case err != nil:
		return []Finding{skipped("the server refuses a write with a number (%s)", oneLine(err))}
	case n != 1:
		return []Finding{failure("Put retryWrites=false into MONGO_URI, see docs/reference/compatibility.md.",
			"the server applied a repeated write %d times", n)}
	}
	return []Finding{ok("the server recognizes a repeated write")}
}

// writeTwice sends the same increment twice and returns its effect.
func (e *examination) writeTwice(ctx context.Context) (n int, err error) {
	coll := e.m.Collection()
	id := newID(8) // without a verifier, as a revocation marker
	_, err = coll.InsertOne(ctx, bson.D{
		{Key: "_id", Value: bson.Binary{Subtype: 4, Data: id[:]}},
		{Key: "n", Value: 0},
		{Key: "expires", Value: time.Now().Add(probeLife)},
	})
	if err != nil {
		return 0, err
	}
	defer func() {
		if rerr := e.remove(ctx, id); err == nil {
			err = rerr
		}
	}()
	// A session of the store's client may have sent a write with this number.
	client, err := e.m.NewClient()
	if err != nil {
		return 0, err
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }()
	session, err := client.StartSession()
	if err != nil {
		return 0, err
	}
	defer session.EndSession(context.WithoutCancel(ctx))
	db := client.Database(coll.Database().Name())
	byID := bson.D{{Key: "_id", Value: bson.Binary{Subtype: 4, Data: id[:]}}}
	for range 2 {
		err := db.RunCommand(mongo.NewSessionContext(ctx, session), bson.D{
			{Key: "update", Value: coll.Name()},
			{Key: "updates", Value: bson.A{bson.D{{Key: "q", Value: byID}, {Key: "u", Value: bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: 1}}}}}}}},
			{Key: "txnNumber", Value: int64(1)},
		}).Err()
		if err != nil {
			return 0, err
		}
	}
	var found struct{ N int }
	err = coll.FindOne(ctx, byID).Decode(&found)
	return found.N, err
}
