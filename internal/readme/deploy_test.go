package readme_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/mongostore"
)

// docs/how-to/deploy.md

func shutDown(ctx context.Context, server *http.Server, store *mongostore.Store) error {
	<-ctx.Done() // of signal.NotifyContext
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(ctx), store.Close(ctx))
}

func TestShutDown(t *testing.T) {
	store, err := mongostore.OpenCollection(t.Context(), testserver.Collection(t))
	require.NoError(t, err)
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	require.NoError(t, shutDown(ctx, server.Config, store))
}
