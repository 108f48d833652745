package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// judge lets every visitor read its session on both apps, and checks the
// database.
func (c *chaos) judge(ctx context.Context, uri string) error {
	pause(ctx, time.Second)
	for _, v := range c.visitors {
		v.verify()
	}
	mc, done, err := connect(uri)
	if err != nil {
		return err
	}
	defer done()
	coll := mc.Database("app").Collection("http_sessions")
	for _, v := range c.visitors {
		if err := c.judgeRecords(ctx, coll, v); err != nil {
			return err
		}
	}
	if err := c.judgeShape(ctx, coll); err != nil {
		return err
	}
	c.dump, err = dump(ctx, mc)
	return err
}

func (c *chaos) judgeRecords(ctx context.Context, coll *mongo.Collection, v *visitor) error {
	for _, id := range v.ended {
		n, err := coll.CountDocuments(ctx, bson.D{{Key: "_id", Value: binaryID(id)}})
		if err != nil {
			return err
		}
		if n != 0 {
			c.wrong("%s: the record %s exists after the sign-out", v.name, id)
		}
	}
	return nil
}

// judgeShape looks for records with inconsistent fields and for users with too
// many records. A renewal creates no second record.
func (c *chaos) judgeShape(ctx context.Context, coll *mongo.Collection) error {
	cur, err := coll.Find(ctx, bson.D{})
	if err != nil {
		return err
	}
	var docs []struct {
		ID       bson.Binary `bson:"_id"`
		Format   int         `bson:"v"`
		Verifier []byte
		Salt     []byte
		Renewed  time.Time
		User     string
		Login    time.Time
		Created  time.Time
		Seen     time.Time
		Expires  time.Time
		Deadline time.Time
	}
	if err := cur.All(ctx, &docs); err != nil {
		return err
	}
	of := make(map[string]int)
	for _, d := range docs {
		if d.ID.Data[6]>>4 == 8 {
			continue // the marker of a revocation
		}
		of[d.User]++
		times := !d.Created.IsZero() && !d.Seen.IsZero() && !d.Expires.IsZero() && !d.Deadline.IsZero()
		if d.Format != 1 || len(d.Verifier) != 32 || !times ||
			(d.User == "") != d.Login.IsZero() || d.Renewed.IsZero() != (len(d.Salt) == 0) {
			c.wrong("a record is inconsistent: %+v", d)
		}
	}
	for _, v := range c.visitors {
		if n, most := of[v.name], 1+v.orphans+v.again; n > most {
			c.wrong("%s: %d live records, want at most %d", v.name, n, most)
		}
	}
	c.records = len(docs)
	return nil
}

func (c *chaos) report(elections int) {
	done := make(map[string]int)
	again, lately := 0, 0
	for _, v := range c.visitors {
		again += v.again
		lately += v.lately
		for what, n := range v.done {
			done[what] += n
		}
	}
	c.r.say("%d elections; commands hit by other faults: %v; %d cuts of one app, %d refusals of one member", elections, c.hits, c.cuts, c.refusals)
	c.r.say("acknowledged: %d sign-ins, %d changes, %d renewals, %d sign-outs", done["sign-in"], done["change"], done["renewal"], done["sign-out"])
	c.r.say("%d requests, %d with status 5xx (%.2f %%), slowest response %v", c.all, c.failed, percent(c.failed, c.all), c.slowest.Round(time.Millisecond))
	in := c.during()
	failed := slices.DeleteFunc(slices.Clone(in), func(s span) bool { return s.why == "" })
	c.r.say("elections shorter than the store timeout, without other faults: %d requests during %d of them, %d failed (%.2f %%)", len(in), len(c.quiet), len(failed), percent(len(failed), len(in)))
	for _, why := range reasons(failed) {
		c.r.say("  %s", why)
	}
	c.r.say("renewals or sign-outs applied without a response: %d", again)
	c.r.say("Updates with ErrUncertain applied later by the server: %d", lately)
	c.r.say("guarantees violated: %d", len(c.list)+c.more)
	if len(c.list) > 0 {
		c.keepLogs()
	}
}

// keepLogs saves the logs of the apps for diagnosis.
func (c *chaos) keepLogs() {
	dir, err := os.MkdirTemp("", "prove-chaos-logs-*")
	if err != nil {
		return
	}
	for _, log := range c.logs {
		if b, err := os.ReadFile(log); err == nil {
			_ = os.WriteFile(filepath.Join(dir, filepath.Base(log)), b, 0o600)
		}
	}
	c.r.say("the logs of the apps are in %s", dir)
}

// during returns the requests begun during the quiet elections.
func (c *chaos) during() (in []span) {
	for _, s := range c.spans {
		if slices.ContainsFunc(c.quiet, func(q span) bool { return s.from.After(q.from) && s.from.Before(q.to) }) {
			in = append(in, s)
		}
	}
	return in
}

func percent(n, of int) float64 { return 100 * float64(n) / float64(max(of, 1)) }
