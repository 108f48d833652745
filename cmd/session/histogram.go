package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// bucket is a range of a histogram. It counts the values up to a limit.
type bucket struct {
	Range string `json:"range"`
	Count int64  `json:"count"`
	upTo  int64
}

// histogram counts values in buckets of ascending limits. The last one has no
// limit.
type histogram []bucket

func (h histogram) add(value int64) {
	i := slices.IndexFunc(h, func(b bucket) bool { return value <= b.upTo })
	if i < 0 {
		i = len(h) - 1
	}
	h[i].Count++
}

const barWidth = 40

// print writes a line for each bucket, with a bar in proportion to the largest.
func (h histogram) print(w io.Writer, title string) {
	longest, largest, all := 0, int64(1), int64(0)
	for _, b := range h {
		longest, largest, all = max(longest, len(b.Range)), max(largest, b.Count), all+b.Count
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, b := range h {
		width := int(b.Count * barWidth / largest)
		if b.Count > 0 {
			width = max(width, 1)
		}
		percent := float64(100*b.Count) / float64(max(all, 1))
		fmt.Fprintf(w, "  %-*s  %-*s %8d  %5.1f %%\n", longest, b.Range, barWidth, strings.Repeat("█", width), b.Count, percent)
	}
}
