package console

import (
	"math"
	"slices"
	"time"

	"github.com/holdfast-go/session"
)

const (
	step  = 10 * time.Second
	steps = 360 // an hour

	firstBin = 100 * time.Microsecond // upper bound of the first bin
	binRatio = 1.5                    // of the upper bounds of two bins
	bins     = 32                     // the last one also has everything longer than 29 s
)

// calls are the kinds of store calls, in the order of the pages.
var calls = [...]session.EventKind{
	session.EventLoad, session.EventInsert, session.EventUpdate, session.EventDelete, session.EventList,
}

// callIndex returns the index of kind in calls, or -1.
func callIndex(kind session.EventKind) int { return slices.Index(calls[:], kind) }

// tally counts the calls of a time by their duration.
type tally struct {
	calls, failed uint64
	slowest       time.Duration
	bins          [bins]uint32
}

func (t *tally) add(d time.Duration, failed bool) {
	t.calls++
	if failed {
		t.failed++
	}
	t.slowest = max(t.slowest, d)
	t.bins[bin(d)]++
}

func (t *tally) merge(other *tally) {
	t.calls += other.calls
	t.failed += other.failed
	t.slowest = max(t.slowest, other.slowest)
	for i, n := range other.bins {
		t.bins[i] += n
	}
}

// bin returns the bin of a duration.
func bin(d time.Duration) int {
	if d <= firstBin {
		return 0
	}
	i := math.Ceil(math.Log(float64(d)/float64(firstBin)) / math.Log(binRatio))
	return min(int(i), bins-1)
}

// quantile returns the duration that the share q of the calls did not exceed. It
// estimates the duration within its bin, so it may be wrong by a fifth. It returns
// zero if there was no call.
func (t *tally) quantile(q float64) time.Duration {
	rank := q * float64(t.calls)
	seen := 0.0
	for i, n := range t.bins {
		if n == 0 {
			continue
		}
		if seen+float64(n) >= rank {
			into := (rank - seen) / float64(n)
			d := float64(firstBin) * math.Pow(binRatio, float64(i)-1+into)
			return min(time.Duration(d), t.slowest)
		}
		seen += float64(n)
	}
	return t.slowest
}

// slot has the calls of one step of time.
type slot struct {
	number int64 // of the step since 1970
	kinds  [len(calls)]tally
}

// all returns the calls of all kinds.
func (s *slot) all() (t tally) {
	for i := range s.kinds {
		t.merge(&s.kinds[i])
	}
	return t
}

// series holds the calls of the last hour in a ring of slots.
type series struct{ ring [steps]slot }

func (s *series) add(now time.Time, kind int, d time.Duration, failed bool) {
	number := now.UnixNano() / int64(step)
	at := &s.ring[number%steps]
	if at.number != number {
		*at = slot{number: number}
	}
	at.kinds[kind].add(d, failed)
}

// last returns the slots of the hour before now, the oldest one first. A slot
// without a call is zero except for its number.
func (s *series) last(now time.Time) []slot {
	end := now.UnixNano() / int64(step)
	slots := make([]slot, 0, steps)
	for number := end - steps + 1; number <= end; number++ {
		at := s.ring[number%steps]
		if at.number != number {
			at = slot{number: number}
		}
		slots = append(slots, at)
	}
	return slots
}
