package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
)

// promiseTimeout is longer than any promise takes on a slow machine.
const promiseTimeout = time.Minute

// checker tests the promises with HTTP clients.
type checker struct {
	url        string
	s          *supervisor
	transport  *http.Transport
	collection *mongo.Collection

	ann *visitor // signed in by the first promise
}

// promise is one line of the check.
type promise struct {
	text string
	keep func(*checker, context.Context) (figure string, err error)
}

var promises = []promise{
	{"signed in on one replica, known on the other", (*checker).knownOnBoth},
	{"both replicas killed with SIGKILL and restarted: still signed in, cart unchanged", (*checker).survivesKills},
	{"400 concurrent increments through both replicas: the counter is exactly 400", (*checker).countsExactly},
	{"50 concurrent requests that set 50 different keys: all there", (*checker).keepsAllKeys},
	{"the cookies from before a sign-in, a renewal and a sign-out: anonymous", (*checker).oldCookiesAreDead},
	{"forged, truncated and stale cookies: anonymous, the first two without a store operation", (*checker).badCookiesAreNobody},
	{"other devices ended: they are anonymous, this one is not", (*checker).endsOtherDevices},
	{"the operator ends a session in the console: its visitor is signed out on both replicas", (*checker).operatorEnds},
	{"a sign-out against a slow request that saves: stays signed out, the slow one is told so", (*checker).signOutWins},
	{"an idle session is gone, one in use is not", (*checker).idleEnds},
	{"1,000 visits by visitors who store nothing: no document, no Set-Cookie", (*checker).visitsAreFree},
	{"the cookie is " + cookieName + " with Secure, HttpOnly, SameSite=Lax, Path=/, 30 days, no Domain", (*checker).cookieIsSafe},
	{"the database away for five seconds: 503 and Retry-After, no cookie touched, then still signed in", (*checker).survivesOutage},
}

var (
	errBroken   = errors.New("a promise is broken")
	errNotTried = errors.New("not tried")
)

// runCheck prints a line for each promise. It returns an error if a promise was broken; the lines say which.
func runCheck(ctx context.Context, url string, s *supervisor) error {
	c := &checker{
		url: url, s: s,
		transport:  &http.Transport{MaxIdleConnsPerHost: 512},
		collection: s.client.Database(s.name).Collection("http_sessions"),
	}
	defer c.transport.CloseIdleConnections()
	fmt.Printf("checking on %s\n", s.server.Engine)
	start := time.Now()
	held, broken := 0, 0
	for _, p := range promises {
		figure, err := c.keep(ctx, p)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("%w at: %s", errInterrupted, p.text)
		case errors.Is(err, errNotTried):
			fmt.Printf("skip %s: %v\n", p.text, err)
		case err != nil:
			broken++
			fmt.Printf("FAIL %s: %v\n", p.text, err)
		default:
			held++
			fmt.Printf("ok   %s (%s)\n", p.text, figure)
		}
	}
	fmt.Printf("%d of %d promises held, %.1f s\n", held, len(promises), time.Since(start).Seconds())
	if broken > 0 {
		return errBroken
	}
	return nil
}

// keep tests a promise within promiseTimeout.
func (c *checker) keep(ctx context.Context, p promise) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, promiseTimeout)
	defer cancel()
	return p.keep(c, ctx)
}

// onBoth sends requests until both replicas have responded, and returns the response of each. It retries while a
// replica is down.
func (c *checker) onBoth(ctx context.Context, v *visitor) (map[string]whoami, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	said := make(map[string]whoami)
	for {
		who, a, err := v.me(ctx)
		down := a.status == http.StatusServiceUnavailable || a.status == http.StatusBadGateway
		if err != nil && !down {
			return said, err
		}
		if err == nil {
			said[who.Replica] = who
		}
		if len(said) == len(c.s.replicas) {
			return said, nil
		}
		if err := pause(ctx); err != nil {
			return said, fmt.Errorf("only %d of %d replicas answered: %w", len(said), len(c.s.replicas), err)
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-time.After(20 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *checker) pids() map[string]int {
	pids := make(map[string]int)
	for _, r := range c.s.replicas {
		pids[r.name] = r.process().pid()
	}
	return pids
}

// together runs f n times at once and returns the responses. It returns an error if a response has another status.
func together(n, status int, f func(i int) (answer, error)) ([]answer, error) {
	answers, errs := make([]answer, n), make([]error, n)
	var wg sync.WaitGroup
	gun := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gun
			answers[i], errs[i] = f(i)
			if errs[i] == nil && answers[i].status != status {
				errs[i] = fmt.Errorf("answered %d, want %d", answers[i].status, status)
			}
		})
	}
	close(gun)
	wg.Wait()
	failed := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(failed) > 0 {
		return answers, fmt.Errorf("%d of %d requests failed, the first: %w", len(failed), n, failed[0])
	}
	return answers, nil
}

func byReplica(answers []answer) string {
	n := make(map[string]int)
	for _, a := range answers {
		n[a.replica()]++
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, fmt.Sprintf("%d by %s", n[name], name))
	}
	return strings.Join(parts, ", ")
}

// nobody returns an error if a visitor is signed in or has values in the session.
func nobody(who whoami, a answer, err error) (answer, error) {
	if err == nil && (who.User != "" || who.Count != 0 || len(who.Cart) > 0) {
		err = fmt.Errorf("it opens the session of %q with the count %d and the cart %v", who.User, who.Count, who.Cart)
	}
	return a, err
}

func somebody(user string) func(who whoami, a answer, err error) error {
	return func(who whoami, a answer, err error) error {
		if err == nil && who.User != user {
			err = fmt.Errorf("%s is %q", user, who.User)
		}
		return err
	}
}
