package stress_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/holdfast-go/session/internal/testserver"
)

func TestMain(m *testing.M) {
	if os.Getenv(serveEnv) != "" {
		fmt.Fprintln(os.Stderr, serve())
		os.Exit(1)
	}
	os.Exit(testserver.Main(m))
}
