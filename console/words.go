package console

import (
	"fmt"
	"strconv"
	"time"
)

// duration formats the duration of a store call with two digits.
func duration(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case d == 0:
		return "–"
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// thousands formats a number with a narrow space between groups of three digits.
func thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// ago formats the time since an event.
func ago(d time.Duration) string {
	if d < 5*time.Second {
		return "just now"
	}
	return span(d) + " ago"
}

// in formats the time until an event. It adds a hundredth, so that a timeout of 14
// days that has just begun ends in 14 days and not in 13.
func in(d time.Duration) string {
	if d <= 0 {
		return "now"
	}
	return "in " + span(d+d/100)
}

// span formats a duration with one unit.
func span(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := int(d / unit.length); n >= 1 {
			return plural(n, unit.name)
		}
	}
	return "0 seconds"
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return thousands(uint64(n)) + " " + word + "s"
}

// short returns the first and the last characters of a session ID, which are
// enough to tell the sessions on a page apart.
func short(id string) string {
	if len(id) < 36 {
		return id
	}
	return id[:8] + "…" + id[32:]
}

// day formats a time in UTC for people.
func day(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2 Jan 2006, 15:04 UTC")
}
