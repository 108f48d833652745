package faultmongo_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"

	"github.com/holdfast-go/session/internal/faultmongo"
	"github.com/holdfast-go/session/internal/faultmongo/realserver"
)

var backend *realserver.Server

func TestMain(m *testing.M) {
	var err error
	if backend, err = start(); err != nil {
		fmt.Fprintln(os.Stderr, "faultmongo: no server to test on:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := backend.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "faultmongo: the server did not end cleanly:", err)
		code = 1
	}
	if left := leaked(); left != "" && code == 0 {
		fmt.Fprintln(os.Stderr, "faultmongo: goroutines left behind:\n\n"+left)
		code = 1
	}
	os.Exit(code)
}

// leaked returns the stacks at which other goroutines remain.
func leaked() string {
	for range 500 {
		if runtime.NumGoroutine() == 1 {
			return ""
		}
		time.Sleep(10 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// start starts FerretDB if SecantusDB is not installed. The faults come from
// the proxy and are the same.
func start() (*realserver.Server, error) {
	if _, err := realserver.Find(); err != nil {
		return realserver.FerretDB(context.Background())
	}
	return realserver.Secantus(":memory:", "--standalone")
}

// set is a proxy with one client per view. The monitors of the clients record
// commands and errors.
type set struct {
	*faultmongo.Proxy
	coll *mongo.Collection // by the view "app"

	mu      sync.Mutex
	failed  []error
	started []string
	primary chan string
}

func newSet(t *testing.T, views ...string) *set {
	t.Helper()
	p, err := faultmongo.Start(faultmongo.Config{Backend: backend.Addr, Views: views, Seed: 1, KeepBook: true})
	require.NoError(t, err)
	t.Cleanup(p.Close)
	s := &set{Proxy: p, primary: make(chan string, 100)}
	s.coll = s.client(t, "app", s.monitors())
	require.NoError(t, s.coll.Drop(ctx(t)))
	_, err = s.coll.InsertOne(ctx(t), bson.M{"_id": 1, "n": 0})
	require.NoError(t, err)
	s.take()
	return s
}

func (s *set) client(t *testing.T, view string, opts *options.ClientOptions) *mongo.Collection {
	t.Helper()
	c, err := mongo.Connect(options.Client().ApplyURI(s.View(view).URI()).SetHeartbeatInterval(500*time.Millisecond), opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Disconnect(context.Background()) })
	return c.Database("faults").Collection(t.Name())
}

func (s *set) monitors() *options.ClientOptions {
	return options.Client().
		SetMonitor(&event.CommandMonitor{
			Started: func(_ context.Context, e *event.CommandStartedEvent) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.started = append(s.started, e.CommandName)
			},
			Failed: func(_ context.Context, e *event.CommandFailedEvent) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.failed = append(s.failed, e.Failure)
			},
		}).
		SetServerMonitor(&event.ServerMonitor{ServerDescriptionChanged: func(e *event.ServerDescriptionChangedEvent) {
			if e.NewDescription.Kind == "RSPrimary" && e.PreviousDescription.Kind != "RSPrimary" {
				s.primary <- string(e.Address)
			}
		}})
}

// take returns the commands since the last call, and the failed ones.
func (s *set) take() (started []string, failed []error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	started, failed = s.started, s.failed
	s.started, s.failed = nil, nil
	return started, failed
}

// add increments the counter once if the server receives it once.
func (s *set) add(ctx context.Context) error {
	_, err := s.coll.UpdateByID(ctx, 1, bson.M{"$inc": bson.M{"n": 1}})
	return err
}

func (s *set) count(t *testing.T) int {
	t.Helper()
	var doc struct{ N int }
	require.NoError(t, s.coll.FindOne(ctx(t), bson.M{"_id": 1}).Decode(&doc))
	return doc.N
}

func ctx(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	timer := time.AfterFunc(20*time.Second, cancel)
	t.Cleanup(func() { timer.Stop(); cancel() })
	return ctx
}

// within returns a context that ends after d without a deadline. The driver
// would change its behaviour for a deadline.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	timer := time.AfterFunc(d, cancel)
	t.Cleanup(func() { timer.Stop(); cancel() })
	return ctx
}

func TestProxy_ReplicaSet(t *testing.T) {
	s := newSet(t)
	var hello struct {
		SetName  string `bson:"setName"`
		Hosts    []string
		Me       string
		Primary  string
		Writable bool          `bson:"isWritablePrimary"`
		Election bson.ObjectID `bson:"electionId"`
		MaxWire  int           `bson:"maxWireVersion"`
		Sessions int           `bson:"logicalSessionTimeoutMinutes"`
		Topology bson.Raw      `bson:"topologyVersion"`
	}
	ask := func() {
		require.NoError(t, s.coll.Database().RunCommand(ctx(t), bson.D{{Key: "hello", Value: 1}}).Decode(&hello))
	}
	ask()
	require.Equal(t, "fault", hello.SetName)
	require.Len(t, hello.Hosts, 3)
	require.Equal(t, hello.Hosts[0], hello.Me)
	require.Equal(t, hello.Me, hello.Primary)
	require.True(t, hello.Writable)
	require.Positive(t, hello.MaxWire)
	require.Equal(t, 30, hello.Sessions)
	require.Nil(t, hello.Topology)
	before := hello.Election
	require.NoError(t, s.Elect(ctx(t), faultmongo.Election{Code: faultmongo.PrimarySteppedDown, Next: 3}))
	require.NoError(t, s.add(ctx(t)))
	ask()
	require.Equal(t, hello.Hosts[2], hello.Me)
	require.Greater(t, hello.Election.Hex(), before.Hex())
}

func TestSecondary_Refuses(t *testing.T) {
	s := newSet(t)
	direct, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + hosts(t, s)[1] + "/?directConnection=true"))
	require.NoError(t, err)
	defer direct.Disconnect(context.Background())
	coll := direct.Database("faults").Collection(t.Name())
	_, err = coll.InsertOne(ctx(t), bson.M{"_id": 2})
	requireCode(t, err, faultmongo.NotWritablePrimary, "RetryableWriteError")
	// A direct connection reads with primaryPreferred, which a secondary
	// accepts.
	require.NoError(t, coll.FindOne(ctx(t), bson.M{"_id": 1}).Err())
}

func hosts(t *testing.T, s *set) []string {
	t.Helper()
	var hello struct{ Hosts []string }
	require.NoError(t, s.coll.Database().RunCommand(ctx(t), bson.D{{Key: "hello", Value: 1}}).Decode(&hello))
	return hello.Hosts
}

func requireCode(t *testing.T, err error, code int32, labels ...string) {
	t.Helper()
	var monitored driver.Error // the first state in the monitor, later in the client
	if errors.As(err, &monitored) {
		err = mongo.CommandError{Code: monitored.Code, Name: monitored.Name, Labels: monitored.Labels}
	}
	var server mongo.ServerError
	require.ErrorAs(t, err, &server)
	require.True(t, server.HasErrorCode(int(code)), "%v", err)
	for _, label := range labels {
		require.True(t, server.HasErrorLabel(label), "%v", err)
	}
}

// A command in progress at the step-down has been applied although its reply is
// an error. The second attempt of the driver gets the first reply.
func TestElect_InterruptsWrite(t *testing.T) {
	for _, code := range []int32{
		faultmongo.NotWritablePrimary, faultmongo.InterruptedDueToReplStateChange,
		faultmongo.PrimarySteppedDown, faultmongo.ShutdownInProgress, 0,
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			s := newSet(t)
			slow := s.Inject(faultmongo.Fault{Kind: faultmongo.Trickle, For: 400 * time.Millisecond, Writes: true, Times: 1})
			done := make(chan error, 1)
			go func() { done <- s.add(ctx(t)) }()
			require.Eventually(t, func() bool { return slow.Hits() == 1 }, 5*time.Second, time.Millisecond)
			require.NoError(t, s.Elect(ctx(t), faultmongo.Election{Code: code, Gap: 20 * time.Millisecond, Down: code == 0}))
			require.NoError(t, <-done)
			require.Equal(t, 1, s.count(t))
		})
	}
}

func TestElect_SeenByMonitor(t *testing.T) {
	s := newSet(t)
	first := <-s.primary
	require.NoError(t, s.Elect(ctx(t), faultmongo.Election{Code: faultmongo.InterruptedDueToReplStateChange}))
	require.NoError(t, s.add(ctx(t)))
	started, failed := s.take()
	require.Equal(t, []string{"update", "update"}, started)
	require.Len(t, failed, 1)
	requireCode(t, failed[0], faultmongo.NotWritablePrimary, "RetryableWriteError")
	require.NotEqual(t, first, <-s.primary)
	require.Equal(t, 1, s.count(t))
}

func TestElect_GapWithoutPrimary(t *testing.T) {
	s := newSet(t)
	elected := make(chan error, 1)
	stop, cancel := context.WithCancel(context.Background())
	go func() {
		elected <- s.Elect(stop, faultmongo.Election{Code: faultmongo.ShutdownInProgress, Gap: time.Minute, Next: 2})
	}()
	require.Eventually(t, func() bool { return s.Primary() == 0 }, 5*time.Second, time.Millisecond)
	require.Error(t, s.add(within(t, 300*time.Millisecond)))
	_, failed := s.take()
	requireCode(t, failed[0], faultmongo.ShutdownInProgress, "RetryableWriteError")
	cancel()
	require.NoError(t, <-elected)
	require.Equal(t, 2, s.Primary())
	require.NoError(t, s.add(ctx(t)))
	require.Equal(t, 1, s.count(t))
}

func TestInject_Kinds(t *testing.T) {
	once := func(f faultmongo.Fault) faultmongo.Fault { f.Writes, f.Times = true, 1; return f }
	cases := []struct {
		name    string
		fault   faultmongo.Fault
		applied int   // with the second attempt of the driver
		tries   int   // sends of the driver
		code    int32 // code of the failure; 0 if it succeeded
	}{
		{"close before", once(faultmongo.Fault{Kind: faultmongo.CloseBefore}), 1, 2, 0},
		{"close after", once(faultmongo.Fault{Kind: faultmongo.CloseAfter}), 1, 2, 0},
		{"answer", once(faultmongo.Fault{Kind: faultmongo.Answer, Code: faultmongo.ShutdownInProgress}), 1, 2, faultmongo.ShutdownInProgress},
		{"unconfirmed 91", once(faultmongo.Fault{Kind: faultmongo.Unconfirmed, Code: faultmongo.ShutdownInProgress}), 1, 2, 0},
		{"trickle", once(faultmongo.Fault{Kind: faultmongo.Trickle, For: 50 * time.Millisecond}), 1, 1, 0},
		{"delay", once(faultmongo.Fault{Kind: faultmongo.Delay, For: 50 * time.Millisecond}), 1, 1, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newSet(t)
			began := time.Now()
			f := s.Inject(c.fault)
			require.NoError(t, s.add(ctx(t)))
			require.Equal(t, 1, f.Hits())
			require.GreaterOrEqual(t, time.Since(began), c.fault.For)
			started, failed := s.take()
			require.Len(t, started, c.tries)
			if c.code != 0 {
				requireCode(t, failed[0], c.code, "RetryableWriteError")
			}
			require.Equal(t, c.applied, s.count(t))
		})
	}
}

func TestInject_WriteConcernTimeout(t *testing.T) {
	s := newSet(t)
	s.Inject(faultmongo.Fault{Kind: faultmongo.Unconfirmed, Code: faultmongo.WriteConcernTimeout, Writes: true, Times: 1})
	err := s.add(ctx(t))
	var exception mongo.WriteException
	require.ErrorAs(t, err, &exception)
	require.Equal(t, int(faultmongo.WriteConcernTimeout), exception.WriteConcernError.Code)
	require.Equal(t, 1, s.count(t))
}

func TestInject_Silence(t *testing.T) {
	for kind, applied := range map[faultmongo.Kind]int{faultmongo.BlackHole: 0, faultmongo.DropReply: 1} {
		t.Run(kind.String(), func(t *testing.T) {
			s := newSet(t)
			s.Inject(faultmongo.Fault{Kind: kind, Writes: true})
			err := s.add(within(t, 200*time.Millisecond))
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, applied, s.count(t))
		})
	}
}

// A command that waits in the proxy is not applied after its client has given
// up.
func TestProxy_AbandonedCommandNotApplied(t *testing.T) {
	s := newSet(t)
	s.Inject(faultmongo.Fault{Kind: faultmongo.Delay, For: 300 * time.Millisecond, Writes: true, Times: 1})
	require.Error(t, s.add(within(t, 50*time.Millisecond)))
	s.Inject(faultmongo.Fault{Kind: faultmongo.Delay, For: 400 * time.Millisecond, Commands: []string{"find"}})
	require.Equal(t, 0, s.count(t))
}

func TestCut_OneView(t *testing.T) {
	s := newSet(t, "app", "other")
	other := s.client(t, "other", options.Client())
	require.NoError(t, other.Database().Client().Ping(ctx(t), nil))
	s.View("app").Cut()
	require.Error(t, s.add(within(t, 200*time.Millisecond)))
	_, err := other.InsertOne(ctx(t), bson.M{"_id": 2})
	require.NoError(t, err)
	s.View("app").Heal()
	require.NoError(t, s.add(ctx(t)))
	require.Equal(t, 1, s.count(t))
}

func TestRefuse(t *testing.T) {
	s := newSet(t)
	s.Refuse(0)
	require.Error(t, s.add(within(t, 300*time.Millisecond)))
	require.NoError(t, s.Restore(0))
	require.NoError(t, s.add(ctx(t)))
	require.Equal(t, 1, s.count(t))
}

// The seed decides which share of the commands a fault applies to, and the next
// primary.
func TestSeed_Repeats(t *testing.T) {
	run := func() (history string) {
		s := newSet(t)
		f := s.Inject(faultmongo.Fault{Kind: faultmongo.Answer, Code: faultmongo.WriteConcernTimeout, Writes: true, Share: 0.5})
		for range 20 {
			history += fmt.Sprint(s.add(ctx(t)) == nil, " ")
		}
		f.Remove()
		for range 5 {
			require.NoError(t, s.Elect(ctx(t), faultmongo.Election{Code: faultmongo.PrimarySteppedDown}))
			history += fmt.Sprint(s.Primary(), " ")
		}
		return history
	}
	require.Equal(t, run(), run())
}

func TestStart_NoServer(t *testing.T) {
	_, err := faultmongo.Start(faultmongo.Config{Backend: "127.0.0.1:1"})
	require.ErrorContains(t, err, "does not answer")
	require.False(t, errors.Is(err, context.Canceled))
}
