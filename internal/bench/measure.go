package main

import (
	"runtime"
	"slices"
	"syscall"
	"time"
)

// variant is one row of a table. Its op does operation number i.
type variant struct {
	name string
	op   func(i int)
}

// sample is the average cost of an operation of a variant in one round.
type sample struct {
	cpu    float64 // CPU time of the threads of this process, in nanoseconds
	allocs float64
}

// rounds runs the variants in turn in each round, so that other load on the
// machine affects all of them. It returns the samples of each variant by round.
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

// calibrate returns the number of operations that fill the time. It also warms
// up.
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

// processCPU returns the CPU time of all threads of this process.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func cpuOf(s sample) float64    { return s.cpu }
func allocsOf(s sample) float64 { return s.allocs }

// mid returns the median over the rounds.
func mid(samples []sample, of func(sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	return median(values)
}

// best returns the minimum over the rounds, which is nearest to a machine
// without other load.
func best(samples []sample, of func(sample) float64) float64 {
	low := of(samples[0])
	for _, s := range samples {
		low = min(low, of(s))
	}
	return low
}

// ratio returns the median of the ratios by round. Both sides of a ratio were
// measured within a short time.
func ratio(a, b []sample, of func(sample) float64) float64 {
	values := make([]float64, len(a))
	for i := range a {
		values[i] = of(a[i]) / of(b[i])
	}
	return median(values)
}

// over returns the median of the differences a - b by round.
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
