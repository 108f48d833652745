package model_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
)

// TestPruning_SameEnds compares the results of runs with and without pruning.
func TestPruning_SameEnds(t *testing.T) {
	list := []*scenario{
		{state: signedIn, ops: []op{update, loginAnn}, faults: lostReplies},
		{state: anonymous, ops: []op{loginSet, loginAnn}, faults: lostReplies},
		{state: anonymous, ops: []op{touch, renew}, faults: lostReplies},
		{state: anonymous, ops: []op{save, timeouts}, wrapped: true, faults: lostReplies},
		{state: signedIn, ops: []op{loginBob, all}},
		{state: anonymous, ops: []op{loginAnn, loginAnn}, faults: outages},
		{state: anonymous, ops: []op{slowCount, saveRenew, update}, group: true},
		{state: signedIn, ops: []op{others, loginAnn}, other: 1},
		{state: anonymous, ops: []op{setOther, renewSet, destroy}},
	}
	for _, sc := range list {
		some, few := sc.ends(t)
		whole := *sc
		whole.full = true
		every, many := whole.ends(t)
		require.Equal(t, every, some, sc)
		t.Logf("%v: %d interleavings end in %d ways, and so do %d of them", sc, many, len(every), few)
	}
}

// ends returns all possible results of the scenario.
func (sc *scenario) ends(t *testing.T) (ways []string, n int) {
	seen := map[string]bool{}
	sc.explore(t, func(w *world) { n++; seen[w.end()] = true })
	for way := range seen {
		ways = append(ways, way)
	}
	slices.Sort(ways)
	return ways, n
}

// end describes the responses to the actors and the remaining records.
func (w *world) end() string {
	var b strings.Builder
	for _, a := range w.actors {
		fmt.Fprintf(&b, "%d: dead %v, %s, cookie %s, user %q; ", a.n, a.dead(), kind(a.err), w.opens(a.out), a.user)
	}
	var left []string
	for id := range w.seen() {
		if rec, err := w.mem.Load((&actor{}).context(), id); err == nil && !isMarker(id) {
			left = append(left, fmt.Sprintf("%q %v own idle %v %s", rec.User, slices.Contains(w.ids, id), rec.IdleTimeout, w.values(rec)))
		}
	}
	slices.Sort(left)
	for _, br := range w.browsers {
		left = append(left, w.opens(br.cookie))
	}
	return b.String() + strings.Join(left, "; ")
}

// values returns the values of a record, which contain their writers.
func (w *world) values(rec *session.Record) string {
	return string(rec.Values[string(color)].Data) + string(rec.Values[string(shape)].Data) + string(rec.Values[string(visits)].Data)
}

func (w *world) opens(c *http.Cookie) string {
	t, ok := tokenOf(c)
	if !ok {
		return "none"
	}
	rec, _ := w.mem.Load((&actor{}).context(), t.id)
	return fmt.Sprint(t.opens(rec))
}

// kind describes an error without details of the single run.
func kind(err error) string {
	for _, known := range []error{session.ErrUncertain, session.ErrNotFound, session.ErrConflict, session.ErrSuperseded, session.ErrRevoked, errDown} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return fmt.Sprint(err)
}
