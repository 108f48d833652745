package session_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/holdfast-go/session/internal/testserver"
)

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		fmt.Fprintln(os.Stderr, serveAsProcess())
		os.Exit(1)
	}
	os.Exit(testserver.Main(m))
}
