package main

import (
	"context"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/session/cmd/session/internal/backend"
)

// stats describes all records.
type stats struct {
	backend.Counts
	Users    int64     `json:"users"`
	Bytes    int64     `json:"bytes"`
	Largest  int       `json:"largestBytes"`
	PerUser  histogram `json:"sessionsPerUser"`
	Age      histogram `json:"age"`
	LastSeen histogram `json:"lastSeen"`
	Size     histogram `json:"size"`

	now     time.Time
	seed    maphash.Seed
	perUser map[uint64]int64 // sessions by the hash of the user, which takes less memory than the name
}

func newStats(now time.Time) *stats {
	times := func() histogram {
		return histogram{
			{"up to 1 hour", 0, int64(time.Hour)},
			{"up to 1 day", 0, int64(24 * time.Hour)},
			{"up to 7 days", 0, int64(7 * 24 * time.Hour)},
			{"up to 30 days", 0, int64(30 * 24 * time.Hour)},
			{"more", 0, math.MaxInt64},
		}
	}
	return &stats{
		PerUser: histogram{{"1", 0, 1}, {"2", 0, 2}, {"3 to 5", 0, 5}, {"6 to 10", 0, 10}, {"more", 0, math.MaxInt64}},
		Age:     times(), LastSeen: times(),
		Size: histogram{
			{"up to 512 B", 0, 512},
			{"up to 1 KiB", 0, 1 << 10},
			{"up to 4 KiB", 0, 4 << 10},
			{"up to 16 KiB", 0, 16 << 10},
			{"up to 64 KiB", 0, 64 << 10},
			{"more", 0, math.MaxInt64},
		},
		now: now, seed: maphash.MakeSeed(), perUser: map[uint64]int64{},
	}
}

// add counts a record.
func (s *stats) add(e backend.Entry) {
	switch {
	case e.Marker:
		if s.Markers == nil {
			s.Markers = new(int64)
		}
		*s.Markers++
		return
	case !e.ExpiresAt.After(s.now):
		s.Expired++
		return
	case e.User == "":
		s.Anonymous++
	default:
		s.SignedIn++
		s.perUser[maphash.String(s.seed, e.User)]++
	}
	s.Sessions++
	s.Bytes += int64(e.Size)
	s.Largest = max(s.Largest, e.Size)
	s.Age.add(int64(s.now.Sub(e.CreatedAt)))
	s.LastSeen.add(int64(s.now.Sub(e.LastSeenAt)))
	s.Size.add(int64(e.Size))
}

// finish computes the numbers per user.
func (s *stats) finish() {
	s.Users = int64(len(s.perUser))
	for _, n := range s.perUser {
		s.PerUser.add(n)
	}
}

func (s *stats) print(w io.Writer) {
	printCounts(w, s.Counts)
	table(w, []string{"users", fmt.Sprint(s.Users)},
		[]string{"size of live sessions", fmt.Sprintf("%s, average %s, largest %s",
			bytesText(s.Bytes), bytesText(s.Bytes/max(s.Sessions, 1)), bytesText(int64(s.Largest)))})
	if s.Sessions == 0 {
		return
	}
	s.PerUser.print(w, "Users by live sessions")
	s.Age.print(w, "Live sessions by time since they began")
	s.LastSeen.print(w, "Live sessions by time since their last recorded activity")
	s.Size.print(w, "Live sessions by size")
}

func (a *app) statsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "stats",
		Short: "Show sessions, users, ages and sizes as histograms",
		Long: "Reads all records, from a secondary if there is one, and shows the number of sessions and users, and histograms of ages and sizes. " +
			"Values stay on the server if it supports $bsonSize.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(b backend.Backend) error { return a.stats(cmd.Context(), b) })
		},
	}
}

func (a *app) stats(ctx context.Context, b backend.Backend) error {
	total, err := b.Estimate(ctx)
	if err != nil {
		return err
	}
	bar := a.bar(total, "reading sessions")
	s := newStats(time.Now())
	err = b.Each(ctx, func(e backend.Entry) error {
		s.add(e)
		_ = bar.Add(1)
		return nil
	})
	_ = bar.Finish()
	if err != nil {
		return err
	}
	s.finish()
	return a.print(s, s.print)
}
