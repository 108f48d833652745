package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gorilla/securecookie"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session"
)

// siteOnNothing returns a cookie with a valid signature of another secret.
func siteOnNothing() (string, error) {
	token := make([]byte, 48)
	rand.Read(token)
	key := make([]byte, 32)
	rand.Read(key)
	return securecookie.New(key, nil).SetSerializer(securecookie.NopEncoder{}).Encode("session", token)
}

// proveAnonymous measures figure 5.
func proveAnonymous(ctx context.Context, r *run) error {
	return r.withSite(ctx, func(s *site) error {
		foreign, err := siteOnNothing()
		if err != nil {
			return err
		}
		bogus := base64.URLEncoding.EncodeToString([]byte("1|bm90aGluZw==|bogus"))
		var sets, bad atomic.Int64
		c := newClient(new(trace))
		n := r.size(100_000, 5_000)
		s.commands.Store(0)
		began := time.Now()
		parallel(n, 8, func(i int) {
			cookie := []string{"", "", "", bogus, foreign}[i%5]
			method, path := "GET", "/me"
			if i%7 > 3 {
				method, path = "POST", []string{"/logout", "/renew", "/logout"}[i%3]
			}
			a := c.ask(method, s.url, path, cookie)
			if !ok(a) {
				bad.Add(1)
			}
			// A sign-out deletes the cookie only if there was a session.
			if a.sets {
				sets.Add(1)
			}
		})
		took := rate(n, began)
		commands := s.commands.Load()
		docs, err := s.coll.CountDocuments(ctx, bson.D{})
		if err != nil {
			return err
		}
		r.say("%d anonymous requests (%.0f a second): %d documents, %d Set-Cookie, %d commands, %d without status 200", n, took, docs, sets.Load(), commands, bad.Load())
		f := new(failures)
		f.zero("documents", int(docs))
		f.zero("Set-Cookie", int(sets.Load()))
		f.zero("commands", int(commands))
		f.zero("requests without status 200", int(bad.Load()))
		return f.err()
	})
}

// proveReadOnly measures figure 6.
func proveReadOnly(ctx context.Context, r *run) error {
	return r.withSite(ctx, func(s *site) error {
		c := newClient(new(trace))
		in := c.ask("POST", s.url, "/login?user=ann", "")
		if !ok(in) {
			return fmt.Errorf("the sign-in returned %d: %s", in.status, in.body)
		}
		n := r.size(20_000, 2_000)
		s.commands.Store(0)
		s.finds.Store(0)
		var bad atomic.Int64
		parallel(n, 8, func(int) {
			if a := c.ask("GET", s.url, "/me", in.cookie); !ok(a) || a.ID != in.ID || a.sets {
				bad.Add(1)
			}
		})
		r.say("%d read-only requests inside the touch interval: %d finds, %d other commands", n, s.finds.Load(), s.commands.Load()-s.finds.Load())
		f := new(failures)
		f.zero("wrong responses", int(bad.Load()))
		f.zero("commands besides one find a request", int(s.commands.Load())-n)
		f.zero("requests without a find", n-int(s.finds.Load()))
		return f.err()
	})
}

// proveExpired measures figure 7. Nothing removes expired records here. It
// tests each timeout separately, by changed records and by the clock.
func proveExpired(ctx context.Context, r *run) error {
	const idle, lifetime = time.Hour, 24 * time.Hour
	return r.withSite(ctx, func(s *site) error {
		f := new(failures)
		if err := expireByRecord(ctx, r, s, f, idle, lifetime); err != nil {
			return err
		}
		if err := expireByClock(ctx, r, s, f); err != nil {
			return err
		}
		return f.err()
	}, session.WithIdleTimeout(idle), session.WithLifetime(lifetime))
}

// expireByRecord moves one of the times of each record into the past.
func expireByRecord(ctx context.Context, r *run, s *site, f *failures, idle, lifetime time.Duration) error {
	c := newClient(new(trace))
	kinds := []struct {
		name string
		set  func(now time.Time) bson.D
	}{
		{"expires", func(now time.Time) bson.D { return bson.D{{Key: "expires", Value: now}} }},
		{"deadline", func(now time.Time) bson.D { return bson.D{{Key: "deadline", Value: now}} }},
		{"idle timeout", func(now time.Time) bson.D { return bson.D{{Key: "seen", Value: now.Add(-idle)}} }},
		{"lifetime", func(now time.Time) bson.D {
			return bson.D{{Key: "created", Value: now.Add(-lifetime)}, {Key: "login", Value: now.Add(-lifetime)}}
		}},
	}
	n := r.size(4_000, 400)
	var accepted, kept atomic.Int64
	var failed atomic.Pointer[error]
	parallel(n, 8, func(i int) {
		in := c.ask("POST", s.url, "/login?user=ann", "")
		kind := kinds[i%len(kinds)]
		res, err := s.coll.UpdateByID(ctx, binaryID(in.ID), bson.D{{Key: "$set", Value: kind.set(time.Now())}})
		if err == nil && res.MatchedCount != 1 {
			err = fmt.Errorf("no record %s", in.ID)
		}
		if err != nil {
			failed.Store(&err)
			return
		}
		a := c.ask("GET", s.url, "/me", in.cookie)
		w := c.ask("POST", s.url, "/count", in.cookie)
		if !ok(a) || a.ID != "" || a.User != "" || w.ID == in.ID {
			accepted.Add(1)
		}
		if a.sets {
			kept.Add(1)
		}
	})
	if err := failed.Load(); err != nil {
		return *err
	}
	r.say("%d records after one of their timeouts, each used to read and to write: %d accepted, %d cookies set", n, accepted.Load(), kept.Load())
	f.zero("expired sessions accepted", int(accepted.Load()))
	f.zero("cookies of expired sessions set", int(kept.Load()))
	return nil
}

// expireByClock waits for the end of sessions with an idle timeout of one
// second. Some of them are touched for a while first.
func expireByClock(ctx context.Context, r *run, s *site, f *failures) error {
	t, err := siteOn(ctx, s.uri, newSecret(), session.WithIdleTimeout(time.Second), session.WithLifetime(time.Hour))
	if err != nil {
		return err
	}
	defer t.close()
	c := newClient(new(trace))
	n := r.size(1_000, 100)
	var accepted atomic.Int64
	parallel(n, n, func(i int) {
		in := c.ask("POST", t.url, "/login?user=ann", "")
		for range i % 4 {
			pause(ctx, 200*time.Millisecond)
			c.ask("GET", t.url, "/me", in.cookie)
		}
		pause(ctx, time.Second+time.Duration(i%50)*time.Millisecond)
		if a := c.ask("GET", t.url, "/me", in.cookie); a.status != http.StatusOK || a.ID != "" {
			accepted.Add(1)
		}
	})
	r.say("%d sessions of one second, presented 0 to 49 ms after their end: %d accepted", n, accepted.Load())
	f.zero("expired sessions accepted", int(accepted.Load()))
	return nil
}
