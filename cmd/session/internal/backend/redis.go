package backend

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/redisstore"
)

// Redis is a Backend on redisstore.
type Redis struct {
	*redisstore.Store
	client redis.UniversalClient // for the commands that no store needs
	hosts  string
}

var _ Backend = (*Redis)(nil)

// OpenRedis connects to the server of a URL of redisstore. Its errors do not
// contain the password.
func OpenRedis(ctx context.Context, raw string, opts ...redisstore.Option) (*Redis, error) {
	logging.Disable() // of go-redis, which would log to the standard error
	store, err := redisstore.Open(ctx, raw, opts...)
	if err != nil {
		return nil, err
	}
	r := &Redis{Store: store}
	if r.client, r.hosts, err = redisClient(raw); err != nil {
		// The store has accepted the URL, so this does not happen.
		return nil, errors.Join(errors.New("the URL has a form that the command does not support"), store.Close(ctx))
	}
	return r, nil
}

// redisClient returns a client for the forms of a URL that redisstore accepts.
func redisClient(raw string) (redis.UniversalClient, string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, "", err
	}
	switch {
	case u.Query().Has("master_name"):
		o, err := redis.ParseFailoverURL(raw)
		if err != nil {
			return nil, "", err
		}
		return redis.NewFailoverClient(o), strings.Join(o.SentinelAddrs, ","), nil
	case u.Query().Has("addr"):
		o, err := redis.ParseClusterURL(raw)
		if err != nil {
			return nil, "", err
		}
		return redis.NewClusterClient(o), strings.Join(o.Addrs, ","), nil
	}
	o, err := redis.ParseURL(raw)
	if err != nil {
		return nil, "", err
	}
	return redis.NewClient(o), o.Addr, nil
}

// Close implements [Backend].
func (r *Redis) Close(ctx context.Context) error {
	return errors.Join(r.Store.Close(ctx), r.client.Close())
}

// Address implements [Backend].
func (r *Redis) Address() string { return r.hosts }

// Info returns the server's description of itself, by name. In a cluster it is the
// one of some node.
func (r *Redis) Info(ctx context.Context) (map[string]string, error) {
	text, err := r.client.Info(ctx).Result()
	if err != nil {
		return nil, err
	}
	info := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info, nil
}

// Time returns the server's clock.
func (r *Redis) Time(ctx context.Context) (time.Time, error) { return r.client.Time(ctx).Result() }

// Now implements [Backend].
func (r *Redis) Now(ctx context.Context) (time.Time, error) {
	now := time.Now()
	if t, err := r.Time(ctx); err == nil && t.Before(now) {
		now = t
	}
	return now, nil
}

// Each implements [Backend]. It has no markers, because the store does not list
// them. It loads each session for its size.
func (r *Redis) Each(ctx context.Context, f func(Entry) error) error {
	for info, err := range r.All(ctx, session.Filter{}) {
		if err != nil {
			return err
		}
		rec, err := r.Load(ctx, info.ID)
		if errors.Is(err, session.ErrNotFound) {
			continue // it has ended meanwhile
		}
		if err != nil {
			return err
		}
		if err := f(Entry{Info: rec.Info, Size: sizeOf(rec)}); err != nil {
			return err
		}
	}
	return nil
}

// sizeOf returns the size of the texts and values in a record. The server needs
// more memory for a key.
func sizeOf(rec *session.Record) int {
	n := len(rec.User) + len(rec.ClientIP) + len(rec.UserAgent) + len(rec.Verifier) + len(rec.Salt)
	for name, v := range rec.Values {
		n += len(name) + len(v.Data)
	}
	return n
}

// Estimate implements [Backend]. It counts the keys of the database, which has
// others too.
func (r *Redis) Estimate(ctx context.Context) (int64, error) { return r.client.DBSize(ctx).Result() }

// Count implements [Backend].
func (r *Redis) Count(ctx context.Context, now time.Time) (c Counts, err error) {
	for info, err := range r.All(ctx, session.Filter{}) {
		switch {
		case err != nil:
			return c, err
		case !info.ExpiresAt.After(now):
			c.Expired++
		case info.User != "":
			c.SignedIn++
		default:
			c.Anonymous++
		}
	}
	c.Sessions = c.SignedIn + c.Anonymous
	return c, nil
}

// Activity implements [Backend].
func (r *Redis) Activity(ctx context.Context, since, now time.Time) (a Activity, err error) {
	within := func(t time.Time) bool { return t.After(since) && !t.After(now) }
	for info, err := range r.All(ctx, session.Filter{}) {
		if err != nil {
			return a, err
		}
		for n, t := range map[*int64]time.Time{&a.Started: info.CreatedAt, &a.SignIns: info.SignedInAt, &a.Expired: info.ExpiresAt} {
			if within(t) {
				*n++
			}
		}
	}
	return a, nil
}

// selects reports whether a purge deletes a session.
func (p Purge) selects(i *session.Info) bool {
	if p.AnonymousUnseen.IsZero() {
		return i.ExpiresAt.Before(p.Expired)
	}
	return i.User == "" && i.LastSeenAt.Before(p.AnonymousUnseen)
}

// each calls f for each session that a purge deletes.
func (r *Redis) each(ctx context.Context, p Purge, f func(session.ID) error) error {
	if _, err := p.filter(); err != nil {
		return err
	}
	for info, err := range r.All(ctx, session.Filter{}) {
		if err != nil {
			return err
		}
		if p.selects(&info) {
			if err := f(info.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// Matches implements [Backend].
func (r *Redis) Matches(ctx context.Context, p Purge) (n int64, err error) {
	err = r.each(ctx, p, func(session.ID) error { n++; return nil })
	return n, err
}

// Purge implements [Backend].
func (r *Redis) Purge(ctx context.Context, p Purge, progress func(int64)) (done Purged, err error) {
	err = r.each(ctx, p, func(id session.ID) error {
		deleted, err := purgeOne(ctx, r, id, p)
		switch {
		case err != nil:
			return err
		case deleted:
			done.Deleted++
		default:
			done.Kept++
		}
		progress(done.Deleted + done.Kept)
		return nil
	})
	return done, err
}

// purgeOne deletes a session, unless it has been used. A Delete has no guard. So the
// session first gets a verifier without a secret, under a guard, and is then
// deleted.
func purgeOne(ctx context.Context, s session.Store, id session.ID, p Purge) (deleted bool, err error) {
	rec, err := s.Load(ctx, id)
	if errors.Is(err, session.ErrNotFound) {
		return false, nil
	}
	if err != nil || !p.selects(&rec.Info) {
		return false, err
	}
	nobody := make([]byte, len(rec.Verifier))
	rand.Read(nobody)
	err = s.Update(ctx, id, &session.Change{
		If: session.Guard{Verifier: rec.Verifier, SeenBefore: rec.LastSeenAt.Add(time.Millisecond)}, Verifier: nobody,
	})
	if errors.Is(err, session.ErrConflict) || errors.Is(err, session.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, s.Delete(ctx, id)
}

// Watch implements [Backend].
func (r *Redis) Watch(context.Context, func(Change) error) error {
	return errors.New("Redis does not report changes of sessions. Use the command top instead")
}
