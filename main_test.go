package session_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/session/internal/testserver"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := testserver.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "the server did not end well:", err)
		code = 1
	}
	if leaked := leaks(); leaked != "" && code == 0 {
		fmt.Fprintln(os.Stderr, "goroutines left behind:\n"+leaked)
		code = 1
	}
	os.Exit(code)
}

// leaks returns the stacks of goroutines that are left after all tests.
func leaks() string {
	var left []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		left = nil
		buf := make([]byte, 1<<20)
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if !strings.Contains(g, "testing.") && !strings.Contains(g, "session_test.leaks") && !strings.Contains(g, "os/signal.") {
				left = append(left, g)
			}
		}
		if len(left) == 0 {
			return ""
		}
	}
	return strings.Join(left, "\n\n")
}
