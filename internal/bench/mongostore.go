package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

// document is a record as a program would declare it.
type document struct {
	ID       bson.Binary `bson:"_id"`
	Format   int32       `bson:"v"`
	Verifier bson.Binary `bson:"verifier"`
	User     string      `bson:"user"`
	Login    time.Time   `bson:"login"`
	Created  time.Time   `bson:"created"`
	Seen     time.Time   `bson:"seen"`
	Expires  time.Time   `bson:"expires"`
	Deadline time.Time   `bson:"deadline"`
	Data     map[string]struct {
		V string `bson:"v"`
		N int64  `bson:"n"`
	} `bson:"data"`
}

func randomID() (id session.ID) {
	for i := range id {
		id[i] = byte(rand.Uint32())
	}
	return id
}

// newRecord returns the record of a signed-in visitor with the ten-item cart.
func newRecord(id session.ID, user string) *session.Record {
	now := time.Now().UTC().Truncate(time.Millisecond)
	verifier := make([]byte, 32)
	for i := range verifier {
		verifier[i] = byte(rand.Uint32())
	}
	return &session.Record{
		Info: session.Info{
			ID: id, User: user, CreatedAt: now, SignedInAt: now, LastSeenAt: now,
			ExpiresAt: now.Add(14 * 24 * time.Hour), Deadline: now.Add(30 * 24 * time.Hour),
		},
		Verifier: verifier,
		Values: map[string]session.Value{
			smallName: {Data: []byte(`"` + smallValue + `"`), Version: rand.Int64()},
			cartName:  {Data: cartJSON, Version: rand.Int64()},
		},
	}
}

// client measures the additional CPU time of mongostore over the driver, in the
// client. The server responds at once. The first measurement is in this
// process, so that no other cost hides the difference. The second is over a
// socket and includes the kernel.
func client(ctx context.Context, out io.Writer, c *config) error {
	memory := &canned{}
	if err := clientOn(ctx, out, c, options.Client().SetHosts([]string{"memory:1"}).SetDialer(memory)); err != nil {
		return err
	}
	server, err := startChild(ctx, "canned")
	if err != nil {
		return err
	}
	defer server.stop()
	fmt.Fprintf(out, "\nOver a socket:\n\n")
	return clientOn(ctx, out, c, options.Client().ApplyURI(server.said))
}

func clientOn(ctx context.Context, out io.Writer, c *config, opts *options.ClientOptions) error {
	mc, err := mongo.Connect(opts)
	if err != nil {
		return err
	}
	defer mc.Disconnect(context.WithoutCancel(ctx))
	store, err := mongostore.OpenCollection(ctx, mc.Database("app").Collection("http_sessions"), mongostore.WithExpiry(mongostore.ExpiryNone))
	if err != nil {
		return err
	}
	rec := newRecord(randomID(), "ada")
	if err := store.Insert(ctx, rec); err != nil {
		return err
	}
	n, each := c.timing(100*time.Millisecond, 20*time.Millisecond)
	coll := store.Collection()
	id := bson.Binary{Subtype: 4, Data: rec.ID[:]}
	filter, err := bson.Marshal(bson.D{{Key: "_id", Value: id}})
	must(err)
	value := rec.Values[smallName]
	update, err := bson.Marshal(bson.D{{Key: "$set", Value: bson.D{{Key: "data." + smallName, Value: bson.D{{Key: "v", Value: string(value.Data)}, {Key: "n", Value: value.Version}}}}}})
	must(err)
	change := &session.Change{Set: map[string]session.Value{smallName: value}}

	loads := rounds(n, each, []variant{
		{"Load", func(int) {
			got, err := store.Load(ctx, rec.ID)
			must(err)
			if len(got.Values) != 2 {
				panic("not the record")
			}
		}},
		{"FindOne(raw).Raw()", func(int) {
			_, err := coll.FindOne(ctx, bson.Raw(filter)).Raw()
			must(err)
		}},
		{"FindOne(raw).Decode(&struct)", func(int) {
			var d document
			must(coll.FindOne(ctx, bson.Raw(filter)).Decode(&d))
		}},
	})
	updates := rounds(n, each, []variant{
		{"Update", func(int) { must(store.Update(ctx, rec.ID, change)) }},
		{"UpdateOne(raw, raw)", func(int) {
			_, err := coll.UpdateOne(ctx, bson.Raw(filter), bson.Raw(update))
			must(err)
		}},
	})
	cell := func(s []sample) string {
		return fmt.Sprintf("%s, %.0f allocations", micros(mid(s, cpuOf)), mid(s, allocsOf))
	}
	of := func(a, b []sample) string {
		return fmt.Sprintf("%.2f (%.2f)", ratio(a, b, cpuOf), best(a, cpuOf)/best(b, cpuOf))
	}
	t := newTable(out, "mongostore", "the plain driver", "ratio (of the best rounds)", "goal")
	t.row("Load: "+cell(loads[0]), "FindOne(raw).Raw(): "+cell(loads[1]), of(loads[0], loads[1]), "≤ 1.15, ≤ 95")
	t.row("", "FindOne(raw).Decode(&struct): "+cell(loads[2]), of(loads[0], loads[2]), "≤ 0.80")
	t.row("Update: "+cell(updates[0]), "UpdateOne(raw, raw): "+cell(updates[1]), of(updates[0], updates[1]), "≤ 1.15, ≤ 110")
	return t.end()
}
