package doctor

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session/cmd/session/internal/backend"
)

// The servers of the tests do not have these versions, members, privileges and
// clocks.

func TestVersion_TestedOrNot(t *testing.T) {
	for name, test := range map[string]struct {
		server backend.Server
		want   Status
	}{
		"tested":      {backend.Server{Engine: backend.EngineMongoDB, Version: "6.0.20"}, OK},
		"new":         {backend.Server{Engine: backend.EngineMongoDB, Version: "10.0.1"}, OK},
		"old":         {backend.Server{Engine: backend.EngineMongoDB, Version: "5.0.31"}, Warning},
		"unreadable":  {backend.Server{Engine: backend.EngineMongoDB, Version: "x"}, Warning},
		"FerretDB":    {backend.Server{Engine: backend.EngineFerretDB2, Version: "5.0.0"}, OK},
		"another one": {backend.Server{Engine: backend.EngineOther, Version: "8.0.0"}, Warning},
	} {
		e := &examination{server: test.server}
		require.Equal(t, test.want, e.version(context.Background())[0].Status, name)
	}
}

func TestTopology_Members(t *testing.T) {
	for name, test := range map[string]struct {
		server backend.Server
		want   Status
		text   string
	}{
		"standalone":         {backend.Server{}, Warning, "standalone"},
		"mongos":             {backend.Server{Msg: "isdbgrid"}, OK, "sharded cluster"},
		"one member":         {backend.Server{SetName: "rs", Hosts: []string{"a"}}, Warning, "one member"},
		"two members":        {backend.Server{SetName: "rs", Hosts: []string{"a", "b"}}, Warning, "two members"},
		"two and an arbiter": {backend.Server{SetName: "rs", Hosts: []string{"a", "b"}, Arbiters: []string{"c"}}, Warning, "1 arbiters"},
		"three members":      {backend.Server{SetName: "rs", Hosts: []string{"a", "b"}, Passives: []string{"c"}}, OK, "3 members"},
	} {
		e := &examination{server: test.server}
		f := e.topology(context.Background())[0]
		require.Equal(t, test.want, f.Status, name)
		require.Contains(t, f.Text, test.text, name)
	}
}

func TestClock_Differences(t *testing.T) {
	for skew, want := range map[time.Duration]Status{
		0: OK, time.Second: OK, -2 * time.Second: OK, 2100 * time.Millisecond: Warning, -29 * time.Second: Warning,
		31 * time.Second: Failure, -time.Hour: Failure,
	} {
		require.Equal(t, want, judgeClock(skew, 0).Status, skew)
	}
	require.Equal(t, OK, judgeClock(3*time.Second, 2*time.Second).Status, "a slow reply proves nothing")
}

func TestPrivileges_GrantedAndMissing(t *testing.T) {
	on := func(db, coll string, actions ...string) bson.D {
		return bson.D{{Key: "resource", Value: bson.D{{Key: "db", Value: db}, {Key: "collection", Value: coll}}}, {Key: "actions", Value: actions}}
	}
	readWrite := []string{"find", "insert", "update", "remove"}
	for name, test := range map[string]struct {
		privileges []bson.D
		want       Status
		text       string
	}{
		"exact":             {[]bson.D{on("app", "s", append(readWrite, "createIndex", "listIndexes", "collMod")...)}, OK, ""},
		"the database":      {[]bson.D{on("app", "", append(readWrite, "createIndex", "listIndexes", "collMod")...)}, OK, ""},
		"any collection":    {[]bson.D{on("", "", "anyAction")}, OK, ""},
		"in two":            {[]bson.D{on("app", "s", readWrite...), on("app", "", "createIndex", "listIndexes", "collMod")}, OK, ""},
		"without indexes":   {[]bson.D{on("app", "s", readWrite...)}, Warning, "lacks createIndex, listIndexes, collMod"},
		"read only":         {[]bson.D{on("app", "", "find")}, Failure, "lacks insert, update, remove"},
		"other database":    {[]bson.D{on("other", "", "anyAction")}, Failure, "lacks find, insert, update, remove"},
		"other collection":  {[]bson.D{on("app", "t", "anyAction")}, Failure, "lacks find"},
		"of the cluster":    {[]bson.D{{{Key: "resource", Value: bson.D{{Key: "cluster", Value: true}}}, {Key: "actions", Value: bson.A{"find"}}}}, Failure, "lacks find"},
		"on every resource": {[]bson.D{{{Key: "resource", Value: bson.D{{Key: "anyResource", Value: true}}}, {Key: "actions", Value: bson.A{"anyAction"}}}}, OK, ""},
	} {
		raw, err := bson.Marshal(bson.M{"p": test.privileges})
		require.NoError(t, err)
		var reply struct{ P []privilege }
		require.NoError(t, bson.Unmarshal(raw, &reply))
		f := judgePrivileges(reply.P, "app", "s")[0]
		require.Equal(t, test.want, f.Status, name)
		require.Contains(t, f.Text, test.text, name)
	}
}

func TestIndexes_Judged(t *testing.T) {
	seconds := func(n float64) *float64 { return &n }
	expires := bson.D{{Key: "expires", Value: int32(1)}}
	byUser := bson.D{{Key: "user", Value: int32(1)}, {Key: "created", Value: 1.0}}
	partial := bson.Raw{5, 0, 0, 0, 0}
	with := func(locale string) backend.Index {
		i := backend.Index{Name: indexUser, Key: byUser, Partial: partial}
		i.Collation.Locale = locale
		return i
	}
	for name, test := range map[string]struct {
		index  backend.Index
		engine backend.Engine
		want   Status
	}{
		"TTL":                 {backend.Index{Name: indexTTL, Key: expires, Expire: seconds(300)}, backend.EngineMongoDB, OK},
		"TTL, shorter":        {backend.Index{Name: indexTTL, Key: expires, Expire: seconds(299)}, backend.EngineMongoDB, Failure},
		"TTL, longer":         {backend.Index{Name: indexTTL, Key: expires, Expire: seconds(301)}, backend.EngineMongoDB, Warning},
		"TTL, none":           {backend.Index{Name: indexTTL, Key: expires}, backend.EngineMongoDB, Warning},
		"TTL, not supported":  {backend.Index{Name: indexTTL, Key: expires}, backend.EngineFerretDB1, OK},
		"TTL, other field":    {backend.Index{Name: indexTTL, Key: byUser, Expire: seconds(300)}, backend.EngineMongoDB, Failure},
		"user":                {with(""), backend.EngineMongoDB, OK},
		"user, simple":        {with("simple"), backend.EngineMongoDB, OK},
		"user, en":            {with("en"), backend.EngineMongoDB, Failure},
		"user, other field":   {backend.Index{Name: indexUser, Key: expires}, backend.EngineMongoDB, Failure},
		"user, hidden":        {backend.Index{Name: indexUser, Key: byUser, Hidden: true}, backend.EngineMongoDB, Warning},
		"user, of FerretDB":   {backend.Index{Name: indexUser, Key: byUser}, backend.EngineFerretDB1, OK},
		"user, descending":    {backend.Index{Name: indexUser, Key: bson.D{{Key: "user", Value: -1}, {Key: "created", Value: 1}}}, backend.EngineMongoDB, Failure},
		"another, irrelevant": {backend.Index{Name: "mine", Key: expires}, backend.EngineMongoDB, Warning}, // both are missing
	} {
		list := judgeTTL([]backend.Index{test.index}, test.engine)
		if test.index.Name == indexUser {
			list = judgeUser([]backend.Index{test.index})
		}
		require.Equal(t, test.want, list[0].Status, name)
	}
}

func TestExpiry_MonitorOff(t *testing.T) {
	for reply, want := range map[any]bool{
		bson.E{Key: "ttlMonitorEnabled", Value: false}: true,
		bson.E{Key: "ttlMonitorEnabled", Value: true}:  false,
		bson.E{Key: "ok", Value: 1}:                    false,
	} {
		raw, err := bson.Marshal(bson.D{reply.(bson.E)})
		require.NoError(t, err)
		require.Equal(t, want, saysOff(raw), reply)
	}
}

func TestCollection_Kinds(t *testing.T) {
	view := collectionInfo{Type: "view"}
	require.Equal(t, Failure, view.judge("app.s")[0].Status)
	logs := collectionInfo{Type: "collection"}
	logs.Options.Validator, logs.Options.Action = bson.Raw{5, 0, 0, 0, 0}, "warn"
	require.Equal(t, OK, logs.judge("app.s")[0].Status)
}

func TestRedis_Judged(t *testing.T) {
	for name, test := range map[string]struct {
		judge func(map[string]string) Finding
		info  string
		want  Status
	}{
		"no replica":            {judgeReplicas, "connected_slaves=0", Warning},
		"replica":               {judgeReplicas, "connected_slaves=1", OK},
		"cluster, no replica":   {judgeReplicas, "connected_slaves=0 cluster_enabled=1", Warning},
		"cluster, replica":      {judgeReplicas, "connected_slaves=2 cluster_enabled=1", OK},
		"append-only file":      {judgePersistence, "aof_enabled=1 aof_last_write_status=ok", OK},
		"no append-only file":   {judgePersistence, "aof_enabled=0", Warning},
		"write error":           {judgePersistence, "aof_enabled=1 aof_last_write_status=err", Failure},
		"no limit":              {judgeEviction, "maxmemory=0 maxmemory_policy=allkeys-lru", OK},
		"evicts":                {judgeEviction, "maxmemory=100 maxmemory_policy=volatile-ttl used_memory=1", Failure},
		"does not evict":        {judgeEviction, "maxmemory=100 maxmemory_policy=noeviction used_memory=80", OK},
		"memory is almost full": {judgeEviction, "maxmemory=100 maxmemory_policy=noeviction used_memory=81", Warning},
	} {
		info := map[string]string{}
		for _, pair := range strings.Fields(test.info) {
			k, v, _ := strings.Cut(pair, "=")
			info[k] = v
		}
		require.Equal(t, test.want, test.judge(info).Status, name)
	}
}

func TestLatencies_Percentiles(t *testing.T) {
	var list []time.Duration
	for i := range 20 {
		list = append(list, time.Duration(20-i)*time.Millisecond)
	}
	require.Equal(t, 10*time.Millisecond, percentile(list, 50))
	require.Equal(t, 19*time.Millisecond, percentile(list, 95))
	require.Equal(t, time.Millisecond, percentile(list[19:], 95))
	require.Zero(t, percentile(nil, 50))

	took := map[string][]time.Duration{"insert": list, "read": list, "update": list, "delete": list}
	require.Equal(t, OK, judgeLatencies(took, 20).Status)
	took["read"] = []time.Duration{time.Second}
	f := judgeLatencies(took, 20)
	require.Equal(t, Warning, f.Status)
	require.Contains(t, f.Text, "read above 250ms")
}

func TestSecret_Strength(t *testing.T) {
	for name, test := range map[string]struct {
		secret string
		want   Status
	}{
		"unset":           {"", Skipped},
		"short":           {"0123456789abcdef0123456789abcde", Failure},
		"one byte":        {strings.Repeat("x", 40), Failure},
		"base64":          {"3q2+7wAAq0mD9yXrT1pW8sVbLzKcNhQ4uEgJf5oYxRk=", OK},
		"hexadecimal":     {"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", OK},
		"repeated":        {strings.Repeat("k3Y!x9Q", 8), Warning},
		"words":           {"correct horse battery staple and some more words", Warning},
		"placeholder":     {"change-me-change-me-change-me-change-me", Warning},
		"newline":         {"3q2+7wAAq0mD9yXrT1pW8sVbLzKcNhQ4uEgJf5oYxRk=\n", Warning},
		"digits in order": {"01234567890123456789012345678901", Warning},
	} {
		f := judgeSecret("SESSION_SECRET", test.secret)
		require.Equal(t, test.want, f.Status, "%s: %s", name, f.Text)
		if test.secret != "" {
			require.NotContains(t, f.Text+f.Advice, strings.TrimSpace(test.secret), name)
		}
		if test.want != OK {
			require.NotContains(t, f.Text, "fingerprint "+Fingerprint(test.secret), name)
		}
	}
}

func TestFingerprint_StableAndDistinct(t *testing.T) {
	// From openssl kdf -keylen 8 -kdfopt digest:SHA256 -kdfopt key:… -kdfopt info:… HKDF
	const fingerprintOfA = "28c2-4371-539b-3cf2"
	require.Equal(t, fingerprintOfA, Fingerprint(strings.Repeat("a", 32)))
	require.NotEqual(t, fingerprintOfA, Fingerprint(strings.Repeat("a", 33)))
	require.Regexp(t, `^([0-9a-f]{4}-){3}[0-9a-f]{4}$`, Fingerprint("x"))
}

func TestWorst_ExitCodes(t *testing.T) {
	require.Equal(t, 0, Worst([]Finding{{Status: OK}, {Status: Skipped}}))
	require.Equal(t, 1, Worst([]Finding{{Status: Warning}, {Status: OK}}))
	require.Equal(t, 2, Worst([]Finding{{Status: Warning}, {Status: Failure}, {Status: OK}}))
}

func TestParseURL_Bad(t *testing.T) {
	for _, text := range []string{"", "example.com", "ftp://example.com", "https://", "http://ann:pa ss@x y", "/login"} {
		_, err := ParseURL(text)
		require.EqualError(t, err, "--url must be an absolute URL such as https://example.com/login", text)
	}
	u, err := ParseURL("https://ann:password@example.com/login?token=1")
	require.NoError(t, err)
	require.Equal(t, "https://example.com/login", shownURL(u))
}
