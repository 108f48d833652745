// Package stress checks the guarantees of the protocol on a real server.
// It runs concurrent clients over sockets against two processes of an app,
// first normally and then with a tenth of the database's replies to writes
// dropped.
//
// By default it runs a tenth of the rounds, and a hundredth with dropped
// replies. STRESS=full runs all.
//
// The tests of a store call the functions with its [Database]. They call [Serve]
// in TestMain.
package stress

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
)

// Database is a database for one call of the rounds.
type Database struct {
	// Target is passed to the function of [Serve].
	Target string
	// Store reads from the database without the loss of replies.
	Store session.Store
	// Figures returns the number of writes and of dropped replies to them. It is
	// nil if no replies are dropped.
	Figures func() (writes, dropped int)
}

// Starter starts a database. If lossy is true, the database drops a tenth of the
// replies to writes.
type Starter func(t *testing.T, lossy bool) Database

// rig is two processes and their database.
type rig struct {
	t *testing.T
	*client
	store  session.Store
	lossy  bool
	failed atomic.Int64 // number of repeated requests
}

// workers is the number of concurrent rounds. After a lost reply the driver
// waits up to half a second before it uses the server again. So with dropped
// replies it takes more rounds to keep the server busy.
func (r *rig) workers() int {
	if r.lossy {
		return 64
	}
	return 16
}

// each runs a test without and with dropped replies. size is the number of
// rounds in the full run.
func each(t *testing.T, database Starter, size int, test func(r *rig, n int)) {
	for _, lossy := range []bool{false, true} {
		name, n := "all replies", size/10
		if lossy {
			name, n = "a tenth of the replies dropped", size/100
		}
		if os.Getenv("STRESS") == "full" {
			n = size
		}
		t.Run(name, func(t *testing.T) {
			d := database(t, lossy)
			test(&rig{t: t, client: newClient(t, start(t, d.Target)), store: d.Store, lossy: lossy}, max(n, 10))
			if d.Figures != nil {
				writes, dropped := d.Figures()
				t.Logf("%d of %d replies to writes dropped", dropped, writes)
				require.NotZero(t, dropped)
			}
		})
	}
}

// parallel runs f(0) to f(n-1) with a limited number of goroutines and returns
// the number of failures. It reports the first failures as errors of the test.
func (r *rig) parallel(n, atOnce int, f func(i int) error) (failed int) {
	r.t.Helper()
	var wg sync.WaitGroup
	var next atomic.Int64
	errs := make([]error, n)
	for range min(n, atOnce) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				errs[i] = f(i)
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err == nil {
			continue
		}
		if failed++; failed <= 5 {
			r.t.Errorf("round %d: %v", i, err)
		}
	}
	return failed
}

// both sends requests at the same time, one to each process in turn.
func (r *rig) both(cookie string, paths ...string) ([]reply, error) {
	var wg sync.WaitGroup
	replies, errs := make([]reply, len(paths)), make([]error, len(paths))
	for i, path := range paths {
		wg.Go(func() { replies[i], errs[i] = r.ask(i, path, cookie) })
	}
	wg.Wait()
	return replies, errors.Join(errs...)
}

// until repeats a request while the store fails, because replies are dropped or
// the machine is too busy to respond in time.
func (r *rig) until(process int, path, cookie string) (got reply, err error) {
	for range 100 {
		got, err = r.ask(process, path, cookie)
		if err != nil || got.status != http.StatusServiceUnavailable {
			return got, err
		}
		r.failed.Add(1)
	}
	return got, fmt.Errorf("%s never succeeds", path)
}

// begin creates an anonymous session.
func (r *rig) begin(i int) (cookie string, id session.ID, err error) {
	got, err := r.until(i, "/set?key=start", "")
	if err == nil && (!got.ok() || got.cookie == "") {
		err = fmt.Errorf("no session was created: %+v", got)
	}
	return got.cookie, got.id, err
}

// SignOut ends sessions while other requests save, touch and
// renew them.
func SignOut(t *testing.T, database Starter) {
	each(t, database, 10_000, func(r *rig, n int) {
		var met, refused, spared atomic.Int64
		back := r.parallel(n, r.workers(), func(i int) error {
			cookie, id, err := r.begin(i)
			if err != nil {
				return err
			}
			paths := []string{"/destroy", "/set?key=late", "/renew", "/read", "/update", "/renew"}
			replies, err := r.both(cookie, rotate(paths, i)...)
			if err != nil {
				return err
			}
			cookies := []string{cookie}
			for _, got := range replies {
				if got.ok() && got.id == id {
					met.Add(1)
				}
				if got.cookie != "" && got.id == id {
					cookies = append(cookies, got.cookie)
				}
			}
			if destroyed := replies[at(paths, i, "/destroy")]; !destroyed.ok() {
				// If a renewal came first, the client receives an error and signs
				// out with the new cookie.
				refused.Add(1)
				if ended, err := r.destroy(i, cookies); err != nil || !ended {
					spared.Add(1)
					return err
				}
			}
			return r.gone(i, id, cookies)
		})
		r.t.Logf("%d rounds, %d of %d other requests acted on the session before its end; %d ended by a second SignOut, %d not at all, %d requests repeated: %d restored sessions",
			n, met.Load(), 5*n, refused.Load()-spared.Load(), spared.Load(), r.failed.Load(), back)
	})
}

// rotate lets each path be first in its turn.
func rotate(paths []string, by int) []string {
	var turned []string
	for i := range paths {
		turned = append(turned, paths[(i+by)%len(paths)])
	}
	return turned
}

func at(paths []string, by int, path string) int {
	for i, p := range rotate(paths, by) {
		if p == path {
			return i
		}
	}
	return -1
}

// destroy signs out with the current cookie of the session, and reports whether
// there was one. If all renewals returned an error, no client has their token.
func (r *rig) destroy(i int, cookies []string) (ended bool, err error) {
	for _, c := range cookies {
		got, err := r.until(i, "/destroy", c)
		if err != nil {
			return false, err
		}
		ended = ended || got.ok()
	}
	return ended, nil
}

// gone fails if a record or a cookie of an ended session is left. A request
// after the end may have started another session, with its own cookie.
func (r *rig) gone(i int, id session.ID, cookies []string) error {
	for _, c := range cookies {
		got, err := r.until(i, "/read", c)
		if err != nil {
			return err
		}
		if !got.ok() || got.id == id {
			return fmt.Errorf("a cookie opens the ended session %v (%d)", id, got.status)
		}
	}
	if _, err := r.store.Load(context.Background(), id); !errors.Is(err, session.ErrNotFound) {
		return fmt.Errorf("the ended session %v is in the database: %v", id, err)
	}
	return nil
}

// Set writes different keys of one session concurrently.
func Set(t *testing.T, database Starter) {
	each(t, database, 1_000, func(r *rig, n int) {
		cookie, id, err := r.begin(0)
		require.NoError(r.t, err)
		var acknowledged atomic.Int64
		keys := make([]bool, n)
		r.parallel(n, n, func(i int) error {
			got, err := r.ask(i, fmt.Sprintf("/set?key=k.%d", i), cookie)
			keys[i] = got.ok()
			if got.ok() {
				acknowledged.Add(1)
			} else if err == nil && !r.lossy {
				return fmt.Errorf("status %d", got.status)
			}
			return err
		})
		rec, err := r.store.Load(context.Background(), id)
		require.NoError(r.t, err)
		lost := 0
		for i, ok := range keys {
			if _, there := rec.Values[fmt.Sprintf("k.%d", i)]; ok && !there {
				lost++
			}
		}
		require.Zero(r.t, lost, "acknowledged keys are lost")
		r.t.Logf("%d writes of distinct keys, %d acknowledged: %d lost", n, acknowledged.Load(), lost)
	})
}

// Update counts in one value concurrently.
func Update(t *testing.T, database Starter) {
	each(t, database, 1_000, func(r *rig, n int) {
		cookie, _, err := r.begin(0)
		require.NoError(r.t, err)
		var acknowledged, unsure, told atomic.Int64
		r.parallel(n, n, func(i int) error {
			got, err := r.ask(i, "/update", cookie)
			switch {
			case err != nil:
			case got.ok():
				acknowledged.Add(1)
			case got.uncertain:
				unsure.Add(1)
			default:
				told.Add(1)
			}
			return err
		})
		got, err := r.until(0, "/read", cookie)
		require.NoError(r.t, err)
		least, most := acknowledged.Load(), acknowledged.Load()+unsure.Load()
		require.GreaterOrEqual(r.t, int64(got.count), least, "an acknowledged Update is lost")
		require.LessOrEqual(r.t, int64(got.count), most, "an Update was applied twice, or denied though applied")
		if !r.lossy {
			require.Zero(r.t, unsure.Load())
		}
		r.t.Logf("%d Updates: %d acknowledged, %d with ErrUncertain, %d refused; the count is %d",
			n, acknowledged.Load(), unsure.Load(), told.Load(), got.count)
	})
}

// SignIn signs in twice at the same time over one anonymous
// session.
func SignIn(t *testing.T, database Starter) {
	each(t, database, 200, func(r *rig, n int) {
		var agreed, told atomic.Int64
		r.parallel(n, r.workers(), func(i int) error {
			cookie, id, err := r.begin(i)
			if err != nil {
				return err
			}
			path := fmt.Sprintf("/login?user=user-%d", i)
			replies, err := r.both(cookie, path, path)
			if err != nil {
				return err
			}
			both := 0
			for _, got := range replies {
				if !got.ok() {
					told.Add(1)
					if !r.lossy {
						return fmt.Errorf("status %d", got.status)
					}
					continue
				}
				both++
				// A record has one verifier. If both cookies open it, they contain
				// the same token.
				seen, err := r.until(i, "/read", got.cookie)
				if err != nil || seen.id != id || seen.user != fmt.Sprintf("user-%d", i) {
					return fmt.Errorf("the cookie of a sign-in opens %v of %q: %w", seen.id, seen.user, err)
				}
			}
			if both == 2 {
				agreed.Add(1)
			}
			if seen, err := r.until(i, "/read", cookie); err != nil || both > 0 && !seen.id.IsZero() {
				return fmt.Errorf("the cookie before the sign-in opens %v: %w", seen.id, err)
			}
			return nil
		})
		r.t.Logf("%d double sign-ins: %d with one token for both, %d requests with an error", n, agreed.Load(), told.Load())
	})
}
