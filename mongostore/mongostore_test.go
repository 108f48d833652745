package mongostore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/mongostore"
	"github.com/holdfast-go/session/storetest"
)

var background = context.Background()

func open(t testing.TB, coll *mongo.Collection, opts ...mongostore.Option) *mongostore.Store {
	t.Helper()
	quiet := mongostore.WithLogger(slog.New(slog.DiscardHandler))
	store, err := mongostore.OpenCollection(background, coll, append([]mongostore.Option{quiet}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close(background)) })
	return store
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB) session.Store { return open(t, testserver.Collection(t)) })
}

func TestStore_BatchedLoads(t *testing.T) {
	storetest.Run(t, func(t testing.TB) session.Store {
		return open(t, testserver.Collection(t), mongostore.WithBatchedLoads())
	})
}

// Concurrent loads share commands. Each gets its own record, not older than its
// call, and returns when its own context ends.
func TestBatchedLoads_AreFresh(t *testing.T) {
	coll, sent := recorded(t)
	store := open(t, coll, mongostore.WithBatchedLoads())
	const readers, rounds = 64, 20
	for i := range readers / 2 {
		require.NoError(t, store.Insert(background, &session.Record{Info: session.Info{ID: session.ID{byte(i)}}}))
	}
	var wg sync.WaitGroup
	for i := range readers {
		wg.Go(func() {
			id := session.ID{byte(i)} // half of them are not there
			for n := range int64(rounds) {
				ctx, cancel := context.WithCancel(background)
				if n%7 == 3 {
					cancel()
				}
				if i < readers/2 {
					v := map[string]session.Value{"n": {Data: []byte("1"), Version: n + 1}}
					if err := store.Update(background, id, &session.Change{Set: v}); err != nil {
						t.Error(err)
					}
				}
				rec, err := store.Load(ctx, id)
				switch {
				case errors.Is(err, context.Canceled) && ctx.Err() != nil:
				case i >= readers/2 && errors.Is(err, session.ErrNotFound):
				case i < readers/2 && err == nil && rec.ID == id && rec.Values["n"].Version == n+1:
				default:
					t.Errorf("reader %d, round %d: %+v, %v", i, n, rec, err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	finds := 0
	for _, command := range sent() {
		if _, err := command.LookupErr("find"); err == nil {
			finds++
		}
	}
	t.Logf("%d loads by %d find commands", readers*rounds, finds)
	require.Less(t, finds, readers*rounds)
}

func TestOpen_InvalidInput(t *testing.T) {
	const password = "hunter2/&@secret"
	escaped := url.QueryEscape(password)
	for name, c := range map[string]struct {
		uri  string
		opts []mongostore.Option
		want []string
	}{
		"empty":        {"", nil, []string{"MONGO_URI"}},
		"blank":        {" \n", nil, []string{"MONGO_URI"}},
		"no scheme":    {"localhost:27017", nil, []string{"malformed", "mongodb://"}},
		"bad port":     {"mongodb://ann:" + escaped + "@localhost:port/app", nil, []string{"malformed"}},
		"bad option":   {"mongodb://ann:" + escaped + "@localhost/app?w=%zz", nil, []string{"malformed"}},
		"raw password": {"mongodb://ann:" + password + "@localhost:27017/app", nil, []string{"malformed"}},
		"options": {"mongodb://localhost/app", []mongostore.Option{
			mongostore.WithDatabase(""), mongostore.WithCollection(""), mongostore.WithExpiry(9),
			mongostore.WithLogger(nil), mongostore.WithMaxInFlight(0), nil,
		}, []string{"WithDatabase", "WithCollection", "WithExpiry(9)", "WithLogger(nil)", "WithMaxInFlight(0): want 1 to 1000000", "option 7 is nil"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mongostore.Open(background, c.uri, c.opts...)
			require.Error(t, err)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
			for _, part := range []string{"hunter2", escaped, "&@secret"} {
				require.NotContains(t, err.Error(), part)
			}
			t.Log(err)
		})
	}
}

func TestOpen_NobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	l.Close()
	start := time.Now()
	_, err = mongostore.Open(background, "mongodb://ann:hunter2@"+addr+"/app?connectTimeoutMS=500")
	require.ErrorContains(t, err, addr)
	require.NotContains(t, err.Error(), "hunter2")
	require.Less(t, time.Since(start), 5*time.Second, "ten times the connect timeout")
	t.Log(err)
}

// Open also returns if the server accepts the connection and never replies.
func TestOpen_SilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, err = mongostore.Open(background, "mongodb://"+l.Addr().String()+"/app?connectTimeoutMS=300")
	require.ErrorContains(t, err, l.Addr().String())
	t.Log(err)
}

func TestOpen_DatabaseOfTheURI(t *testing.T) {
	db := testserver.Collection(t).Database()
	uri := must(url.Parse(testserver.Get(t).URI))
	uri.Path = "/" + db.Name()
	store, err := mongostore.Open(background, uri.String(), mongostore.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	require.Equal(t, db.Name(), store.Collection().Database().Name())
	require.Equal(t, "http_sessions", store.Collection().Name())
	require.NoError(t, store.Insert(background, &session.Record{Info: session.Info{ID: session.ID{1}}}))
	require.NoError(t, store.Close(background))
	require.NoError(t, store.Close(background), "a second Close")
	_, err = store.Load(background, session.ID{1})
	require.Error(t, err)
	require.NotErrorIs(t, err, session.ErrNotFound, "a closed store cannot tell")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestOpenCollection_Nil(t *testing.T) {
	_, err := mongostore.OpenCollection(background, nil)
	require.ErrorContains(t, err, "the collection is nil")
}

// recorded returns a collection, and a function to get the commands sent since
// its last call.
func recorded(t testing.TB, opts ...*options.ClientOptions) (*mongo.Collection, func() []bson.Raw) {
	t.Helper()
	var mu sync.Mutex
	var sent []bson.Raw
	monitor := &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, bytes.Clone(e.Command))
	}}
	coll := testserver.Collection(t, append(opts, options.Client().SetMonitor(monitor))...)
	return coll, func() []bson.Raw {
		mu.Lock()
		defer mu.Unlock()
		all := sent
		sent = nil
		return all
	}
}

func TestOpen_ConcernsOfTheURI(t *testing.T) {
	weak, err := options.Client().ApplyURI("mongodb://h/?w=1&journal=false&readPreference=secondaryPreferred&readConcernLevel=available").WriteConcern, error(nil)
	require.NoError(t, err)
	coll, sent := recorded(t, options.Client().SetWriteConcern(weak))
	store := open(t, coll)
	id := session.ID{1}
	require.NoError(t, store.Insert(background, &session.Record{Info: session.Info{ID: id}}))
	require.NoError(t, store.Update(background, id, &session.Change{User: "ann"}))
	require.NoError(t, store.Delete(background, id))
	seen := 0
	for _, command := range sent() {
		switch elems, _ := command.Elements(); elems[0].Key() {
		case "insert", "update", "delete":
			seen++
			require.Contains(t, command.String(), `"writeConcern": {"w": "majority","j": true}`)
			require.NotContains(t, command.String(), "maxTimeMS")
		}
	}
	require.Equal(t, 3, seen)
}

func TestDocument(t *testing.T) {
	coll := testserver.Collection(t)
	store := open(t, coll)
	now := time.Now().Truncate(time.Millisecond)
	rec := &session.Record{
		Info:     session.Info{ID: session.ID{1, 2}, User: "ann", CreatedAt: now, SignedInAt: now, LastSeenAt: now, ExpiresAt: now, Deadline: now},
		Verifier: []byte{1, 2, 3},
		Values:   map[string]session.Value{"a.b": {Data: []byte(`{"x":1}`), Version: 7}, "raw": {Data: []byte{0xff, 0}, Version: 8}},
	}
	require.NoError(t, store.Insert(background, rec))
	var doc bson.Raw = must(coll.FindOne(background, bson.D{}).Raw())
	require.Equal(t, bson.TypeBinary, doc.Lookup("_id").Type)
	subtype, _ := doc.Lookup("_id").Binary()
	require.EqualValues(t, 4, subtype, "mongosh shows it as a UUID")
	require.Equal(t, `{"x":1}`, doc.Lookup("data", "a%2Eb", "v").StringValue(), "text is text")
	require.Equal(t, bson.TypeBinary, doc.Lookup("data", "raw", "v").Type)
	require.Equal(t, bson.TypeDateTime, doc.Lookup("expires").Type, "a TTL index needs a date")
	for _, absent := range []string{"salt", "renewed", "idle", "ip", "agent"} {
		require.Zero(t, doc.Lookup(absent).Type, absent)
	}
}

// Update keeps unknown fields of a newer version, and a damaged field does not
// affect the others.
func TestLoad_DocumentsOfOthers(t *testing.T) {
	coll := testserver.Collection(t)
	store := open(t, coll)
	id := session.ID{1}
	_, err := coll.InsertOne(background, bson.D{
		{Key: "_id", Value: bson.Binary{Subtype: 4, Data: id[:]}},
		{Key: "v", Value: 99},
		{Key: "verifier", Value: "not binary"},
		{Key: "user", Value: "ann"},
		{Key: "expires", Value: 12},
		{Key: "device", Value: bson.D{{Key: "trusted", Value: true}}},
		{Key: "data", Value: bson.D{
			{Key: "good", Value: bson.D{{Key: "v", Value: "1"}, {Key: "n", Value: int64(5)}, {Key: "z", Value: 1}}},
			{Key: "number", Value: bson.D{{Key: "v", Value: 1.5}, {Key: "n", Value: int64(6)}}},
			{Key: "text", Value: "oops"},
			{Key: "%zz", Value: bson.D{{Key: "v", Value: "2"}, {Key: "n", Value: int32(7)}}},
		}},
	})
	require.NoError(t, err)
	rec, err := store.Load(background, id)
	require.NoError(t, err)
	require.Equal(t, "ann", rec.User)
	require.Nil(t, rec.Verifier)
	require.Zero(t, rec.ExpiresAt)
	require.Equal(t, map[string]session.Value{
		"good":   {Data: []byte("1"), Version: 5},
		"number": {Version: 6},
		"text":   {},
		"%zz":    {Data: []byte("2"), Version: 7},
	}, rec.Values)
	require.NoError(t, store.Update(background, id, &session.Change{Set: map[string]session.Value{"new": {Data: []byte("3"), Version: 9}}}))
	doc := must(coll.FindOne(background, bson.D{}).Raw())
	require.True(t, doc.Lookup("device", "trusted").Boolean())
	require.EqualValues(t, 99, doc.Lookup("v").AsInt64())
	require.Equal(t, "1", doc.Lookup("data", "good", "v").StringValue())
}

func TestWrite_TooLargeForTheServer(t *testing.T) {
	server := testserver.Get(t)
	server.Need(t, "a limit of 16 MB for documents", !strings.HasPrefix(server.Engine, "FerretDB"))
	store := open(t, testserver.Collection(t))
	id := session.ID{1}
	half := map[string]session.Value{"half": {Data: bytes.Repeat([]byte("x"), 9<<20), Version: 1}}
	require.NoError(t, store.Insert(background, &session.Record{Info: session.Info{ID: id}, Values: half}))
	more := map[string]session.Value{"more": half["half"]}
	require.ErrorIs(t, store.Update(background, id, &session.Change{Set: more}), session.ErrTooLarge)
	err := store.Insert(background, &session.Record{Info: session.Info{ID: session.ID{2}}, Values: map[string]session.Value{
		"a": {Data: bytes.Repeat([]byte("x"), 17<<20), Version: 1},
	}})
	require.ErrorIs(t, err, session.ErrTooLarge)
}

func TestOpen_ManyInstancesAtOnce(t *testing.T) {
	coll := testserver.Collection(t)
	var wg sync.WaitGroup
	errs := make([]error, 10)
	for i := range errs {
		wg.Go(func() {
			store, err := mongostore.OpenCollection(background, coll, mongostore.WithLogger(slog.New(slog.DiscardHandler)))
			if errs[i] = err; err == nil {
				store.Close(background)
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	names := map[string]bool{}
	for _, spec := range must(coll.Indexes().ListSpecifications(background)) {
		names[spec.Name] = true
	}
	require.True(t, names["session_user"])
	require.True(t, names["session_expires"], "for the server or for the sweep")
}

func TestOpen_OlderTTLIndex(t *testing.T) {
	server := testserver.Get(t)
	server.Need(t, "TTL indexes", server.TTL)
	coll := testserver.Collection(t)
	_, err := coll.Indexes().CreateOne(background, mongo.IndexModel{
		Keys: bson.D{{Key: "expires", Value: 1}}, Options: options.Index().SetName("session_expires").SetExpireAfterSeconds(7),
	})
	require.NoError(t, err)
	open(t, coll)
	for _, spec := range must(coll.Indexes().ListSpecifications(background)) {
		if spec.Name == "session_expires" {
			require.EqualValues(t, 300, *spec.ExpireAfterSeconds)
		}
	}
}

func TestOpen_FromSweepToTTLAndBack(t *testing.T) {
	server := testserver.Get(t)
	server.Need(t, "TTL indexes", server.TTL)
	coll := testserver.Collection(t)
	for _, e := range []mongostore.Expiry{mongostore.ExpirySweep, mongostore.ExpiryTTL, mongostore.ExpirySweep, mongostore.ExpiryAuto} {
		open(t, coll, mongostore.WithExpiry(e))
	}
	ttl := int32(0)
	for _, spec := range must(coll.Indexes().ListSpecifications(background)) {
		if spec.Name == "session_expires" && spec.ExpireAfterSeconds != nil {
			ttl = *spec.ExpireAfterSeconds
		}
	}
	require.EqualValues(t, 300, ttl)
}

func TestOpen_ForeignIndex(t *testing.T) {
	server := testserver.Get(t)
	server.Need(t, "TTL indexes", server.TTL)
	coll := testserver.Collection(t)
	_, err := coll.Indexes().CreateOne(background, mongo.IndexModel{
		Keys: bson.D{{Key: "created", Value: 1}}, Options: options.Index().SetName("session_expires"),
	})
	require.NoError(t, err)
	_, err = mongostore.OpenCollection(background, coll)
	require.ErrorContains(t, err, `"session_expires"`)
	require.ErrorContains(t, err, "drop it, or use WithoutIndexes")
	open(t, coll, mongostore.WithoutIndexes())
}

func TestOpen_ServerWithoutTTL(t *testing.T) {
	server := testserver.Get(t)
	server.Need(t, "a server without TTL indexes", !server.TTL)
	_, err := mongostore.OpenCollection(background, testserver.Collection(t), mongostore.WithExpiry(mongostore.ExpiryTTL))
	require.ErrorContains(t, err, "NotImplemented")
}

func TestSweep(t *testing.T) {
	store := open(t, testserver.Collection(t), mongostore.WithExpiry(mongostore.ExpirySweep))
	now := time.Now()
	const long, recent, live = 20, 3, 4
	n := byte(0)
	insert := func(count int, expires time.Time) {
		for range count {
			n++
			require.NoError(t, store.Insert(background, &session.Record{Info: session.Info{ID: session.ID{n}, ExpiresAt: expires}}))
		}
	}
	insert(long, now.Add(-11*time.Minute))
	insert(recent, now.Add(-9*time.Minute))
	insert(live, now.Add(time.Hour))
	removed, err := store.Sweep(background)
	require.NoError(t, err)
	require.EqualValues(t, long, removed)
	left := must(store.Collection().CountDocuments(background, bson.D{}))
	require.EqualValues(t, recent+live, left)
}

// The limit prevents a slow server from filling the app's memory.
func TestWithMaxInFlight(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, never answers
	require.NoError(t, err)
	defer l.Close()
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + l.Addr().String()))
	require.NoError(t, err)
	defer client.Disconnect(background)
	coll := client.Database("app").Collection("http_sessions")
	store := mongostore.Unopened(coll, 3)
	ctx, cancel := context.WithCancel(background)
	errs := make(chan error, 5)
	for range 5 {
		go func() { _, err := store.Load(ctx, session.ID{1}); errs <- err }()
	}
	for range 2 {
		err := <-errs
		require.ErrorContains(t, err, "WithMaxInFlight")
		var busy interface{ Overloaded() bool } // for package otelsession
		require.ErrorAs(t, err, &busy)
		require.True(t, busy.Overloaded())
	}
	cancel()
	for range 3 {
		require.ErrorIs(t, <-errs, context.Canceled)
	}
}

// The error of a write without a connection is not ErrUncertain.
func TestWrite_NeverSent(t *testing.T) {
	var silent gate
	coll := testserver.Collection(t, options.Client().SetMaxPoolSize(1).SetDialer(&silent))
	store := open(t, coll, mongostore.WithExpiry(mongostore.ExpiryNone))
	id := session.ID{1}
	require.NoError(t, store.Insert(background, &session.Record{Info: session.Info{ID: id}}))
	silent.Lock() // the server's answers
	first := make(chan error)
	go func() { first <- store.Update(background, id, &session.Change{User: "ann"}) }()
	require.Eventually(t, func() bool { return silent.waiting.Load() > 0 }, 10*time.Second, time.Millisecond)
	ctx, cancel := context.WithTimeout(background, 100*time.Millisecond)
	defer cancel()
	err := store.Update(ctx, id, &session.Change{User: "bob"})
	require.ErrorContains(t, err, "checking out a connection")
	require.NotErrorIs(t, err, session.ErrUncertain)
	silent.Unlock()
	require.NoError(t, <-first)
	require.Equal(t, "ann", must(store.Load(background, id)).User)
}

// gate is a dialer whose connections delay the replies to updates while it is
// locked.
type gate struct {
	sync.RWMutex
	net.Dialer
	waiting atomic.Int32
}

func (g *gate) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := g.Dialer.DialContext(ctx, network, address)
	return &gatedConn{conn, g, false}, err
}

type gatedConn struct {
	net.Conn
	gate *gate
	held bool
}

func (c *gatedConn) Write(b []byte) (int, error) {
	c.held = bytes.Contains(b, []byte("update\x00"))
	return c.Conn.Write(b)
}

func (c *gatedConn) Read(b []byte) (int, error) {
	if c.held {
		c.gate.waiting.Add(1)
		c.gate.RLock()
		defer c.gate.RUnlock()
	}
	return c.Conn.Read(b)
}

func TestErrors_NoSecret(t *testing.T) {
	for _, uri := range []string{
		"mongodb://ann:hunter2@h:1/app", "mongodb://ann:hunter2@h:1,h2:2/app?tlsCertificateKeyFilePassword=hunter2",
		"mongodb://ann:hunter%32@h:x", "ann:hunter2@h", "mongodb://ann:hunter2@h@i/?authMechanismProperties=AWS_SESSION_TOKEN:hunter2",
	} {
		text := mongostore.Redact(fmt.Errorf("parse %q: the user info %q of %s is wrong", uri, strings.Split(uri, "@")[0], uri), uri)
		require.NotContains(t, text, "hunter", uri)
		require.True(t, strings.Contains(text, "is wrong"), text)
	}
}

// clearedPool looks like the driver's own error, which is not exported.
type clearedPool struct{}

func (clearedPool) Error() string   { return "connection pool was cleared" }
func (clearedPool) Retryable() bool { return true }

func TestErrors_Retryable(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{clearedPool{}, true},
		{mongo.CommandError{Wrapped: clearedPool{}}, true},
		{mongo.CommandError{Code: 10107}, true},
		{mongo.CommandError{Code: 13}, false},
		{mongo.CommandError{Labels: []string{"NetworkError"}}, true},
		{mongo.WriteException{WriteConcernError: &mongo.WriteConcernError{Code: 64}}, true},
		{mongo.WriteException{WriteErrors: []mongo.WriteError{{Code: 11000}}}, false},
		{context.Canceled, false},
	} {
		require.Equal(t, c.want, mongostore.Passing(c.err), "%#v", c.err)
	}
}
