package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session"
)

// version is one deploy of the app, with its signing secret and its accepted
// secrets.
type version struct {
	name, secret string
	accepted     []string
	idle         time.Duration
}

// proveRotation measures figure 8. Replicas of two versions serve the same
// visitors at the same time, through three deploys and back by one.
func proveRotation(ctx context.Context, r *run) error {
	server, err := r.server("--standalone")
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	before, after := newSecret(), newSecret()
	deploys := []version{
		{"only the old secret", before, nil, 14 * 24 * time.Hour},
		{"old, accepts new", before, []string{after}, 14 * 24 * time.Hour},
		{"new, accepts old", after, []string{before}, 7 * 24 * time.Hour},
	}
	back := slices.Clone(deploys)
	slices.Reverse(back)
	f := new(failures)
	p := &rollout{run: r, uri: server.URI, failures: f}
	if err := p.sites(ctx, deploys); err != nil {
		return err
	}
	defer p.close()
	p.enrol(r.size(500, 50))
	for round, path := range [][]version{deploys, back[:2]} {
		for i := range len(path) - 1 {
			if err := p.overlap(ctx, path[i].name, path[i+1].name); err != nil {
				return err
			}
		}
		r.say("%s: %d requests so far, %d forced sign-outs", []string{"forward", "and back by one"}[round], p.requests.Load(), p.lost.Load())
	}
	if err := p.drop(ctx, server.URI, after); err != nil {
		return err
	}
	f.zero("forced sign-outs", int(p.lost.Load()))
	return f.err()
}

// rollout contains the visitors during the deploys.
type rollout struct {
	*run
	uri   string
	sited map[string]*site
	users []*citizen
	*failures
	requests, lost atomic.Int64
	mu             sync.Mutex
}

// citizen is a visitor who never signs out.
type citizen struct {
	client           *client
	name, id, cookie string
	count            int
}

func (p *rollout) sites(ctx context.Context, deploys []version) error {
	p.sited = make(map[string]*site)
	for _, v := range deploys {
		s, err := siteOn(ctx, p.uri, v.secret, session.WithAcceptedSecrets(v.accepted...), session.WithIdleTimeout(v.idle))
		if err != nil {
			return err
		}
		p.sited[v.name] = s
	}
	return nil
}

func (p *rollout) close() {
	for _, s := range p.sited {
		s.close()
	}
}

// enrol creates the visitors. They sign in at the first site they use.
func (p *rollout) enrol(n int) {
	c := newClient(new(trace))
	for i := range n {
		p.users = append(p.users, &citizen{client: c, name: fmt.Sprintf("u%d", i)})
	}
}

// overlap runs replicas of two versions at the same time, like a rolling
// deploy. Each request reaches one of them.
func (p *rollout) overlap(ctx context.Context, from, to string) error {
	sites := []*site{p.sited[from], p.sited[to]}
	// Fields written by a later version stay.
	if err := p.foreign(ctx, sites[0]); err != nil {
		return err
	}
	parallel(len(p.users), 8, func(i int) {
		u := p.users[i]
		for step := range 6 {
			p.visit(u, sites[(i+step)%2], step+i)
		}
	})
	return p.checkForeign(ctx, sites[0])
}

func (p *rollout) visit(u *citizen, s *site, step int) {
	path := []string{"/count", "/renew", query("/login", "user", u.name), "/count"}[step%4]
	if u.cookie == "" {
		path = query("/login", "user", u.name)
	}
	a := u.client.ask("POST", s.url, path, u.cookie)
	p.requests.Add(1)
	if path == "/count" {
		u.count++
	}
	if !ok(a) || a.User != u.name || a.Count != u.count || u.id != "" && a.ID != u.id {
		p.lost.Add(1)
		p.mu.Lock()
		p.add("%s at %s: %d, session %s (%q), counter %d; was %s, %d", path, s.url, a.status, a.ID, a.User, a.Count, u.id, u.count)
		p.mu.Unlock()
	}
	u.id = a.ID
	if a.sets {
		u.cookie = a.cookie
	}
}

// foreign adds fields of a later version to half of the records.
func (p *rollout) foreign(ctx context.Context, s *site) error {
	for i, u := range p.users {
		if u.id == "" || i%2 == 0 {
			continue
		}
		_, err := s.coll.UpdateByID(ctx, binaryID(u.id), bson.D{{Key: "$set", Value: bson.D{
			{Key: "later", Value: bson.D{{Key: "a", Value: 1}}},
			{Key: "data.later", Value: bson.D{{Key: "v", Value: `"kept"`}, {Key: "n", Value: int64(5)}, {Key: "x", Value: true}}},
		}}})
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *rollout) checkForeign(ctx context.Context, s *site) error {
	marked, err := s.coll.CountDocuments(ctx, bson.D{{Key: "later", Value: bson.D{{Key: "$exists", Value: true}}}})
	if err != nil {
		return err
	}
	whole, err := s.coll.CountDocuments(ctx, bson.D{{Key: "later.a", Value: 1}, {Key: "data.later.x", Value: true}})
	if err != nil {
		return err
	}
	if whole != marked {
		p.add("%d of %d records lost fields of a later version", marked-whole, marked)
	}
	return nil
}

// drop is the third deploy of a rotation. All old cookies have been renewed,
// and the old secret is no longer accepted.
func (p *rollout) drop(ctx context.Context, uri, secret string) error {
	last := p.sited["new, accepts old"]
	for _, u := range p.users {
		p.visit(u, last, 1)
	}
	s, err := siteOn(ctx, uri, secret)
	if err != nil {
		return err
	}
	defer s.close()
	for _, u := range p.users {
		p.visit(u, s, 0)
	}
	p.say("the old secret dropped: %d requests in all, %d forced sign-outs", p.requests.Load(), p.lost.Load())
	return nil
}
