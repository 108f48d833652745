package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// visitor is a browser that compares every response with the earlier ones. A
// change must be visible once it has been acknowledged. An unacknowledged
// change may be visible or not, until a response shows it.
type visitor struct {
	mu   sync.Mutex
	last []string // the last responses

	*client
	name string
	apps []string
	rng  *rand.Rand

	cookie  string
	known   *memory // nil if there is no session
	ghost   *memory // the session of an unacknowledged renewal
	fresh   *memory // a session that a sign-in may have started in place of known
	limbo   bool    // a change of token or a sign-out was not acknowledged
	dead    []string
	ended   []string // IDs of the sessions signed out of
	items   int
	done    map[string]int // acknowledged changes, by kind
	again   int            // number of sessions ended for the visitor by a renewal or sign-out without a response
	open    []time.Time    // times of Updates with ErrUncertain
	lately  int            // number of those applied after a read had not found them
	orphans int            // number of sign-ins without a response
}

const maxLate = 30 * time.Second

// memory is the visitor's knowledge of its session.
type memory struct {
	id        string
	users     []string   // possible users
	low, high int        // bounds of the counter
	carts     [][]string // possible carts
}

func newVisitor(c *client, name string, apps []string, seed uint64) *visitor {
	return &visitor{
		client: c, name: name, apps: apps, rng: rand.New(rand.NewPCG(seed, 1)), done: make(map[string]int),
	}
}

func (v *visitor) app() string { return v.apps[v.rng.IntN(len(v.apps))] }

func (v *visitor) send(method, path string) answer {
	a := v.ask(method, v.app(), path, v.cookie)
	if a.sets && a.cleared && (path != "/logout" || a.status != http.StatusOK) {
		v.wrong("%s: %s: %d cleared the cookie", v.name, path, a.status)
	}
	return a
}

// ask keeps the last responses, to explain a violated guarantee.
func (v *visitor) ask(method, app, path, cookie string) answer {
	a := v.client.ask(method, app, path, cookie)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last = append(v.last[max(0, len(v.last)-9):], fmt.Sprintf("%s %s %s: %d after %v: %.300s",
		a.began.Format("05.000"), app, path, a.status, a.took.Round(time.Millisecond), strings.TrimSpace(a.body)))
	return a
}

func (v *visitor) wrong(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.trace.wrong("%s\n      %s", fmt.Sprintf(format, args...), strings.Join(v.last, "\n      "))
}

// step does one random thing.
func (v *visitor) step() {
	switch n := v.rng.IntN(100); {
	case v.limbo || v.fresh != nil || n < 20:
		v.look()
	case v.known == nil && n < 30:
		v.replay()
	case v.known == nil && (n < 45 && v.ghost == nil && v.cookie == ""):
		v.addItem()
	case v.known == nil || !slices.Contains(v.known.users, v.name):
		v.signIn()
	case n < 45:
		v.addItem()
	case n < 65:
		v.count()
	case n < 72:
		v.devices()
	case n < 78:
		v.replay()
	case n < 84:
		v.otherDevice()
	case n < 88:
		v.renew()
	case n < 91:
		v.twice()
	case n < 94:
		v.signIn()
	default:
		v.signOut()
	}
}

// look reads the session and so resolves unknown outcomes.
func (v *visitor) look() {
	a := v.send("GET", "/me")
	switch {
	case a.status != http.StatusOK:
		if !a.failed() {
			v.wrong("%s: a read returned %d: %s", v.name, a.status, a.body)
		}
	case a.sets:
		v.wrong("%s: a read set a cookie", v.name)
	case v.known == nil:
		if a.ID != "" || a.User != "" {
			v.wrong("%s: has session %s (%q) after it had ended", v.name, a.ID, a.User)
		}
	case a.ID == "" && v.limbo:
		v.known, v.ghost, v.limbo = nil, v.known, false
		v.again++
	case a.ID == "":
		v.lose("anonymous")
	default:
		if v.fresh != nil && a.ID == v.fresh.id {
			v.known = v.fresh
		}
		v.fresh, v.limbo = nil, false
		v.compare(&a.state)
	}
}

func (v *visitor) lose(why string) {
	v.wrong("%s: session %s is lost: %s", v.name, v.known.id, why)
	v.known, v.cookie = nil, ""
}

// compare compares the session in a response with the visitor's knowledge.
func (v *visitor) compare(s *state) {
	k := v.known
	switch {
	case s.ID != k.id:
		v.wrong("%s: session %s has become %s", v.name, k.id, s.ID)
	case !slices.Contains(k.users, s.User):
		v.wrong("%s: the user is %q, want one of %q", v.name, s.User, k.users)
	case s.Count < k.low || s.Count > k.high+v.late(s.Count-k.high):
		v.wrong("%s: the counter is %d, want %d to %d", v.name, s.Count, k.low, k.high)
	case !slices.ContainsFunc(k.carts, func(c []string) bool { return slices.Equal(c, s.Cart) }):
		v.wrong("%s: the cart is %v, want one of %v", v.name, s.Cart, k.carts)
	}
	v.remember(s)
}

// late returns how many recent Updates with ErrUncertain may have been applied
// late: an overloaded server applies queued commands even if the client has
// gone. It counts the applied ones.
func (v *visitor) late(beyond int) int {
	v.open = slices.DeleteFunc(v.open, func(at time.Time) bool { return time.Since(at) > maxLate })
	n := min(max(beyond, 0), len(v.open))
	v.open = v.open[n:]
	v.lately += n
	return n
}

func (v *visitor) remember(s *state) {
	v.known = &memory{s.ID, []string{s.User}, s.Count, s.Count, [][]string{s.Cart}}
}

// refused judges a response that is neither a success nor a store error.
func (v *visitor) refused(what string, a answer) {
	switch {
	case a.failed():
	case v.ghost != nil && a.status == http.StatusConflict:
		// The token was superseded by a renewal without a response. The visitor
		// starts again without it.
		v.cookie, v.ghost, v.limbo, v.known = "", nil, false, nil
	default:
		v.wrong("%s: %s returned %d: %s", v.name, what, a.status, a.body)
	}
}

// addItem changes the cart with Set. A visitor without a session gets one.
func (v *visitor) addItem() {
	v.items++
	item := fmt.Sprintf("%s-%d", v.name, v.items)
	a := v.send("POST", query("/cart", "item", item))
	if a.status == http.StatusOK {
		v.done["change"]++
		v.settle(&a, func(k *memory) {
			for i, cart := range k.carts {
				k.carts[i] = with(cart, item)
			}
		})
		return
	}
	v.refused("a change", a)
	if v.known != nil {
		for _, cart := range slices.Clone(v.known.carts) {
			v.known.carts = append(v.known.carts, with(cart, item))
		}
	}
}

// with returns the cart as computed by the app.
func with(cart []string, item string) []string {
	next := append(slices.Clone(cart), item)
	return next[max(0, len(next)-8):]
}

// settle records an acknowledged change. The function expect applies the change
// to the visitor's knowledge.
func (v *visitor) settle(a *answer, expect func(*memory)) {
	if a.sets {
		if v.known != nil {
			v.dead = append(v.dead, v.cookie)
		}
		v.cookie = a.cookie
	}
	if v.known == nil {
		v.remember(&a.state)
		return
	}
	expect(v.known)
	v.compare(&a.state)
}

// count sends up to three concurrent Updates, to both replicas.
func (v *visitor) count() {
	var wg sync.WaitGroup
	answers := make([]answer, 1+v.rng.IntN(3))
	for i := range answers {
		app := v.app()
		wg.Go(func() { answers[i] = v.ask("POST", app, "/count", v.cookie) })
	}
	wg.Wait()
	k := v.known
	low := k.low
	for _, a := range answers {
		switch {
		case a.status == http.StatusOK:
			v.done["change"]++
			k.low++
			k.high++
		case a.uncertain:
			k.high++
			v.open = append(v.open, time.Now())
		default:
			v.refused("an Update", a)
		}
	}
	for _, a := range answers {
		if a.status != http.StatusOK {
			continue
		}
		k.high += v.late(a.Count - k.high)
		if a.Count <= low || a.Count > k.high || a.ID != k.id {
			v.wrong("%s: an Update returned %d in session %s, want %d to %d in %s", v.name, a.Count, a.ID, low+1, k.high, k.id)
		}
	}
}

func (v *visitor) devices() {
	a := v.send("GET", "/devices")
	if a.status != http.StatusOK {
		v.refused("the list of devices", a)
		return
	}
	if !slices.Contains(a.Devices, v.known.id) {
		v.wrong("%s: session %s is not in the list of devices", v.name, v.known.id)
	}
	for _, id := range v.ended {
		if slices.Contains(a.Devices, id) {
			v.wrong("%s: session %s is in the list of devices after its end", v.name, id)
		}
	}
}

// otherDevice signs in on another device, then ends all other sessions from
// this one.
func (v *visitor) otherDevice() {
	there := v.ask("POST", v.app(), query("/login", "user", v.name), "")
	v.orphans++ // until it is known to have ended
	here := v.send("POST", "/revoke")
	switch {
	case here.status != http.StatusOK:
		v.refused("a revocation", here)
	case there.status == http.StatusOK:
		v.done["sign-out"]++
		v.dead = append(v.dead, there.cookie)
		v.ended = append(v.ended, there.ID)
		v.compare(&here.state)
	}
}

func (v *visitor) renew() {
	a := v.send("POST", "/renew")
	if a.status != http.StatusOK {
		v.refused("a renewal", a)
		v.limbo = true
		return
	}
	if !a.sets {
		v.wrong("%s: a renewal set no cookie", v.name)
	}
	v.done["renewal"]++
	v.settle(&a, func(*memory) {})
}

// signIn starts a session, signs in to an anonymous session or renews the
// user's own session.
func (v *visitor) signIn() {
	a := v.send("POST", query("/login", "user", v.name))
	if a.status != http.StatusOK {
		v.refused("a sign-in", a)
		if v.known == nil {
			v.orphans++ // there may be a record without a client
			return
		}
		v.known.users = append(v.known.users, v.name)
		v.limbo = true
		return
	}
	if !a.sets {
		v.wrong("%s: a sign-in set no cookie", v.name)
	}
	v.done["sign-in"]++
	if v.known == nil && v.ghost != nil {
		v.rejoin(&a)
		return
	}
	v.settle(&a, func(k *memory) { k.users = []string{v.name} })
}

// twice sends two concurrent sign-ins over one session, which must get one
// token.
func (v *visitor) twice() {
	var wg sync.WaitGroup
	answers := make([]answer, 2)
	for i := range answers {
		app := v.app()
		wg.Go(func() { answers[i] = v.ask("POST", app, query("/login", "user", v.name), v.cookie) })
	}
	wg.Wait()
	var done []answer
	for _, a := range answers {
		if a.status == http.StatusOK {
			done = append(done, a)
		} else {
			v.refused("one of two sign-ins", a)
		}
	}
	if len(done) == 0 {
		v.limbo = true
		return
	}
	if len(done) == 2 && !bytes.Equal(tokenOf(done[0].cookie), tokenOf(done[1].cookie)) {
		v.wrong("%s: two sign-ins at once in session %s got two tokens", v.name, v.known.id)
	}
	v.done["sign-in"] += len(done)
	v.dead = append(v.dead, v.cookie)
	v.cookie = done[0].cookie
	v.fresh = v.known // a joining handler has not seen the session's data
}

// rejoin signs in with a token superseded by a renewal without a response. The
// visitor gets the renewed session. If the renewal is too old or the session
// has ended, it gets a new one. The next look shows which.
func (v *visitor) rejoin(a *answer) {
	v.cookie = a.cookie
	v.known, v.ghost = v.ghost, nil
	v.known.users = []string{v.name}
	v.fresh = v.known // the handler has not seen its data
	if a.ID != v.known.id {
		v.fresh = &memory{a.ID, v.known.users, a.Count, a.Count, [][]string{a.Cart}}
	}
}

func (v *visitor) signOut() {
	a := v.send("POST", "/logout")
	if a.status != http.StatusOK {
		v.refused("a sign-out", a)
		v.limbo = true
		return
	}
	if !a.cleared {
		v.wrong("%s: a sign-out left the cookie", v.name)
	}
	v.done["sign-out"]++
	v.dead = append(v.dead, v.cookie)
	v.ended = append(v.ended, v.known.id)
	v.cookie, v.known = "", nil
}

// replay presents a token from before a renewal or sign-out.
func (v *visitor) replay() {
	if len(v.dead) > 0 {
		v.replayOne(v.dead[v.rng.IntN(len(v.dead))])
	}
}

func (v *visitor) replayOne(cookie string) {
	a := v.ask("GET", v.app(), "/me", cookie)
	if a.status == http.StatusOK && (a.ID != "" || a.User != "" || a.sets) {
		v.wrong("%s: a dead token opens session %s (%q)", v.name, a.ID, a.User)
	}
}

// verify checks the guarantees at the end, when no faults happen.
func (v *visitor) verify() {
	for _, app := range v.apps {
		v.apps = []string{app}
		v.look()
	}
	for _, cookie := range v.dead {
		v.replayOne(cookie)
	}
}

// live repeats steps until stop is closed, with random pauses.
func (v *visitor) live(stop <-chan struct{}, thought time.Duration) {
	for {
		v.step()
		select {
		case <-stop:
			return
		case <-time.After(thought/2 + time.Duration(v.rng.Int64N(int64(thought)))):
		}
	}
}
