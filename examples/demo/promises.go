package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// The functions test promises by the responses to HTTP clients and by the documents in MongoDB.

func (c *checker) knownOnBoth(ctx context.Context) (string, error) {
	c.ann = c.newVisitor()
	signIn, err := c.ann.want(http.StatusSeeOther)(c.ann.post(ctx, "/sign-in", "user", "Ann"))
	if err != nil {
		return "", err
	}
	said, err := c.onBoth(ctx, c.ann)
	if err != nil {
		return "", err
	}
	for name, who := range said {
		if who.User != "Ann" {
			return "", fmt.Errorf("signed in on %s; %s takes Ann for %q", signIn.replica(), name, who.User)
		}
		if name != signIn.replica() {
			return fmt.Sprintf("in on %s, known on %s", signIn.replica(), name), nil
		}
	}
	return "", errors.New("only one replica answered")
}

func (c *checker) survivesKills(ctx context.Context) (string, error) {
	for _, item := range []string{"Bread", "Honey", "Bread"} {
		if _, err := c.ann.want(http.StatusSeeOther)(c.ann.post(ctx, "/cart", "item", item)); err != nil {
			return "", err
		}
	}
	before := c.pids()
	start := time.Now()
	if _, err := c.ann.want(http.StatusSeeOther)(c.ann.post(ctx, "/demo/kill", "replica", "both")); err != nil {
		return "", err
	}
	said, err := c.onBoth(ctx, c.ann)
	if err != nil {
		return "", err
	}
	took := time.Since(start)
	for name, pid := range c.pids() {
		if before[name] == pid {
			return "", fmt.Errorf("replica %s is the process %d as before", name, pid)
		}
	}
	for name, who := range said {
		if want := map[string]int{"Bread": 2, "Honey": 1}; who.User != "Ann" || !maps.Equal(who.Cart, want) {
			return "", fmt.Errorf("replica %s knows %q with the cart %v", name, who.User, who.Cart)
		}
	}
	return fmt.Sprintf("%d kills, %.1f s", len(before), took.Seconds()), nil
}

func (c *checker) countsExactly(ctx context.Context) (string, error) {
	const n = 400
	bob, err := c.signedIn(ctx, "Bob")
	if err != nil {
		return "", err
	}
	start := time.Now()
	answers, failed := together(n, http.StatusSeeOther, func(int) (answer, error) { return bob.post(ctx, "/count") })
	took := time.Since(start)
	who, _, err := bob.me(ctx)
	switch {
	case err != nil:
		return "", err
	case who.Count != n || failed != nil:
		return "", errors.Join(fmt.Errorf("the counter is %d", who.Count), failed)
	}
	return fmt.Sprintf("%d, %s, %.1f s", who.Count, byReplica(answers), took.Seconds()), nil
}

func (c *checker) keepsAllKeys(ctx context.Context) (string, error) {
	cleo, err := c.signedIn(ctx, "Cleo")
	if err != nil {
		return "", err
	}
	answers, err := together(checkNotes, http.StatusOK, func(i int) (answer, error) {
		return cleo.post(ctx, "/check/note", "number", fmt.Sprint(i), "text", fmt.Sprintf("text-%d", i))
	})
	if err != nil {
		return "", err
	}
	a, err := cleo.want(http.StatusOK)(cleo.get(ctx, "/check/notes"))
	if err != nil {
		return "", err
	}
	want := ""
	for i := range checkNotes {
		want += fmt.Sprintf("%d text-%d\n", i, i)
	}
	if string(a.body) != want {
		return "", fmt.Errorf("%d of %d are there", strings.Count(string(a.body), "\n"), checkNotes)
	}
	return fmt.Sprintf("%d, %s", checkNotes, byReplica(answers)), nil
}

func (c *checker) oldCookiesAreDead(ctx context.Context) (string, error) {
	v := c.newVisitor()
	steps := []struct {
		name, path string
		form       []string
	}{
		{"a first click", "/cart", []string{"item", "Tea"}},
		{"the sign-in", "/sign-in", []string{"user", "Dora"}},
		{"the renewal", "/renew", nil},
		{"the sign-out", "/sign-out", nil},
	}
	dead := 0
	for _, step := range steps {
		old := v.token()
		if old != "" {
			if who, _, err := c.replay(old).me(ctx); err != nil || who.Cart["Tea"] != 1 {
				return "", fmt.Errorf("the cookie before %s does not work before it: %v %v", step.name, who, err)
			}
		}
		if _, err := v.want(http.StatusSeeOther)(v.post(ctx, step.path, step.form...)); err != nil {
			return "", fmt.Errorf("%s: %w", step.name, err)
		}
		if v.token() == old {
			return "", fmt.Errorf("%s leaves the cookie as it was", step.name)
		}
		if old == "" {
			continue
		}
		if _, err := nobody(c.replay(old).me(ctx)); err != nil {
			return "", fmt.Errorf("the cookie before %s: %w", step.name, err)
		}
		dead++
	}
	return fmt.Sprintf("%d replayed, %d anonymous", dead, dead), nil
}

func (c *checker) badCookiesAreNobody(ctx context.Context) (string, error) {
	v, err := c.signedIn(ctx, "Emil")
	if err != nil {
		return "", err
	}
	good := v.token()
	// Changing each character separately would take 144 requests. Every seventh covers each part of the cookie.
	bad := []string{"x", strings.Repeat("A", 3000), good + "A", good[:len(good)/2], good[:len(good)-4], good[4:]}
	for i := 0; i < len(good); i += 7 {
		other := byte('A')
		if good[i] == other {
			other = 'B'
		}
		bad = append(bad, good[:i]+string(other)+good[i+1:])
	}
	for _, value := range bad {
		a, err := nobody(c.replay(value).me(ctx))
		switch {
		case err != nil:
			return "", fmt.Errorf("a forged or truncated cookie: %w", err)
		case len(a.ops()) > 0:
			return "", fmt.Errorf("a forged or truncated cookie costs %v", a.ops())
		case len(a.header["Set-Cookie"]) > 0:
			return "", errors.New("a forged or truncated cookie is answered with Set-Cookie")
		}
	}
	if err := somebody("Emil")(c.replay(good).me(ctx)); err != nil {
		return "", err
	}
	if _, err := v.want(http.StatusSeeOther)(v.post(ctx, "/sign-out")); err != nil {
		return "", err
	}
	a, err := nobody(c.replay(good).me(ctx))
	if err != nil {
		return "", fmt.Errorf("the stale cookie: %w", err)
	}
	if len(a.ops()) == 0 {
		return "", errors.New("the stale cookie cost no store operation: are they counted at all?")
	}
	return fmt.Sprintf("%d bad ones with 0 operations, the stale one with %d", len(bad), len(a.ops())), nil
}

func (c *checker) endsOtherDevices(ctx context.Context) (string, error) {
	const devices = 4
	var all []*visitor
	for range devices {
		v, err := c.signedIn(ctx, "Flora")
		if err != nil {
			return "", err
		}
		all = append(all, v)
	}
	this, others := all[0], all[1:]
	if _, err := this.want(http.StatusSeeOther)(this.post(ctx, "/devices/end-others")); err != nil {
		return "", err
	}
	for i, v := range others {
		if _, err := nobody(v.me(ctx)); err != nil {
			return "", fmt.Errorf("device %d: %w", i+2, err)
		}
	}
	return fmt.Sprintf("%d ended, 1 left", len(others)), somebody("Flora")(this.me(ctx))
}

func (c *checker) operatorEnds(ctx context.Context) (string, error) {
	v, err := c.signedIn(ctx, "Zoe")
	if err != nil {
		return "", err
	}
	operator := c.newVisitor()
	list, err := operator.want(http.StatusOK)(operator.get(ctx, "/console/A/user?name=Zoe"))
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(string(list.body), `name="id" value="`)
	id, _, ok := strings.Cut(rest, `"`)
	if !ok {
		return "", errors.New("the console does not list the session")
	}
	if _, err := operator.want(http.StatusForbidden)(operator.post(ctx, "/console/A/end", "id", id)); err != nil {
		return "", fmt.Errorf("a form from nowhere: %w", err)
	}
	operator.site = "same-origin"
	if _, err := operator.want(http.StatusSeeOther)(operator.post(ctx, "/console/A/end", "id", id)); err != nil {
		return "", err
	}
	all, err := c.onBoth(ctx, v)
	if err != nil {
		return "", err
	}
	for replica, who := range all {
		if who.User != "" {
			return "", fmt.Errorf("replica %s still knows %s", replica, who.User)
		}
	}
	a, err := operator.want(http.StatusOK)(operator.get(ctx, "/console/A/events"))
	if err == nil && !bytes.Contains(a.body, []byte("Session revoked")) {
		err = errors.New("the console has no event for it")
	}
	return "session " + id[:8], err
}

func (c *checker) signOutWins(ctx context.Context) (string, error) {
	v, err := c.signedIn(ctx, "Gus")
	if err != nil {
		return "", err
	}
	token := v.token()
	finish, err := c.replay(token).slow(ctx)
	if err != nil {
		return "", err
	}
	_, outErr := v.want(http.StatusSeeOther)(v.post(ctx, "/sign-out"))
	slow, err := finish()
	if err := errors.Join(outErr, err); err != nil {
		return "", err
	}
	if slow.status != http.StatusConflict {
		return "", fmt.Errorf("the slow request was answered %d, want %d", slow.status, http.StatusConflict)
	}
	if len(slow.header["Set-Cookie"]) > 0 {
		return "", errors.New("the slow request was answered with Set-Cookie")
	}
	_, replayed := nobody(c.replay(token).me(ctx))
	_, own := nobody(v.me(ctx))
	if err := errors.Join(replayed, own); err != nil {
		return "", err
	}
	left, err := c.collection.CountDocuments(ctx, bson.D{{Key: "user", Value: "Gus"}})
	if err != nil || left != 0 {
		return "", fmt.Errorf("%d documents of the user are left: %w", left, err)
	}
	return fmt.Sprintf("the slow one: %d; documents left: %d", slow.status, left), nil
}

func (c *checker) idleEnds(ctx context.Context) (string, error) {
	v, err := c.signedIn(ctx, "Hugo")
	if err != nil {
		return "", err
	}
	if _, err := v.want(http.StatusOK)(v.post(ctx, "/check/impatient")); err != nil {
		return "", err
	}
	// Each request extends the idle timeout. If the machine stood still for longer than the timeout, the session may
	// end.
	begin := time.Now()
	for last := begin; time.Since(begin) < 2*checkIdle; {
		asked := time.Now()
		if err := somebody("Hugo")(v.me(ctx)); err != nil && asked.Sub(last) < checkIdle*8/10 {
			return "", fmt.Errorf("in use for %v: %w", time.Since(begin), err)
		}
		last = asked
		if err := pause(ctx); err != nil {
			return "", err
		}
	}
	select {
	case <-time.After(checkIdle + checkIdle/10):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if _, err := nobody(v.me(ctx)); err != nil {
		return "", fmt.Errorf("idle for longer than %v: %w", checkIdle, err)
	}
	return fmt.Sprintf("timeout %v; in use for %v: there; idle for %v: gone", checkIdle, 2*checkIdle, checkIdle+checkIdle/10), nil
}

func (c *checker) visitsAreFree(ctx context.Context) (string, error) {
	const visits, atOnce = 1000, 20
	before, err := c.collection.CountDocuments(ctx, bson.D{})
	if err != nil {
		return "", err
	}
	var cookies, ops atomic.Int64
	_, err = together(atOnce, http.StatusOK, func(int) (a answer, err error) {
		for range visits / atOnce {
			if a, err = c.replay("").get(ctx, "/"); err != nil || a.status != http.StatusOK {
				return a, err
			}
			cookies.Add(int64(len(a.header["Set-Cookie"])))
			ops.Add(int64(len(a.ops())))
		}
		return a, nil
	})
	if err != nil {
		return "", err
	}
	after, err := c.collection.CountDocuments(ctx, bson.D{})
	if err != nil {
		return "", err
	}
	if after != before || cookies.Load() > 0 || ops.Load() > 0 {
		return "", fmt.Errorf("%d documents, %d Set-Cookie, %d store operations", after-before, cookies.Load(), ops.Load())
	}
	return fmt.Sprintf("%d documents, %d Set-Cookie, %d store operations", after-before, cookies.Load(), ops.Load()), nil
}

func (c *checker) cookieIsSafe(ctx context.Context) (string, error) {
	v := c.newVisitor()
	a, err := v.want(http.StatusSeeOther)(v.post(ctx, "/sign-in", "user", "Ida"))
	if err != nil {
		return "", err
	}
	lines := a.header["Set-Cookie"]
	if len(lines) != 1 {
		return "", fmt.Errorf("%d Set-Cookie, want 1", len(lines))
	}
	pair, attributes, _ := strings.Cut(lines[0], "; ")
	name, value, _ := strings.Cut(pair, "=")
	got := strings.Split(attributes, "; ")
	slices.Sort(got)
	want := []string{"HttpOnly", "Max-Age=2592000", "Path=/", "SameSite=Lax", "Secure"}
	if name != cookieName || !slices.Equal(got, want) {
		return "", fmt.Errorf("%s with %v, want %v", name, got, want)
	}
	return fmt.Sprintf("%d bytes; %s", len(name)+len(value), strings.Join(got, "; ")), nil
}

func (c *checker) survivesOutage(ctx context.Context) (string, error) {
	if c.s.gate == nil {
		return "", fmt.Errorf("%w: a database of several servers or with TLS cannot be put behind the gate", errNotTried)
	}
	for _, r := range c.s.replicas {
		r.restartWith(impatient)
	}
	if _, err := c.onBoth(ctx, c.ann); err != nil {
		return "", err
	}
	token := c.ann.token()
	c.s.gate.shut(outage)
	start := time.Now()
	a, err := c.ann.want(http.StatusServiceUnavailable)(c.ann.get(ctx, "/me"))
	took := time.Since(start)
	switch {
	case err != nil:
		return "", fmt.Errorf("while it is away: %w", err)
	case a.header.Get("Retry-After") == "" || len(a.header["Set-Cookie"]) > 0:
		return "", fmt.Errorf("while it is away: Retry-After %q, Set-Cookie %q", a.header.Get("Retry-After"), a.header["Set-Cookie"])
	}
	if _, err := c.onBoth(ctx, c.ann); err != nil {
		return "", err
	}
	back := time.Since(start)
	if err := somebody("Ann")(c.ann.me(ctx)); err != nil || c.ann.token() != token {
		return "", fmt.Errorf("afterwards: the cookie is the same: %v; %w", c.ann.token() == token, err)
	}
	return fmt.Sprintf("503 after %.1f s, back after %.1f s", took.Seconds(), back.Seconds()), nil
}
