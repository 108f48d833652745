package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"log"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session/internal/devmongo/devserver"
)

// The store timeout of the app. With the short one, a person soon sees the loss of the database. The check needs the
// long one because the embedded database does one write at a time and many requests wait for it.
const (
	storeTimeoutVar = "DEMO_STORE_TIMEOUT"
	impatient       = storeTimeoutVar + "=2s"
	patient         = storeTimeoutVar + "=30s"
)

// restartDelay is the time for which a replica stays down after its end, long enough to be seen.
const restartDelay = time.Second

// supervisor owns the processes: the database, the gate in front of it, and the replicas. It starts a replica again
// when one ends.
type supervisor struct {
	server   devserver.Server
	name     string // name of the database of this run
	client   *mongo.Client
	database *process
	gate     *gate // nil if the server cannot be behind a gate
	replicas []*replica
	requests requestLog

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// startSupervisor returns when all processes run. The replicas reach the supervisor at url.
func startSupervisor(ctx context.Context, url string, check bool) (*supervisor, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &supervisor{name: "session_demo_" + strings.ToLower(rand.Text()[:8]), cancel: cancel}
	if err := s.start(ctx, url, check); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// start starts the processes in the order in which they depend on each other. If it returns an error, some may run.
func (s *supervisor) start(ctx context.Context, url string, check bool) (err error) {
	if s.database, err = startProcess(ctx, roleDatabase, &s.server); err != nil {
		return err
	}
	if s.client, err = mongo.Connect(options.Client().ApplyURI(s.server.URI)); err != nil {
		return err
	}
	uri, err := s.openGate()
	if err != nil {
		return err
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	env := []string{
		"MONGO_URI=" + uri,
		"SESSION_SECRET=" + base64.StdEncoding.EncodeToString(secret),
		"DEMO_DATABASE=" + s.name,
		"DEMO_URL=" + url,
		impatient,
	}
	if check {
		env = append(env, "DEMO_CHECK=1", patient)
	}
	for _, name := range []string{"A", "B"} {
		r := &replica{name: name, env: append(env[:len(env):len(env)], "DEMO_REPLICA="+name)}
		if err := r.start(ctx); err != nil {
			return err
		}
		s.replicas = append(s.replicas, r)
		s.wg.Go(func() { r.keepUp(ctx) })
	}
	return nil
}

// openGate opens the gate, if the server can be behind one, and returns the URI for the replicas.
func (s *supervisor) openGate() (string, error) {
	g, err := openGate(hostOf(s.server.URI))
	if err != nil {
		return "", err
	}
	uri, ok := gated(s.server.URI, g.addr())
	if !ok {
		g.close()
		return s.server.URI, nil
	}
	s.gate = g
	return uri, nil
}

// stop ends all processes in reverse order, and returns when they have ended.
func (s *supervisor) stop() {
	s.cancel()
	s.wg.Wait()
	for _, r := range s.replicas {
		r.stop()
	}
	if s.gate != nil {
		s.gate.close()
	}
	if s.client != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := s.client.Database(s.name).Drop(ctx); err != nil {
			log.Printf("the database %s was not dropped: %v", s.name, err)
		}
		_ = s.client.Disconnect(ctx)
	}
	if s.database != nil {
		s.database.stop()
	}
}

// replica is a process of the app, or its successor after a restart.
type replica struct {
	name string

	mu     sync.Mutex
	env    []string
	proc   *process
	addr   string // empty while the replica is down
	starts int
}

func (r *replica) start(ctx context.Context) error {
	r.mu.Lock()
	env := r.env
	r.mu.Unlock()
	var hello struct{ Addr string }
	p, err := startProcess(ctx, roleReplica, &hello, env...)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.proc, r.addr = p, hello.Addr
	r.starts++
	return nil
}

// keepUp starts the replica again whenever it has ended.
func (r *replica) keepUp(ctx context.Context) {
	for {
		select {
		case <-r.process().ended:
			r.down()
		case <-ctx.Done():
			return
		}
		for ok := false; !ok; {
			select {
			case <-time.After(restartDelay):
			case <-ctx.Done():
				return
			}
			ok = r.start(ctx) == nil // the replica has logged the error
		}
	}
}

func (r *replica) process() *process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.proc
}

func (r *replica) down() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addr = ""
}

// kill ends the replica with SIGKILL.
func (r *replica) kill() {
	r.down()
	r.process().kill()
}

// restartWith ends the replica and sets a variable in the environment of the next process.
func (r *replica) restartWith(variable string) {
	r.mu.Lock()
	r.env = append(r.env, variable)
	r.mu.Unlock()
	r.kill()
}

func (r *replica) stop() {
	r.down()
	r.process().stop()
}

// address returns the address of the replica, and reports whether it is up.
func (r *replica) address() (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addr, r.addr != ""
}
