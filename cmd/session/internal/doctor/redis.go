package doctor

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-go/session/cmd/session/internal/backend"
)

// redisExamination has the state of the checks of Redis.
type redisExamination struct {
	probes
	r    *backend.Redis
	info map[string]string // of the command INFO; empty if the user may not ask
}

// redisChecks returns the checks of Redis.
func redisChecks(ctx context.Context, r *backend.Redis, c Config) ([]check, error) {
	e := &redisExamination{probes: probes{c, r}, r: r}
	// The store has connected, so an error means that INFO is not permitted.
	e.info, _ = r.Info(ctx)
	return []check{
		{"version", e.version},
		{"topology", e.ifInfo(judgeReplicas)},
		{"persistence", e.ifInfo(judgePersistence)},
		{"eviction", e.ifInfo(judgeEviction)},
		{"clock", e.clock},
		{"round trip", e.roundTrip},
	}, nil
}

func (e *redisExamination) version(context.Context) []Finding {
	name, version := "Redis", e.info["redis_version"]
	if v := e.info["valkey_version"]; v != "" {
		name, version = "Valkey", v
	}
	if version == "" {
		return []Finding{skipped("the server does not state its version; grant the user the command INFO")}
	}
	return []Finding{ok("%s %s", name, version)} // redisstore.Open has refused an old one
}

// ifInfo returns a check of the server's description of itself.
func (e *redisExamination) ifInfo(judge func(map[string]string) Finding) func(context.Context) []Finding {
	return func(context.Context) []Finding {
		if len(e.info) == 0 {
			return []Finding{skipped("the server does not describe itself; grant the user the command INFO")}
		}
		return []Finding{judge(e.info)}
	}
}

func judgeReplicas(info map[string]string) Finding {
	n, _ := strconv.Atoi(info["connected_slaves"])
	switch {
	case info["cluster_enabled"] == "1" && n == 0:
		return warning("Give each primary a replica.", "a node of a cluster without a replica; if it is lost, so are its sessions")
	case info["cluster_enabled"] == "1":
		return ok("a node of a cluster, with %d replicas", n)
	case n == 0:
		return warning("In production, use Sentinel or a cluster, with a replica for each primary.", "a primary without a replica; if it is lost, so are the sessions")
	}
	return ok("a primary with %d replicas; a failover loses the last writes unless the app uses WithReplicas", n)
}

func judgePersistence(info map[string]string) Finding {
	const advice = "Set appendonly yes. With appendfsync always, no acknowledged write is lost in a crash."
	switch {
	case info["aof_enabled"] != "1":
		return warning(advice, "the append-only file is off, so a restart loses the sessions since the last snapshot")
	case info["aof_last_write_status"] == "err":
		return failure("Look at the server's log and its disk.", "the server cannot write its append-only file")
	}
	return ok("the append-only file is on; with appendfsync everysec, a crash loses up to a second of writes")
}

func judgeEviction(info map[string]string) Finding {
	policy := info["maxmemory_policy"]
	switch {
	case info["maxmemory"] == "0":
		return ok("the server has no limit of memory")
	case policy != "" && policy != "noeviction":
		return failure("Set maxmemory-policy noeviction. If the server is also a cache, use another one for the sessions.",
			"the server evicts sessions and revocations when its memory is full (policy %s)", policy)
	}
	used, _ := strconv.ParseFloat(info["used_memory"], 64)
	limit, _ := strconv.ParseFloat(info["maxmemory"], 64)
	if used > 0.8*limit {
		return warning("Raise maxmemory. At the limit, the server refuses new sessions.", "the server uses %.0f %% of its memory", 100*used/limit)
	}
	return ok("the server evicts nothing and uses %.0f %% of its memory", 100*used/limit)
}

func (e *redisExamination) clock(ctx context.Context) []Finding {
	before := time.Now()
	t, err := e.r.Time(ctx)
	after := time.Now()
	if err != nil {
		if strings.Contains(err.Error(), "NOPERM") {
			return []Finding{skipped("the server does not state its time; grant the user the command TIME")}
		}
		return []Finding{failed(err)}
	}
	return []Finding{judgeClock(t.Sub(before.Add(after.Sub(before)/2)), after.Sub(before)/2)}
}
