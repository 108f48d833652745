package reference_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// TestEncryptionBlock contains the block of docs/explanation/encryption.md. It
// checks the size on the page.
func TestEncryptionBlock(t *testing.T) {
	const key session.Key[string] = "key"
	t.Setenv("SESSION_SECRET", "a secret of a test, of 32 bytes.")
	store := memstore.New()
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"),
		session.WithAcceptedSecrets(os.Getenv("SESSION_SECRET_ALSO")),
		session.WithEncryption())
	require.NoError(t, err)

	s, err := sessions.Load(t.Context(), nil)
	require.NoError(t, err)
	key.Set(s, "value")
	require.NoError(t, s.Save(t.Context()))
	rec, err := store.Load(t.Context(), s.ID())
	require.NoError(t, err)
	require.Len(t, rec.Values["key"].Data, len(`"value"`)+34)
	require.Equal(t, []byte{0xff, 0x01}, rec.Values["key"].Data[:2])
}
