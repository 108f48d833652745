package console

import (
	"context"
	"time"

	"github.com/holdfast-go/session"
)

const maxCounts = 1440 // a day if there is one count per minute

// count is the number of live sessions at one time.
type count struct {
	at                  time.Time
	signedIn, anonymous int64
	failed              bool // the store did not count
}

// counts holds the latest counts, the oldest one first.
type counts []count

func (c *counts) add(n count) {
	if len(*c) >= maxCounts {
		copy(*c, (*c)[1:])
		*c = (*c)[:maxCounts-1]
	}
	*c = append(*c, n)
}

// countNow counts the live sessions in a store.
func countNow(ctx context.Context, store session.Inspector, timeout time.Duration) count {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c := count{at: time.Now()}
	var err, err2 error
	c.signedIn, err = store.Count(ctx, session.Filter{Kind: session.KindUser, LiveAt: c.at})
	c.anonymous, err2 = store.Count(ctx, session.Filter{Kind: session.KindAnonymous, LiveAt: c.at})
	c.failed = err != nil || err2 != nil
	return c
}
