package model_test

import (
	"os"
	"runtime/debug"
	"testing"

	"github.com/holdfast-go/session/internal/testserver"
)

func TestMain(m *testing.M) {
	// Each run leaves much garbage and few live objects.
	debug.SetGCPercent(400)
	os.Exit(testserver.Main(m))
}
