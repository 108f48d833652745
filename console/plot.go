package console

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// A plot is drawn into a viewBox of plotWidth × plotHeight, which the page
// stretches. Its labels are HTML, so they have the size of other text.
const (
	plotWidth  = 360.0
	plotHeight = 100.0
)

// plot is a figure of a page.
type plot struct {
	Title      string
	TitleAbove bool   // a heading above the plot has the title
	Summary    string // the content in a sentence, for people who do not see the plot
	YLabels    []string
	XLabels    []string
	Lines      []line
	Bars       []bar
	Legend     []legend
	Empty      string // text instead of a plot without content
}

// line is the d attribute of a path and its class.
type line struct{ D, Class string }

type bar struct {
	X, Y, Width, Height string
	Class               string
}

type legend struct{ Class, Text string }

// pathOf returns the d attribute of a line. Each value has a horizontal piece of the
// width step. Values beside each other are connected. NaN is a gap.
func pathOf(values []float64, step float64) string {
	var b strings.Builder
	connected := false
	for i, y := range values {
		if math.IsNaN(y) {
			connected = false
			continue
		}
		command := 'M'
		if connected {
			command = 'L'
		}
		x := float64(i) * step
		fmt.Fprintf(&b, "%c%s %sH%s", command, number(x), number(y), number(x+step))
		connected = true
	}
	return b.String()
}

// number formats a coordinate in as few characters as a plot needs.
func number(x float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", x), ".0") }

const (
	fastest = 100 * time.Microsecond // bottom of the plot of latencies
	decades = 5                      // to 10 seconds at the top
)

// latencyY returns the y coordinate of a duration, on a logarithmic scale.
func latencyY(d time.Duration) float64 {
	share := math.Log10(float64(max(d, 1))/float64(fastest)) / decades
	return plotHeight * (1 - min(max(share, 0), 1))
}

// latencyPlot shows the median and the 95th percentile of each slot.
func latencyPlot(slots []slot, hour *tally) plot {
	median, high := make([]float64, len(slots)), make([]float64, len(slots))
	for i := range slots {
		median[i], high[i] = math.NaN(), math.NaN()
		if t := slots[i].all(); t.calls > 0 {
			median[i], high[i] = latencyY(t.quantile(0.5)), latencyY(t.quantile(0.95))
		}
	}
	p := plot{
		Title:   "Latency of store calls",
		YLabels: []string{"10 s", "1 s", "100 ms", "10 ms", "1 ms", "0.1 ms"},
		XLabels: hourLabels,
		Lines:   []line{{pathOf(high, plotWidth/steps), "high"}, {pathOf(median, plotWidth/steps), "median"}},
		Legend:  []legend{{"median", "median"}, {"high", "95th percentile"}},
		Summary: fmt.Sprintf("In the last hour the median was %s, the 95th percentile %s and the slowest call %s.",
			duration(hour.quantile(0.5)), duration(hour.quantile(0.95)), duration(hour.slowest)),
	}
	if hour.calls == 0 {
		p.Empty = "No store call in the last hour."
	}
	return p
}

var hourLabels = []string{"60 min ago", "45", "30", "15", "now"}

// slotsPerBar is the number of slots in a minute.
const slotsPerBar = int(time.Minute / step)

// callsPlot shows the calls of each minute, and those that failed.
func callsPlot(slots []slot, hour *tally) plot {
	p := plot{
		Title:   "Store calls per minute",
		XLabels: hourLabels,
		Legend:  []legend{{"ok", "succeeded"}, {"failed", "failed"}},
		Summary: fmt.Sprintf("In the last hour there were %s store calls, of which %s failed.", thousands(hour.calls), thousands(hour.failed)),
	}
	if hour.calls == 0 {
		p.Empty = "No store call in the last hour."
		return p
	}
	minutes := make([]tally, len(slots)/slotsPerBar)
	most := uint64(0)
	for i := range slots {
		t := slots[i].all()
		minutes[i/slotsPerBar].merge(&t)
	}
	for i := range minutes {
		most = max(most, minutes[i].calls)
	}
	top := roundUp(float64(most))
	p.YLabels = []string{thousands(uint64(top)), thousands(uint64(top / 2)), "0"}
	width := plotWidth / float64(len(minutes))
	for i, m := range minutes {
		if m.calls == 0 {
			continue
		}
		height := max(plotHeight*float64(m.calls)/top, 1.5)
		failed := 0.0
		if m.failed > 0 {
			failed = max(plotHeight*float64(m.failed)/top, 3) // a single failure is visible
		}
		p.addBar(i, width, 0, max(height, failed), "ok")
		p.addBar(i, width, 0, failed, "failed")
	}
	return p
}

func (p *plot) addBar(i int, width, bottom, height float64, class string) {
	if height == 0 {
		return
	}
	p.Bars = append(p.Bars, bar{
		number(float64(i)*width + 0.5), number(plotHeight - bottom - height), number(width - 1), number(height), class,
	})
}

// roundUp returns the next round number for the top of an axis with a label in the
// middle. Small numbers are even, so that the label is an integer.
func roundUp(x float64) float64 {
	for power := 1.0; ; power *= 10 {
		for _, factor := range []float64{2, 3, 4, 5, 6, 8, 10} {
			if power == 1 && factor != 2*math.Trunc(factor/2) {
				continue
			}
			if x <= factor*power {
				return factor * power
			}
		}
	}
}

// countsPlot shows the numbers of sessions over the time for which there are counts.
func countsPlot(cs counts, now time.Time) plot {
	p := plot{
		Title: "Number of sessions", TitleAbove: true,
		Legend: []legend{{"median", "signed in"}, {"high", "anonymous"}},
	}
	var last *count
	most := int64(0)
	for i := range cs {
		if !cs[i].failed {
			last = &cs[i]
			most = max(most, last.signedIn, last.anonymous)
		}
	}
	if last == nil {
		p.Empty = "The sessions have not been counted yet."
		return p
	}
	p.Summary = fmt.Sprintf("%s signed in and %s anonymous, counted %s.",
		thousands(uint64(last.signedIn)), thousands(uint64(last.anonymous)), ago(now.Sub(last.at)))
	top := roundUp(float64(most))
	p.YLabels = []string{thousands(uint64(top)), thousands(uint64(top / 2)), "0"}
	span, labels := spanOf(now.Sub(cs[0].at))
	p.XLabels = labels
	const columns = 180
	signedIn, anonymous := make([]float64, columns), make([]float64, columns)
	for i := range columns {
		signedIn[i], anonymous[i] = math.NaN(), math.NaN()
	}
	for _, c := range cs {
		i := int(float64(columns) * (1 - float64(now.Sub(c.at))/float64(span)))
		if i < 0 || c.failed {
			continue
		}
		i = min(i, columns-1)
		signedIn[i], anonymous[i] = plotHeight*(1-float64(c.signedIn)/top), plotHeight*(1-float64(c.anonymous)/top)
	}
	p.Lines = []line{
		{pathOf(fill(anonymous, gapColumns(cs, span, columns)), plotWidth/columns), "high"},
		{pathOf(fill(signedIn, gapColumns(cs, span, columns)), plotWidth/columns), "median"},
	}
	return p
}

// gapColumns returns the number of columns between two counts at the interval of
// the counts. A longer gap is a failure.
func gapColumns(cs counts, span time.Duration, columns int) int {
	if len(cs) < 2 {
		return 0
	}
	every := cs[len(cs)-1].at.Sub(cs[len(cs)-2].at)
	return int(math.Ceil(float64(columns) * float64(every) / float64(span)))
}

// fill repeats a value in up to n columns without one.
func fill(values []float64, n int) []float64 {
	missing := 0
	for i := 1; i < len(values); i++ {
		if !math.IsNaN(values[i]) {
			missing = 0
			continue
		}
		if missing++; missing <= n {
			values[i] = values[i-1]
		}
	}
	return values
}

// spanOf returns the span of a plot that shows d, and its labels.
func spanOf(d time.Duration) (time.Duration, []string) {
	switch {
	case d <= 10*time.Minute:
		return 10 * time.Minute, []string{"10 min ago", "7.5", "5", "2.5", "now"}
	case d <= time.Hour:
		return time.Hour, hourLabels
	case d <= 6*time.Hour:
		return 6 * time.Hour, []string{"6 h ago", "4.5", "3", "1.5", "now"}
	}
	return 24 * time.Hour, []string{"24 h ago", "18", "12", "6", "now"}
}

// GridY returns the y coordinate of the grid line at a label of the y axis.
func (p plot) GridY(i int) string {
	return number(plotHeight * float64(i) / float64(len(p.YLabels)-1))
}
