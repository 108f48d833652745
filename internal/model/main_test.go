package model_test

import (
	"os"
	"runtime/debug"
	"testing"

	"github.com/holdfast-go/session/internal/testserver"
)

func TestMain(m *testing.M) {
	// Each run leaves all that it made behind, and what lives on is little.
	debug.SetGCPercent(400)
	os.Exit(testserver.Main(m))
}
