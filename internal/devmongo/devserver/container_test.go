package devserver_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session/internal/devmongo/devserver"
)

func TestContainer(t *testing.T) {
	if os.Getenv("DEVMONGO_IMAGE") == "" {
		t.Skip("needs a Docker engine: DEVMONGO_IMAGE is not set")
	}
	var log logged
	s, err := devserver.Start(t.Context(), devserver.WithEngine(devserver.EngineContainer), devserver.WithLog(log.printf))
	require.NoError(t, err)
	t.Log(s.Engine)
	require.NoError(t, connect(t, s.URI).Ping(t.Context(), nil))
	require.Contains(t, log.String(), "devmongo: starting a container of "+os.Getenv("DEVMONGO_IMAGE"))
	require.NoError(t, s.Close())
}
