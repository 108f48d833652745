package mongostore_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/mongostore"
)

// uriOf returns the test server's URI with the database of an empty collection.
func uriOf(t testing.TB) *url.URL {
	t.Helper()
	uri := must(url.Parse(testserver.Get(t).URI))
	uri.Path = "/" + testserver.Collection(t).Database().Name()
	return uri
}

func openURI(t testing.TB, uri string, opts ...mongostore.Option) *mongostore.Store {
	t.Helper()
	opts = append(opts, mongostore.WithLogger(slog.New(slog.DiscardHandler)))
	store, err := mongostore.Open(background, uri, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close(background)) })
	return store
}

// The functions of WithClientOptions see the settings of the URI, and the driver
// uses theirs. The store keeps its concerns.
func TestWithClientOptions(t *testing.T) {
	uri := uriOf(t)
	uri.RawQuery = "maxPoolSize=7&w=1"
	var calls []string
	var commands atomic.Int64
	var concern atomic.Value
	monitor := &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		commands.Add(1)
		if e.CommandName == "insert" {
			concern.Store(e.Command.Lookup("writeConcern").String())
		}
	}}
	store := openURI(t, uri.String(),
		mongostore.WithClientOptions(func(o *options.ClientOptions) {
			calls = append(calls, "first")
			require.EqualValues(t, 7, *o.MaxPoolSize)
			o.SetMonitor(monitor).SetWriteConcern(writeconcern.Unacknowledged()).SetReadPreference(readpref.Secondary()).SetMaxPoolSize(3)
		}),
		mongostore.WithClientOptions(func(o *options.ClientOptions) {
			calls = append(calls, "second")
			require.EqualValues(t, 3, *o.MaxPoolSize)
		}))
	require.Equal(t, []string{"first", "second"}, calls)
	require.Positive(t, commands.Load())
	require.Equal(t, 3*10, store.MaxInFlight())
	id := session.ID{1}
	require.NoError(t, store.Insert(background, &session.Record{Info: session.Info{ID: id}}))
	require.JSONEq(t, `{"w":"majority","j":true}`, concern.Load().(string))
	_, err := store.Load(background, id)
	require.NoError(t, err)
}

func TestWithClientOptions_Refused(t *testing.T) {
	uri := uriOf(t).String()
	for name, c := range map[string]struct {
		set  func(*options.ClientOptions)
		want string
	}{
		"nil":         {nil, "WithClientOptions(nil)"},
		"timeout":     {func(o *options.ClientOptions) { o.SetTimeout(time.Second) }, "remove SetTimeout"},
		"another URI": {func(o *options.ClientOptions) { o.ApplyURI("mongodb://ann:hunter2@db.example/app") }, "remove ApplyURI"},
		"invalid": {func(o *options.ClientOptions) {
			o.SetAuth(options.Credential{AuthMechanism: "NONSENSE", Username: "ann", Password: "hunter2"})
		}, "WithClientOptions"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mongostore.Open(background, uri, mongostore.WithClientOptions(c.set))
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
	_, err := mongostore.OpenCollection(background, testserver.Collection(t), mongostore.WithClientOptions(func(*options.ClientOptions) {}))
	require.ErrorContains(t, err, "OpenCollection uses the collection's client")
}

// The password of SetAuth is as secret as one in the URI.
func TestOpen_HidesPasswordOfClientOptions(t *testing.T) {
	_, err := mongostore.Open(background, "mongodb://127.0.0.1/app?connectTimeoutMS=100", mongostore.WithClientOptions(func(o *options.ClientOptions) {
		o.SetAuth(options.Credential{Username: "ann", Password: "hunter2"}).SetDialer(refusing{})
	}))
	require.ErrorContains(t, err, "cannot dial with [redacted]")
	require.NotContains(t, err.Error(), "hunter2")
}

// refusing is a dialer whose error has a password.
type refusing struct{}

func (refusing) DialContext(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("cannot dial with hunter2")
}

// The server learns the name of the app in the first command of each connection.
func TestOpen_AppName(t *testing.T) {
	for name, c := range map[string]struct {
		query string
		opts  []mongostore.Option
		want  string
	}{
		"default":    {"", nil, "holdfast-session mongostore.test"},
		"of the URI": {"&appName=shop", nil, "shop"},
		"of the options": {"&appName=shop", []mongostore.Option{
			mongostore.WithClientOptions(func(o *options.ClientOptions) { o.SetAppName("cart") }),
		}, "cart"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			var first bson.Raw
			var done sync.WaitGroup
			done.Go(func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				if frame, err := readFrame(conn); err == nil {
					first = query(frame)
				}
			})
			_, err = mongostore.Open(background, "mongodb://"+l.Addr().String()+"/app?connectTimeoutMS=100"+c.query, c.opts...)
			require.Error(t, err, "the server does not reply")
			l.Close()
			done.Wait()
			require.Equal(t, c.want, first.Lookup("client", "application", "name").StringValue())
		})
	}
}

// query returns the command of the first message of a connection. It is an
// OP_QUERY: a header, four bytes, a name, eight bytes and the command.
func query(frame []byte) bson.Raw {
	if len(frame) < 20 {
		return nil
	}
	_, rest, _ := bytes.Cut(frame[20:], []byte{0})
	return bson.Raw(rest[min(8, len(rest)):])
}

func TestPing(t *testing.T) {
	_, _, r := relayed(t)
	store := openURI(t, r.uri)
	require.NoError(t, store.Ping(background))
	ctx, cancel := context.WithCancel(background)
	cancel()
	require.ErrorContains(t, store.Ping(ctx), "the primary does not reply to a ping: no reply in time")

	r.handle(func(c *call) bson.Raw {
		if c.name == "ping" {
			return failure(1, "the disk is full on "+r.uri)
		}
		return c.forward()
	})
	err := store.Ping(background)
	require.ErrorContains(t, err, "the disk is full on [redacted]")
	require.NotContains(t, err.Error(), r.uri)
	r.handle(nil)
	require.NoError(t, store.Ping(background))
}

// Ping returns although the server never replies and ctx never ends.
func TestPing_SilentServer(t *testing.T) {
	_, _, r := relayed(t)
	store := openURI(t, r.uri)
	block := make(chan struct{})
	t.Cleanup(func() { close(block) })
	r.handle(func(c *call) bson.Raw {
		if c.name == "ping" {
			<-block
		}
		return c.forward()
	})
	require.ErrorContains(t, store.Ping(background), "no reply in time")
}
