package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/holdfast-go/session/internal/secrets"
)

// Open connects to the server of a URL, checks that it can be used, and returns the
// store. The store owns its connections, so call Close at the end. These are the
// forms of the URL, whose parameters are described by go-redis's [redis.ParseURL],
// [redis.ParseClusterURL] and [redis.ParseFailoverURL]:
//
//	redis://user:password@host:6379/0                              a server, or a node of a cluster
//	rediss://host:6379                                             the same with TLS
//	redis://host1:6379?addr=host2:6379&addr=host3:6379             nodes of a cluster
//	redis://sentinel1:26379?addr=sentinel2:26379&master_name=main  a primary found by Sentinel
//
// Open returns an error if the server does not reply within the URL's dial_timeout,
// 10 seconds by default. Errors name the hosts but never the password. Open logs a
// warning if the server may evict sessions.
func Open(ctx context.Context, url string, opts ...Option) (*Store, error) {
	c, err := configure(opts)
	target, terr := parseURL(url)
	if err := errors.Join(terr, err); err != nil {
		return nil, err
	}
	s := &Store{config: c, owned: true, url: url}
	s.connect(target)
	if err := s.setUp(ctx, target); err != nil {
		_ = s.client.Close()
		return nil, fmt.Errorf("redisstore: no usable server at %s: %s", target.hosts, secrets.Hide(err, url))
	}
	return s, nil
}

// New is like [Open] but uses an existing client. The caller remains responsible
// for closing it. New refuses a client that reads from replicas, and a [redis.Ring],
// because both return old records. The store's writes are not repeated although
// the client repeats other commands.
func New(ctx context.Context, client redis.UniversalClient, opts ...Option) (*Store, error) {
	c, err := configure(opts)
	if err := errors.Join(checkClient(client), err); err != nil {
		return nil, err
	}
	s := &Store{config: c, client: client}
	if err := s.setUp(ctx, target{timeout: openTimeout}); err != nil {
		return nil, fmt.Errorf("redisstore: no usable server: %s", secrets.Hide(err, ""))
	}
	return s, nil
}

// checkClient returns an error if a client cannot keep the contract of the store.
func checkClient(client redis.UniversalClient) error {
	switch client := client.(type) {
	case *redis.Client:
		if client != nil {
			return nil
		}
	case *redis.ClusterClient:
		if client == nil {
			break
		}
		if o := client.Options(); o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
			return errors.New("redisstore: New: the client reads from replicas, which return old records; leave out ReadOnly, RouteByLatency and RouteRandomly")
		}
		return nil
	case nil:
	default:
		return fmt.Errorf("redisstore: New: want a *redis.Client or a *redis.ClusterClient, not a %T", client)
	}
	return errors.New("redisstore: New: the client is nil")
}

// target is a parsed URL. Exactly one of the options is set, except that cluster
// is also set with single, for a server that turns out to be a node of a cluster.
type target struct {
	hosts    string
	timeout  time.Duration
	single   *redis.Options
	cluster  *redis.ClusterOptions
	failover *redis.FailoverOptions
}

// parseURL parses a URL. Its errors do not repeat secrets.
func parseURL(raw string) (target, error) {
	if strings.TrimSpace(raw) == "" {
		return target{}, errors.New("redisstore: the URL is empty (is the environment variable REDIS_URL set?); want redis://host:6379")
	}
	t, err := parseKind(raw)
	if err != nil {
		return target{}, fmt.Errorf("redisstore: the URL is malformed, want redis://user:password@host:6379/0: %s", secrets.Hide(err, raw))
	}
	if t.timeout <= 0 {
		t.timeout = openTimeout
	}
	return t, nil
}

func parseKind(raw string) (t target, err error) {
	u, err := url.Parse(raw)
	if err != nil {
		return t, err
	}
	if u.Host == "" && u.Scheme != "unix" {
		return t, errors.New("no host")
	}
	switch query := u.Query(); {
	case query.Has("master_name"):
		if t.failover, err = redis.ParseFailoverURL(raw); err == nil {
			o := t.failover
			o.MaxRetries, o.DialerRetries = -1, 1
			t.hosts, t.timeout = strings.Join(o.SentinelAddrs, ", ")+" (Sentinel)", o.DialTimeout
			if o.ReplicaOnly || o.RouteByLatency || o.RouteRandomly {
				err = errors.New("the URL makes the client read from replicas, which return old records")
			}
		}
	case query.Has("addr"):
		err = t.parseCluster(raw)
	default:
		if t.single, err = redis.ParseURL(raw); err == nil {
			o := t.single
			t.timeout = o.DialTimeout
			o.DialTimeout = cmp.Or(o.DialTimeout, defaultTimeout)
			o.MaxRetries, o.DialerRetries = -1, 1
			o.MaintNotificationsConfig = noNotifications
			t.hosts = o.Addr
			if u.Scheme != "unix" {
				_ = t.parseCluster(raw)
			}
		}
	}
	return t, err
}

func (t *target) parseCluster(raw string) error {
	o, err := redis.ParseClusterURL(raw)
	if err != nil {
		return err
	}
	o.MaxRetries, o.DialerRetries = -1, 1
	o.MaintNotificationsConfig = noNotifications
	t.hosts, t.timeout = strings.Join(o.Addrs, ", "), o.DialTimeout
	o.DialTimeout = cmp.Or(o.DialTimeout, defaultTimeout)
	if o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
		return errors.New("the URL makes the client read from replicas, which return old records")
	}
	t.cluster = o
	return nil
}

// noNotifications leaves out a command of Redis's cloud service at each connection.
var noNotifications = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}

// connect creates the client. It makes its connections interruptible, except with
// Sentinel, which the client asks with connections of its own.
func (s *Store) connect(t target) {
	switch {
	case t.failover != nil:
		s.client = redis.NewFailoverClient(t.failover)
	case t.single != nil:
		o := *t.single
		s.interruptible(o.ReadTimeout, o.WriteTimeout, func(i *interrupter) {
			o.Dialer, o.ContextTimeoutEnabled = i.dialer(o.DialTimeout, o.TLSConfig), true
		})
		s.client = redis.NewClient(&o)
	default:
		o := *t.cluster
		s.interruptible(o.ReadTimeout, o.WriteTimeout, func(i *interrupter) {
			o.Dialer, o.ContextTimeoutEnabled = i.dialer(o.DialTimeout, o.TLSConfig), true
		})
		s.client = redis.NewClusterClient(&o)
	}
}

// interruptible calls use with a new interrupter, if the client sets deadlines of
// its own. Zero stands for the client's default.
func (s *Store) interruptible(read, write time.Duration, use func(*interrupter)) {
	s.interrupter = nil
	if timeout := cmp.Or(read, defaultTimeout); timeout > 2*early && write >= 0 {
		s.interrupter = &interrupter{timeout: timeout, commands: map[*time.Location]*command{}}
		use(s.interrupter)
	}
}
