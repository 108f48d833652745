package express_test

import (
	"os"
	"testing"

	"github.com/holdfast-go/session/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m)) }
