package main

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session/express"
)

// ada has signed in at Express and has bread in the cart.
func (s *site) ada() *visitor {
	s.t.Helper()
	v := s.visitor()
	v.post("/express/cart?item=bread")
	v.post("/express/login?user=ada")
	return v
}

var withBread = state{User: "ada", Cart: []string{"bread"}}

// Each form in which connect-mongo stores a session is read and moved.
func TestForms_ReadAndMoved(t *testing.T) {
	for store, opts := range map[string][]express.MongoOption{
		"text": nil, "document": nil, "keywise": nil, "either": nil,
		"kruptein":  {express.WithKruptein("squirrel")},
		"webcrypto": {express.WithWebCrypto("squirrel", express.WebCrypto{})},
	} {
		t.Run(store, func(t *testing.T) {
			s := newSite(t, setup{store: store, mongo: opts})
			v := s.ada()
			require.Equal(t, withBread, v.state("express"))
			require.Equal(t, withBread, v.state("go"))
			s.retire()
			require.Equal(t, withBread, v.state("go"))
		})
	}
}

// A value that Go writes beside Express reaches Express.
func TestWrite_ReachesExpress(t *testing.T) {
	for _, store := range []string{"text", "document", "keywise"} {
		t.Run(store, func(t *testing.T) {
			s := newSite(t, setup{store: store})
			v := s.ada()
			v.post("/go/cart?item=tea")
			v.post("/express/cart?item=milk")
			want := state{User: "ada", Cart: []string{"bread", "tea", "milk"}}
			require.Equal(t, want, v.state("express"))
			require.Equal(t, want, v.state("go"))
		})
	}
}

// An anonymous visitor keeps the cart.
func TestMove_Anonymous(t *testing.T) {
	s := newSite(t, setup{store: "text"})
	v := s.visitor()
	v.post("/express/cart?item=bread")
	s.retire()
	require.Equal(t, state{Cart: []string{"bread"}}, v.state("go"))
}

// While 200 visitors send requests, the balancer gives them to Go. Nobody is signed out, and no item is lost.
func TestMove_UnderLoad(t *testing.T) {
	const visitors, rounds, parallel = 200, 4, 16
	s := newSite(t, setup{store: "text", options: []express.Option{express.WithRemovalDelay(0)}})
	s.route("shop", s.shop("express"))
	var moved sync.Once
	var served, signedOut, lost, failed atomic.Int64
	var wg sync.WaitGroup
	turn := make(chan struct{}, parallel)
	for n := range visitors {
		wg.Go(func() {
			v, want := s.visitor(), state{Cart: []string{}}
			if n%2 == 0 { // the others are anonymous
				want.User = fmt.Sprint("user", n)
				v.count(&failed, "/shop/login?user="+want.User)
			}
			for round := range rounds {
				turn <- struct{}{}
				want.Cart = append(want.Cart, fmt.Sprint("item", round))
				v.count(&failed, fmt.Sprint("/shop/cart?item=item", round))
				v.compare(want, &signedOut, &lost, &failed)
				<-turn
				if served.Add(1) >= visitors*rounds/2 {
					moved.Do(s.retire)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d visitors, %d requests: %d signed out, %d carts lost, %d requests failed",
		visitors, visitors*rounds*3, signedOut.Load(), lost.Load(), failed.Load())
	require.Zero(t, signedOut.Load())
	require.Zero(t, lost.Load())
	require.Zero(t, failed.Load())
}

// count sends a POST and counts it if it fails.
func (v *visitor) count(failed *atomic.Int64, path string) {
	if status, _, err := v.try(http.MethodPost, path); err != nil || status >= 300 {
		failed.Add(1)
	}
}

// compare loads two pages at the same time.
func (v *visitor) compare(want state, signedOut, lost, failed *atomic.Int64) {
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			got, err := v.tryState("shop")
			switch {
			case err != nil:
				failed.Add(1)
			case got.User != want.User:
				signedOut.Add(1)
			case !slices.Equal(got.Cart, want.Cart):
				lost.Add(1)
			}
		})
	}
	wg.Wait()
}

// The Express session and its cookie are removed after the browser has the new cookie.
func TestMove_RemovesTheOldSession(t *testing.T) {
	s := newSite(t, setup{store: "text", options: []express.Option{express.WithRemovalDelay(0)}})
	v := s.ada()
	s.retire()
	require.Equal(t, withBread, v.state("go"))
	require.Equal(t, 1, s.documents(), "the new cookie may not have arrived")
	require.Equal(t, withBread, v.state("go"))
	require.Zero(t, s.documents())
	require.Equal(t, []string{s.sessions.CookieName()}, v.cookies())
	require.Equal(t, withBread, v.state("go"))
}

// A visitor moves during a request of Express, which then stores the Express session again. Its change is lost, but the
// visitor stays signed in, and a sign-out ends the Express session too.
func TestMove_DuringARequestOfExpress(t *testing.T) {
	for _, store := range []string{"text", "keywise"} {
		t.Run(store, func(t *testing.T) {
			s := newSite(t, setup{store: store, options: []express.Option{express.WithRemovalDelay(0)}})
			v := s.ada()
			stolen := v.thief()
			s.retire()
			release := v.slow("late")
			for range 2 {
				require.Equal(t, withBread, v.state("go"))
			}
			require.Zero(t, s.documents())
			release()
			if store == "keywise" {
				require.Zero(t, s.documents())
			} else {
				require.Equal(t, 1, s.documents(), "connect-mongo stores it again")
			}
			require.Equal(t, withBread, v.state("go"))
			v.post("/go/logout")
			require.Zero(t, s.documents())
			for _, app := range []string{"go", "express"} {
				require.Empty(t, v.state(app).User, app)
				require.Empty(t, stolen.state(app).User, app)
			}
		})
	}
}

// With WithRollback a visitor can go back to Express, and a sign-out in Go ends the session there.
func TestRollback_BackToExpress(t *testing.T) {
	s := newSite(t, setup{store: "text", options: []express.Option{express.WithRollback(), express.WithRemovalDelay(0)}})
	v, other := s.ada(), s.ada()
	s.retire()
	for range 2 {
		require.Equal(t, withBread, v.state("go"))
		require.Equal(t, withBread, other.state("go"))
	}
	require.Equal(t, withBread, v.state("express"), "back at Express")
	require.Equal(t, withBread, v.state("go"), "and in Go again")

	stolen := other.thief()
	other.post("/go/logout")
	require.Empty(t, other.state("express").User)
	require.Empty(t, stolen.state("express").User, "the old cookie knows nobody")
	require.Empty(t, stolen.state("go").User)
}

// Express has a new secret. Visitors with a cookie by the old one move, and those with a new one.
func TestRotation_OfExpress(t *testing.T) {
	s := newSite(t, setup{store: "text", accepted: []string{"a newer secret"}})
	before := s.ada()
	s.route("express", proxyTo(startShop(t, s.db.Name(), setup{store: "text", secrets: []string{"a newer secret", secret}})))
	after := s.ada()
	require.Equal(t, withBread, before.state("express"))
	s.retire()
	require.Equal(t, withBread, before.state("go"))
	require.Equal(t, withBread, after.state("go"))
}

// A secret of Express that Go does not know yet harms no session.
func TestRotation_UnknownToGo(t *testing.T) {
	s := newSite(t, setup{store: "text", secrets: []string{"a newer secret", secret}})
	v := s.ada()
	require.Empty(t, v.state("go").User)
	require.Equal(t, withBread, v.state("express"))
	s.retire()
	require.Empty(t, v.state("go").User)
	next := newSite(t, setup{store: "text", accepted: []string{"a newer secret"}, db: s.db})
	s.route("go", instead(next.old, next.sessions))
	require.Equal(t, withBread, v.state("go"))
}

// Go has a new secret. Visitors who have moved stay.
func TestRotation_OfGo(t *testing.T) {
	s := newSite(t, setup{store: "text", options: []express.Option{express.WithRemovalDelay(0)}})
	v := s.ada()
	s.retire()
	for range 2 {
		require.Equal(t, withBread, v.state("go"))
	}
	next := newSite(t, setup{store: "text", goSecrets: []string{"a newer secret of the Go app, 32 bytes", goSecret}, db: s.db})
	s.route("go", instead(next.old, next.sessions))
	require.Equal(t, withBread, v.state("go"))
}

// connect-mongo stores a session again that Go has ended during a request of Express. Express knows it until Go sees it.
func TestEnd_SlowRequestOfConnectMongo(t *testing.T) {
	for _, store := range []string{"text", "document"} {
		t.Run(store, func(t *testing.T) {
			s := newSite(t, setup{store: store})
			v := s.ada()
			release := v.slow("slow")
			v.post("/go/logout")
			require.Zero(t, s.documents())
			release()
			require.Equal(t, 1, s.documents(), "connect-mongo stores it again")
			require.Equal(t, "ada", v.state("express").User, "and knows its user")
			require.Empty(t, v.state("go").User)
			require.Zero(t, s.documents(), "Go deletes it again")
			require.Empty(t, v.state("express").User)
		})
	}
}

// With KeywiseStore a sign-out on either side is final.
func TestEnd_SlowRequestOfKeywiseStore(t *testing.T) {
	for _, app := range []string{"go", "express"} {
		t.Run(app, func(t *testing.T) {
			s := newSite(t, setup{store: "keywise"})
			v := s.ada()
			stolen := v.thief()
			release := v.slow("slow")
			v.post("/" + app + "/logout")
			release()
			require.Zero(t, s.documents())
			status, _, err := stolen.try(http.MethodPost, "/go/set?key=late")
			require.NoError(t, err)
			assert.Equal(t, http.StatusConflict, status, "Go creates no session of Express")
			assert.Empty(t, stolen.state("express").User)
			assert.Empty(t, stolen.state("go").User)
			require.Zero(t, s.documents())
		})
	}
}

// 1,000 writes of different keys, 20 at a time, half of them by Go. The requests of Express have loaded the session
// before Go writes, and save it after that.
func TestWrites_OfBothLanguages(t *testing.T) {
	const writes, overlap = 1000, 20
	for store, lost := range map[string]int{"text": writes - writes/overlap, "document": writes - writes/overlap, "keywise": 0} {
		t.Run(store, func(t *testing.T) {
			s := newSite(t, setup{store: store})
			v := s.ada()
			for n := 0; n < writes; n += overlap {
				var keys []string
				for i := range overlap / 2 {
					keys = append(keys, fmt.Sprint("node", n+i))
				}
				release := v.slow(keys...)
				var wg sync.WaitGroup
				for i := range overlap / 2 {
					wg.Go(func() { v.post(fmt.Sprint("/go/set?key=go", n+i)) })
				}
				wg.Wait()
				release()
			}
			found := s.keys() - 2 // passport and cart
			t.Logf("%s: %d of %d writes lost", store, writes-found, writes)
			require.Equal(t, lost, writes-found)
			require.Equal(t, withBread, v.state("express"))
			require.Equal(t, withBread, v.state("go"))
		})
	}
}

// Go sets a property during a request of Express. If the request saves the session, connect-mongo drops the property.
func TestWrite_DuringARequestOfExpress(t *testing.T) {
	const reads, writes = "", "slow"
	for name, c := range map[string]struct {
		store, resave, request string
		kept                   bool
	}{
		"connect-mongo, a request that reads":                    {"text", "false", reads, true},
		"connect-mongo, a request that reads, resave":            {"text", "true", reads, false},
		"connect-mongo, a request that writes":                   {"text", "false", writes, false},
		"connect-mongo, stringify: false, a request that writes": {"document", "false", writes, false},
		"KeywiseStore, a request that reads":                     {"keywise", "false", reads, true},
		"KeywiseStore, a request that reads, resave":             {"keywise", "true", reads, true},
		"KeywiseStore, a request that writes":                    {"keywise", "false", writes, true},
		"KeywiseStore, a request that writes, resave":            {"keywise", "true", writes, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, setup{store: c.store, env: []string{"RESAVE=" + c.resave}})
			v := s.ada()
			release := v.slow(c.request)
			v.post("/go/cart?item=tea")
			release()
			require.Equal(t, c.kept, len(v.state("express").Cart) == 2)
		})
	}
}

// slow sends a request of Express for each key, which sets it unless it is empty. They have loaded the session when slow returns, and
// have ended when the returned function returns.
func (v *visitor) slow(keys ...string) (release func()) {
	v.site.t.Helper()
	var wg sync.WaitGroup
	for _, key := range keys {
		wg.Go(func() { _, _, _ = v.try(http.MethodPost, "/express/slow?set="+key) }) // Express may cut the connection
	}
	driver := v.site.visitor()
	driver.post(fmt.Sprint("/express/test/arrived?n=", len(keys)))
	release = sync.OnceFunc(func() {
		driver.post("/express/test/release")
		wg.Wait()
	})
	v.site.t.Cleanup(release) // the server waits for these requests
	return release
}

// keys returns the number of values of the only session.
func (s *site) keys() int {
	s.t.Helper()
	var doc struct{ Session bson.RawValue }
	require.NoError(s.t, s.db.Collection("sessions").FindOne(s.t.Context(), bson.D{}).Decode(&doc))
	var values bson.M
	if text, ok := doc.Session.StringValueOK(); ok {
		require.NoError(s.t, bson.UnmarshalExtJSON([]byte(text), false, &values))
	} else {
		require.NoError(s.t, doc.Session.Unmarshal(&values))
	}
	delete(values, "cookie")
	return len(values)
}
