package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session"
)

// The times after the end of a session at which its document must be gone. A
// server removes it by TTL after the margin of 300 seconds and up to a minute,
// longer under load. The sweep of an app removes it within 18 minutes.
const (
	goneByTTL   = 10 * time.Minute
	goneBySweep = 30 * time.Minute
)

func (e *examination) expiry(ctx context.Context) []Finding {
	if e.collection == nil {
		return []Finding{skipped("the collection does not exist")}
	}
	list := []Finding{e.expired(ctx)}
	if e.monitorIsOff(ctx) {
		list = append(list, failure("Set the parameter ttlMonitorEnabled to true.", "the server's TTL monitor is off, so it removes no documents"))
	}
	if e.Wait > 0 {
		list = append(list, e.waitForRemoval(ctx))
	}
	return list
}

// hasTTL reports whether the server removes expired documents.
func (e *examination) hasTTL() bool {
	i := find(e.indexes, indexTTL)
	return i != nil && i.Expire != nil
}

// monitorIsOff reports whether the server states that its TTL monitor is off. Few
// servers and users may answer.
func (e *examination) monitorIsOff(ctx context.Context) bool {
	reply, err := e.admin(ctx, bson.D{{Key: "getParameter", Value: 1}, {Key: "ttlMonitorEnabled", Value: 1}}).Raw()
	return err == nil && e.hasTTL() && saysOff(reply)
}

func saysOff(reply bson.Raw) bool {
	enabled, ok := reply.Lookup("ttlMonitorEnabled").BooleanOK()
	return ok && !enabled
}

// expired looks for documents that expired long ago.
func (e *examination) expired(ctx context.Context) Finding {
	gone, advice := goneBySweep, "Open the app's store with ExpirySweep, or create the TTL index (session indexes create). Until then: session purge --expired"
	if e.hasTTL() {
		gone, advice = goneByTTL, "Look whether the server's TTL monitor runs (parameter ttlMonitorEnabled). Until then: session purge --expired"
	}
	now, err := e.m.Now(ctx)
	if err != nil {
		return failed(err)
	}
	old := bson.D{{Key: "expires", Value: bson.D{{Key: "$lt", Value: now.Add(-gone)}}}}
	coll := e.m.Collection()
	n, err := coll.CountDocuments(ctx, old)
	if err != nil {
		return failed(err)
	}
	if n == 0 {
		return ok("no document that expired more than %.0f minutes ago is stored", gone.Minutes())
	}
	oldest := ""
	first, err := coll.FindOne(ctx, old, options.FindOne().
		SetSort(bson.D{{Key: "expires", Value: 1}}).SetProjection(bson.D{{Key: "expires", Value: 1}})).Raw()
	if t, ok := first.Lookup("expires").TimeOK(); ok && err == nil {
		oldest = ", the first one at " + t.UTC().Format("2006-01-02 15:04:05Z")
	}
	f := warning(advice, "%d documents that expired more than %.0f minutes ago are still stored%s", n, gone.Minutes(), oldest)
	f.Data = map[string]int64{"documents": n}
	return f
}

// waitForRemoval inserts an expired document and waits until it is gone.
func (e *examination) waitForRemoval(ctx context.Context) Finding {
	if !e.hasTTL() {
		return skipped("--wait has no effect without a TTL index, because a sweep takes up to 18 minutes")
	}
	probe := &session.Record{Info: session.Info{
		ID: newID(8), CreatedAt: time.Now(), ExpiresAt: time.Now().Add(-24 * time.Hour),
	}}
	if err := e.m.Insert(ctx, probe); err != nil {
		return failed(err)
	}
	took, err := e.untilGone(ctx, probe.ID)
	if rerr := e.remove(ctx, probe.ID); err == nil {
		err = rerr
	}
	var late stillThere
	switch {
	case errors.As(err, &late):
		return failure("Look whether the server's TTL monitor runs (parameter ttlMonitorEnabled). It runs once a minute by default, so wait for at least two.", "%v", err)
	case err != nil:
		return failed(err)
	}
	return ok("the server removed an expired document within %v", took.Round(time.Second))
}

// stillThere is the error of untilGone if the server has not removed the
// document within this time.
type stillThere time.Duration

func (s stillThere) Error() string {
	return fmt.Sprintf("the server has not removed an expired document within %v", time.Duration(s))
}

const waitInterval = 500 * time.Millisecond

func (e *examination) untilGone(ctx context.Context, id session.ID) (time.Duration, error) {
	step := e.Progress("waiting for the TTL monitor", int(e.Wait/waitInterval)+1)
	ticker := time.NewTicker(waitInterval)
	defer ticker.Stop()
	for begin := time.Now(); ; {
		_, err := e.m.Load(ctx, id)
		switch took := time.Since(begin); {
		case errors.Is(err, session.ErrNotFound):
			return took, nil
		case err != nil && !mongo.IsNetworkError(err):
			return 0, err
		case took >= e.Wait:
			return 0, stillThere(e.Wait)
		}
		step()
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-ticker.C:
		}
	}
}
