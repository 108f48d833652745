package doctor

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session/cmd/session/internal/backend"
)

// oldestTested is the first major version of MongoDB in the CI workflow.
const oldestTested = 6

func (e *examination) version(context.Context) []Finding {
	const advice = "Run the tests of this library on the server, see docs/reference/compatibility.md."
	s := e.server
	switch s.Engine {
	case backend.EngineOther:
		return []Finding{warning(advice, "%s is not among the tested servers", s.Name)}
	case backend.EngineMongoDB:
		major, _, _ := strings.Cut(s.Version, ".")
		if n, err := strconv.Atoi(major); err != nil || n < oldestTested {
			return []Finding{warning("Upgrade to MongoDB 6.0 or later.", "%s is older than the tested versions", s.Name)}
		}
	}
	return []Finding{ok("%s", s.Name)}
}

func (e *examination) topology(context.Context) []Finding {
	s := e.server
	members := len(s.Hosts) + len(s.Passives)
	switch {
	case s.IsMongos():
		return []Finding{ok("sharded cluster")}
	case s.SetName == "":
		return []Finding{warning("In production, use a replica set with three members that hold data.",
			"a standalone server; while it restarts, requests with a session get 503")}
	case members == 1:
		return []Finding{warning("In production, use a replica set with three members that hold data.",
			"replica set %s has one member with data; a majority is this member", s.SetName)}
	case members == 2:
		return []Finding{warning("Add a third member that holds data.",
			"replica set %s has two members with data and %d arbiters; without one of them, no write is acknowledged by a majority", s.SetName, len(s.Arbiters))}
	}
	return []Finding{ok("replica set %s with %d members that hold data", s.SetName, members)}
}

// sent is the write concern of mongostore.
const sent = "mongostore sends w: majority and j: true with each write, whatever the URI says"

func (e *examination) writeConcern(ctx context.Context) []Finding {
	var reply struct {
		Write bson.Raw `bson:"defaultWriteConcern"`
	}
	if e.server.SetName == "" && !e.server.IsMongos() {
		return []Finding{ok("%s; a standalone server acknowledges a write that is in its journal", sent)}
	}
	if err := e.admin(ctx, bson.D{{Key: "getDefaultRWConcern", Value: 1}}).Decode(&reply); err != nil {
		return []Finding{ok("%s; the server's default for other programs cannot be read (%s)", sent, oneLine(err))}
	}
	other := "w: 1 or majority, by the topology"
	if w, err := reply.Write.LookupErr("w"); err == nil {
		other = "w: " + strings.Trim(w.String(), `"`)
		if n, ok := w.AsInt64OK(); ok {
			other = fmt.Sprintf("w: %d", n)
		}
	}
	return []Finding{ok("%s; the server's default for other programs is %s", sent, other)}
}

const (
	// skewNoted is more than clocks differ that NTP synchronizes.
	skewNoted = 2 * time.Second

	// skewLimit is the difference from which the Manager corrects revocation
	// markers of a replica with a fast clock.
	skewLimit = 30 * time.Second
)

func (e *examination) clock(ctx context.Context) []Finding {
	before := time.Now()
	s, err := e.m.Server(ctx)
	after := time.Now()
	if err != nil {
		return []Finding{failed(err)}
	}
	if s.LocalTime.IsZero() {
		return []Finding{skipped("the server does not state its time")}
	}
	return []Finding{judgeClock(s.LocalTime.Sub(before.Add(after.Sub(before)/2)), after.Sub(before)/2)}
}

// judgeClock judges a difference between the server's and this machine's clock.
func judgeClock(skew, precision time.Duration) Finding {
	const advice = "Synchronize the clocks of the server and of all replicas by NTP, and run doctor on each of them."
	beyond := skew.Abs() - precision
	text := fmt.Sprintf("the server's clock differs from this machine's by %v (± %v)", skew.Round(time.Millisecond), precision.Round(time.Millisecond))
	f := ok("%s", text)
	switch {
	case beyond > skewLimit:
		f = failure(advice, "%s", text)
	case beyond > skewNoted:
		f = warning(advice, "%s", text)
	}
	f.Data = map[string]float64{"skewMilliseconds": milliseconds(skew)}
	return f
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
