package readme_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// docs/explanation/encryption.md

func TestEncryption(t *testing.T) {
	t.Setenv("SESSION_SECRET", secret)
	store := memstore.New()
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"),
		session.WithAcceptedSecrets(os.Getenv("SESSION_SECRET_ALSO")),
		session.WithEncryption())
	require.NoError(t, err)
	s, err := sessions.Load(t.Context(), nil)
	require.NoError(t, err)
	flash.Set(s, "a secret message")
	require.NoError(t, s.Save(t.Context()))
	rec, err := store.Load(t.Context(), s.ID())
	require.NoError(t, err)
	require.NotContains(t, string(rec.Values["flash"].Data), "message")
}
