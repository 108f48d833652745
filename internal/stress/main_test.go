package stress_test

import (
	"os"
	"testing"

	"github.com/holdfast-go/session/internal/stress"
	"github.com/holdfast-go/session/internal/testserver"
)

func TestMain(m *testing.M) {
	stress.Serve(open)
	os.Exit(testserver.Main(m))
}
