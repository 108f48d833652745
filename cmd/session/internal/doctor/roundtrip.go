package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-go/session"
)

// slow is a 95th percentile at which visitors notice the store.
const slow = 250 * time.Millisecond

// operations are the steps of a round trip.
var operations = []string{"insert", "read", "update", "delete"}

// latency is the latency of an operation in milliseconds.
type latency struct {
	P50 float64 `json:"p50Milliseconds"`
	P95 float64 `json:"p95Milliseconds"`
}

func (e *probes) roundTrip(ctx context.Context) []Finding {
	step := e.Progress("round trips", e.Rounds)
	took := map[string][]time.Duration{}
	for range e.Rounds {
		if err := e.oneRound(ctx, took); err != nil {
			return []Finding{failure("Find the cause of this error. The app's sessions fail in the same way.", "a probe session failed: %s", oneLine(err))}
		}
		step()
	}
	return []Finding{judgeLatencies(took, e.Rounds)}
}

// oneRound inserts, reads, updates and deletes a probe session.
func (e *probes) oneRound(ctx context.Context, took map[string][]time.Duration) (err error) {
	probe := newProbe()
	timed := func(operation string, f func() error) error {
		begin := time.Now()
		if err := f(); err != nil {
			return fmt.Errorf("%s: %w", operation, err)
		}
		took[operation] = append(took[operation], time.Since(begin))
		return nil
	}
	defer func() {
		if rerr := e.remove(ctx, probe.ID); rerr != nil {
			err = errors.Join(err, fmt.Errorf("delete: %w", rerr))
		}
	}()
	if err := timed("insert", func() error { return e.store.Insert(ctx, probe) }); err != nil {
		return err
	}
	err = timed("read", func() error {
		found, err := e.store.Load(ctx, probe.ID)
		if err == nil && !bytes.Equal(found.Verifier, probe.Verifier) {
			err = errors.New("the server returned another record")
		}
		return err
	})
	if err != nil {
		return err
	}
	change := &session.Change{
		If:  session.Guard{Verifier: probe.Verifier, Versions: map[string]int64{probeKey: 1}},
		Set: map[string]session.Value{probeKey: {Data: []byte("2"), Version: 2}},
	}
	if err := timed("update", func() error { return e.store.Update(ctx, probe.ID, change) }); err != nil {
		return err
	}
	return timed("delete", func() error { return e.store.Delete(ctx, probe.ID) })
}

// judgeLatencies returns the finding about the durations of the operations.
func judgeLatencies(took map[string][]time.Duration, rounds int) Finding {
	data := map[string]latency{}
	var texts, slowest []string
	for _, name := range operations {
		p50, p95 := percentile(took[name], 50), percentile(took[name], 95)
		data[name] = latency{milliseconds(p50), milliseconds(p95)}
		texts = append(texts, fmt.Sprintf("%s %.1f/%.1f ms", name, milliseconds(p50), milliseconds(p95)))
		if p95 > slow {
			slowest = append(slowest, name)
		}
	}
	text := fmt.Sprintf("p50/p95 of %d: %s", rounds, strings.Join(texts, ", "))
	f := ok("%s", text)
	if len(slowest) > 0 {
		f = warning("Run doctor beside the app. If it is slow there too, look at the server's load, its disk and the network. Each request with a session waits for a read.",
			"%s; %s above %v", text, strings.Join(slowest, ", "), slow)
	}
	f.Data = data
	return f
}

// percentile returns the smallest duration that p percent do not exceed.
func percentile(list []time.Duration, p int) time.Duration {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[(len(sorted)*p+99)/100-1]
}
