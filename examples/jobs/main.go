// Command jobs ends the sessions of users in a background job, outside any request. It reads the names of the users
// from standard input, one per line, as a program would read them from a queue of closed accounts.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	store, err := mongostore.Open(ctx, os.Getenv("MONGO_URI"))
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	if err := revoke(ctx, sessions, os.Stdin, os.Stdout, time.Second); err != nil {
		log.Fatal(err)
	}
}

// revoke ends all sessions of each user. RevokeAll can be repeated, so revoke repeats it after an error until ctx
// ends. No user is skipped.
func revoke(ctx context.Context, sessions *session.Manager, users io.Reader, report io.Writer, pause time.Duration) error {
	lines := bufio.NewScanner(users)
	for lines.Scan() {
		for {
			n, err := sessions.RevokeAll(ctx, lines.Text())
			if err == nil {
				fmt.Fprintf(report, "%s: %d sessions ended\n", lines.Text(), n)
				break
			}
			if session.HTTPStatus(err) == 500 { // an invalid name, which no repetition mends
				fmt.Fprintf(report, "%q: %v\n", lines.Text(), err)
				break
			}
			fmt.Fprintf(report, "%s: %v, trying again\n", lines.Text(), err)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(pause):
			}
		}
	}
	return lines.Err()
}
