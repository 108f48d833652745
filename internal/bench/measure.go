package main

import (
	"runtime"
	"slices"
	"syscall"
	"time"
)

// variant is one of the things that a table compares. Its op does one
// operation; i counts them.
type variant struct {
	name string
	op   func(i int)
}

// sample is what one operation of a variant cost, on average over a round.
type sample struct {
	cpu    float64 // nanoseconds that the threads of this process have run
	allocs float64
}

// rounds runs the variants one after the other, again and again, so that what
// else the machine does meets them all alike, and returns the samples of each
// by round.
func rounds(n int, each time.Duration, variants []variant) [][]sample {
	samples := make([][]sample, len(variants))
	count := make([]int, len(variants))
	for v := range variants {
		count[v] = calibrate(each, variants[v].op)
	}
	for range n {
		for v := range variants {
			samples[v] = append(samples[v], repeat(count[v], variants[v].op))
		}
	}
	return samples
}

// calibrate returns how many operations fill the time, and warms up.
func calibrate(d time.Duration, op func(int)) int {
	for n := 1; ; n *= 2 {
		start := time.Now()
		for i := range n {
			op(i)
		}
		if took := time.Since(start); took > d/4 {
			return max(1, int(float64(n)*float64(d)/float64(took)))
		}
	}
}

func repeat(n int, op func(int)) sample {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := processCPU()
	for i := range n {
		op(i)
	}
	used := processCPU() - start
	runtime.ReadMemStats(&after)
	per := float64(n)
	return sample{float64(used) / per, float64(after.Mallocs-before.Mallocs) / per}
}

// processCPU returns the time that all threads of this process have run.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func cpuOf(s sample) float64    { return s.cpu }
func allocsOf(s sample) float64 { return s.allocs }

// mid is the median over the rounds.
func mid(samples []sample, of func(sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	return median(values)
}

// best is the least of the rounds: what a machine without other work would
// come to.
func best(samples []sample, of func(sample) float64) float64 {
	low := of(samples[0])
	for _, s := range samples {
		low = min(low, of(s))
	}
	return low
}

// ratio is the median of the rounds' ratios: both sides of each were measured
// within a moment.
func ratio(a, b []sample, of func(sample) float64) float64 {
	values := make([]float64, len(a))
	for i := range a {
		values[i] = of(a[i]) / of(b[i])
	}
	return median(values)
}

// over is the median of what a round's a took longer than its b.
func over(a, b []sample, of func(sample) float64) float64 {
	values := make([]float64, len(a))
	for i := range a {
		values[i] = of(a[i]) - of(b[i])
	}
	return median(values)
}

func median(values []float64) float64 {
	values = slices.Clone(values)
	slices.Sort(values)
	n := len(values)
	if n == 0 {
		return 0
	}
	return (values[(n-1)/2] + values[n/2]) / 2
}
