package express_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session/express"
	"github.com/holdfast-go/session/internal/testserver"
)

const (
	secret   = "keyboard cat"
	id       = "0123456789abcdefghijABCDEFGHIJ_-"
	sid      = "s%3A0123456789abcdefghijABCDEFGHIJ_-.DowV8%2BFommDmrFOW7N9prLNuqduq%2BH1EmdJixNe7Y1Y" // of secret and id
	goSecret = "a secret of the Go app, 32 bytes."
)

// request returns a request with a value of connect.sid.
func request(value string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
	r.Header.Set("Cookie", "connect.sid="+value)
	return r
}

// collection returns an empty collection of connect-mongo.
func collection(t testing.TB) *mongo.Collection {
	return testserver.Collection(t).Database().Collection("sessions")
}

// offline returns a collection for tests that do no I/O.
func offline(t testing.TB) *mongo.Collection {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://127.0.0.1:1"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	return client.Database("test").Collection("sessions")
}

// insert stores documents as connect-mongo does.
func insert(t testing.TB, coll *mongo.Collection, docs ...bson.D) {
	t.Helper()
	for _, doc := range docs {
		_, err := coll.InsertOne(t.Context(), doc)
		require.NoError(t, err)
	}
}

// open returns the sessions in a collection.
func open(t testing.TB, coll *mongo.Collection, opts ...express.Option) *express.Sessions {
	t.Helper()
	store, err := express.NewMongoStore(coll)
	require.NoError(t, err)
	x, err := express.Open(t.Context(), store, secret, opts...)
	require.NoError(t, err)
	return x
}

// logs collects log output.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// needNames skips a test if the server does not store names with dots and dollars, or
// arrays in arrays.
func needNames(t testing.TB) {
	s := testserver.Get(t)
	s.Need(t, "names with dots and arrays in arrays", !strings.HasPrefix(s.Engine, "FerretDB"))
}
