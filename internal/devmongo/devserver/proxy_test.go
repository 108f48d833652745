package devserver_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/holdfast-go/session/internal/devmongo/devserver"
)

// compareAndSwap lets many clients set n to different values, each only if n is unchanged. It returns the number of
// reported successes.
func compareAndSwap(t *testing.T, c *mongo.Collection, round int) int64 {
	t.Helper()
	const clients = 8
	ctx := t.Context()
	_, err := c.InsertOne(ctx, bson.D{{Key: "_id", Value: round}, {Key: "n", Value: 0}})
	require.NoError(t, err)

	var winners atomic.Int64
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range clients {
		wg.Go(func() {
			<-gate
			res, err := c.UpdateOne(ctx, bson.D{{Key: "_id", Value: round}, {Key: "n", Value: 0}},
				bson.D{{Key: "$set", Value: bson.D{{Key: "n", Value: i + 1}}}})
			if err != nil {
				t.Error(err)
				return
			}
			winners.Add(res.MatchedCount)
		})
	}
	close(gate)
	wg.Wait()
	_, err = c.DeleteOne(ctx, bson.D{{Key: "_id", Value: round}})
	require.NoError(t, err)
	return winners.Load()
}

// The proxy exists because of this fault. If a later FerretDB does not have it, this test fails and the proxy can be
// removed.
func TestFerretDB_TwoCompareAndSwapsSucceed(t *testing.T) {
	addr, stop, err := devserver.EmbedFerretDB()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	c := connect(t, "mongodb://"+addr+"/").Database("proxy").Collection("cas")
	for round := range 2000 {
		if n := compareAndSwap(t, c, round); n > 1 {
			t.Logf("round %d: %d winners", round, n)
			return
		}
	}
	t.Fatal("no compare-and-swap with two winners in 2000 rounds: is the proxy still needed?")
}

func TestProxy_OneCompareAndSwapSucceeds(t *testing.T) {
	s := startFerretDB(t)
	c := connect(t, s.URI).Database("proxy").Collection("cas")
	for round := range 200 {
		require.EqualValues(t, 1, compareAndSwap(t, c, round), "winners in round %d", round)
	}
}

// All requests use one connection. A reply to a write without a reply would be read as the reply to the next command.
func TestProxy_UnacknowledgedWrites(t *testing.T) {
	s := startFerretDB(t)
	client, err := mongo.Connect(options.Client().ApplyURI(s.URI).SetMaxPoolSize(1))
	require.NoError(t, err)
	defer client.Disconnect(context.WithoutCancel(t.Context()))
	const name = "unacknowledged"
	c := client.Database("proxy").Collection(name, options.Collection().SetWriteConcern(writeconcern.Unacknowledged()))
	for i := range 50 {
		res, err := c.InsertOne(t.Context(), bson.D{{Key: "_id", Value: i}})
		require.NoError(t, err)
		require.False(t, res.Acknowledged)
	}
	n, err := client.Database("proxy").Collection(name).CountDocuments(t.Context(), bson.D{})
	require.NoError(t, err)
	require.EqualValues(t, 50, n)
}

const patience = 30 * time.Second

// backend is a server under control of the test. It hands each request to the test and sends the reply of the test.
type backend struct {
	ln       net.Listener
	requests chan request
	closed   chan struct{}
}

type request struct {
	name  string
	reply func()
	die   func()
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &backend{ln: ln, requests: make(chan request), closed: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { b.serve(t, conn) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		close(b.closed)
		wg.Wait()
	})
	return b
}

func (b *backend) serve(t *testing.T, conn net.Conn) {
	defer conn.Close()
	ok := op(t, 0, bson.D{{Key: "ok", Value: 1}})
	for {
		f, err := devserver.ReadFrame(conn)
		if err != nil {
			return
		}
		name, _ := devserver.FrameCommand(f)
		r := request{name: name, reply: func() { conn.Write(ok) }, die: func() { conn.Close() }}
		select {
		case b.requests <- r:
		case <-b.closed:
			return
		}
	}
}

func (b *backend) next(t *testing.T, name string) request {
	t.Helper()
	select {
	case r := <-b.requests:
		require.Equal(t, name, r.name)
		return r
	case <-time.After(patience):
		require.Fail(t, "the proxy has not passed on a request", name)
		return request{}
	}
}

// proxied starts a proxy in front of a backend and returns its log. The proxy must stop before the backend. Cleanups
// run last to first.
func proxied(t *testing.T) (*backend, string, *logged) {
	t.Helper()
	b := newBackend(t)
	var log logged
	addr, stop, err := devserver.StartProxy(b.ln.Addr().String(), log.printf)
	require.NoError(t, err)
	t.Cleanup(stop)
	return b, addr, &log
}

func send(t *testing.T, conn net.Conn, flags uint32, name string) {
	t.Helper()
	_, err := conn.Write(op(t, flags, bson.D{{Key: name, Value: "c"}, {Key: "$db", Value: "d"}}))
	require.NoError(t, err)
}

func receive(t *testing.T, conn net.Conn) {
	t.Helper()
	_, err := devserver.ReadFrame(conn)
	require.NoError(t, err)
}

// idle fails the test if the backend has received a request. It sends a ping and waits for the reply. Requests that
// were sent before would have arrived by then.
func (b *backend) idle(t *testing.T, addr string) {
	t.Helper()
	probe := dial(t, addr)
	send(t, probe, 0, "ping")
	b.next(t, "ping").reply()
	receive(t, probe)
}

func TestProxy_WritesTakeTurns(t *testing.T) {
	b, addr, _ := proxied(t)
	for _, name := range []string{
		"insert", "update", "delete", "findAndModify", "create", "drop", "createIndexes",
		"dropIndexes", "collMod", "bulkWrite", "renameCollection", "dropDatabase", "aCommandOfTheFuture",
	} {
		first, second := dial(t, addr), dial(t, addr)
		send(t, first, 0, "update")
		under := b.next(t, "update")
		send(t, second, 0, name)
		b.idle(t, addr)
		under.reply()
		receive(t, first)
		b.next(t, name).reply()
		receive(t, second)
	}
}

func TestProxy_ReadsDuringWrite(t *testing.T) {
	b, addr, _ := proxied(t)
	writer := dial(t, addr)
	send(t, writer, 0, "update")
	under := b.next(t, "update")
	for _, name := range []string{"find", "getMore", "aggregate", "count", "hello", "ping", "listIndexes"} {
		reader := dial(t, addr)
		send(t, reader, 0, name)
		b.next(t, name).reply()
		receive(t, reader)
	}
	under.reply()
	receive(t, writer)
}

func TestProxy_ClientEndsDuringWrite(t *testing.T) {
	whole := op(t, 0, bson.D{{Key: "update", Value: "c"}})
	for name, die := range map[string]func(*testing.T, *backend, net.Conn){
		"in the middle of its message": func(t *testing.T, _ *backend, c net.Conn) {
			_, err := c.Write(whole[:len(whole)-3])
			require.NoError(t, err)
			c.Close()
		},
		"while its write is under way": func(t *testing.T, b *backend, c net.Conn) {
			send(t, c, 0, "update")
			under := b.next(t, "update")
			c.Close()
			under.reply() // the turn lasts until the server has replied, even if the client has gone
		},
		"and the server with it": func(t *testing.T, b *backend, c net.Conn) {
			send(t, c, 0, "update")
			under := b.next(t, "update")
			c.Close()
			under.die()
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, addr, _ := proxied(t)
			die(t, b, dial(t, addr))
			next := dial(t, addr)
			send(t, next, 0, "insert")
			b.next(t, "insert").reply()
			receive(t, next)
		})
	}
}

func TestProxy_AbandonedWriteDropped(t *testing.T) {
	b, addr, _ := proxied(t)
	first, waiting := dial(t, addr), dial(t, addr)
	send(t, first, 0, "update")
	under := b.next(t, "update")
	send(t, waiting, 0, "delete")
	require.NoError(t, waiting.(*net.TCPConn).CloseWrite())
	_, err := io.ReadAll(waiting) // the proxy closes the connection after it has seen the end
	require.NoError(t, err)
	under.reply()
	receive(t, first)
	b.idle(t, addr)
}

func TestProxy_UnacknowledgedWriteTakesTurn(t *testing.T) {
	b, addr, _ := proxied(t)
	first, quiet := dial(t, addr), dial(t, addr)
	send(t, first, 0, "update")
	under := b.next(t, "update")
	send(t, quiet, 2, "insert")
	send(t, quiet, 0, "ping")
	b.idle(t, addr)
	under.reply()
	receive(t, first)

	b.next(t, "insert").reply()
	b.next(t, "ping").reply()
	receive(t, quiet)
	require.NoError(t, quiet.(*net.TCPConn).CloseWrite())
	rest, err := io.ReadAll(quiet)
	require.NoError(t, err)
	require.Empty(t, rest, "one reply, the ping's")
}

func TestProxy_UnknownMessageRefused(t *testing.T) {
	_, addr, log := proxied(t)
	conn := dial(t, addr)
	_, err := conn.Write(message(2012, make([]byte, 30)))
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, conn)
	require.NoError(t, err)
	require.Contains(t, log.String(), "devmongo: closed a client's connection: a compressed message")
}

func TestProxy_Compression(t *testing.T) {
	s := startFerretDB(t)
	client, err := mongo.Connect(options.Client().ApplyURI(s.URI).SetCompressors([]string{"zstd", "zlib", "snappy"}))
	require.NoError(t, err)
	defer client.Disconnect(context.WithoutCancel(t.Context()))
	big := string(bytes.Repeat([]byte("compressible "), 10_000))
	c := client.Database("proxy").Collection("compression")
	_, err = c.InsertOne(t.Context(), bson.D{{Key: "_id", Value: 1}, {Key: "s", Value: big}})
	require.NoError(t, err)
	var got struct{ S string }
	require.NoError(t, c.FindOne(t.Context(), bson.D{{Key: "_id", Value: 1}}).Decode(&got))
	require.Equal(t, big, got.S)
}

func TestProxy_Close(t *testing.T) {
	b := newBackend(t)
	addr, stop, err := devserver.StartProxy(b.ln.Addr().String(), t.Logf)
	require.NoError(t, err)
	idle, writing, waiting, half := dial(t, addr), dial(t, addr), dial(t, addr), dial(t, addr)
	send(t, writing, 0, "update")
	b.next(t, "update")
	send(t, waiting, 2, "insert")
	_, err = half.Write([]byte{40, 0})
	require.NoError(t, err)
	stop()
	for _, conn := range []net.Conn{idle, writing, waiting, half} {
		_, err := conn.Read(make([]byte, 1))
		require.Error(t, err)
	}
	_, err = net.Dial("tcp", addr)
	require.Error(t, err)
}
