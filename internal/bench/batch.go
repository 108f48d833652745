package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

// crowd is the result of many simultaneous callers.
type crowd struct {
	rate     float64 // loads per second
	p50, p99 float64 // nanoseconds
	cpu      float64 // CPU time of the client, in nanoseconds per load
}

// batched compares separate loads with loads in one command.
func batched(ctx context.Context, out io.Writer, c *config, uri string) error {
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return err
	}
	defer client.Disconnect(context.WithoutCancel(ctx))
	var stores []*mongostore.Store
	for _, opts := range [][]mongostore.Option{nil, {mongostore.WithBatchedLoads()}} {
		s, err := mongostore.OpenCollection(ctx, client.Database("app").Collection("http_sessions"), append(opts, mongostore.WithExpiry(mongostore.ExpiryTTL))...)
		if err != nil {
			return err
		}
		stores = append(stores, s)
	}
	ids := make([]session.ID, 1000)
	for i := range ids {
		ids[i] = newID()
		if err := stores[0].Insert(ctx, newRecord(ids[i], "ada")); err != nil {
			return err
		}
	}
	n, each, callers := c.rounds(9), time.Second, []int{1, 8, 64, 256}
	if c.short {
		n, each, callers = 2, 100*time.Millisecond, []int{1, 64}
	}
	goals := map[int]string{1: "≥ 0.95", 8: "≥ 0.95", 64: "≥ 2.5; p99 ≤ 0.4", 256: "≥ 5; p99 ≤ 0.4"}
	t := newTable(out, "callers", "loads/s one by one", "batched", "ratio", "p50", "p99", "ratio of p99", "client CPU per load", "goal")
	for _, k := range callers {
		got := make([][]crowd, len(stores))
		for round := range n + 1 {
			for i, s := range stores {
				cr, err := crowdOn(ctx, s, ids, k, each)
				if err != nil {
					return err
				}
				if round > 0 { // the first round warms up
					got[i] = append(got[i], cr)
				}
			}
		}
		m := func(i int, of func(crowd) float64) float64 { return median(column(got[i], of)) }
		quotient := func(of func(crowd) float64) string {
			var q []float64
			for r := range n {
				q = append(q, of(got[1][r])/of(got[0][r]))
			}
			return fmt.Sprintf("%.2f", median(q))
		}
		both := func(of func(crowd) float64, unit func(float64) string) string {
			return unit(m(0, of)) + " → " + unit(m(1, of))
		}
		ms := func(ns float64) string { return millis(ns / 1000) }
		rate := func(c crowd) float64 { return c.rate }
		p99 := func(c crowd) float64 { return c.p99 }
		t.row(fmt.Sprint(k), fmt.Sprintf("%.0f", m(0, rate)), fmt.Sprintf("%.0f", m(1, rate)), quotient(rate),
			both(func(c crowd) float64 { return c.p50 }, ms), both(p99, ms), quotient(p99),
			both(func(c crowd) float64 { return c.cpu }, micros), goals[k])
	}
	return t.end()
}

// crowdOn runs simultaneous callers. Each loads one session after the other.
func crowdOn(ctx context.Context, s *mongostore.Store, ids []session.ID, callers int, d time.Duration) (crowd, error) {
	took, errs := make([][]float64, callers), make([]error, callers)
	cpu, start := processCPU(), time.Now()
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for errs[i] == nil && time.Since(start) < d {
				at := time.Now()
				_, errs[i] = s.Load(ctx, ids[rand.IntN(len(ids))])
				took[i] = append(took[i], float64(time.Since(at)))
			}
		})
	}
	wg.Wait()
	wall, used := time.Since(start), processCPU()-cpu
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return crowd{}, errs[i]
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	return crowd{float64(len(all)) / wall.Seconds(), quantile(all, 0.5), quantile(all, 0.99), float64(used) / float64(len(all))}, nil
}
