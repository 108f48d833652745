package backend

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// interrupted is a store on which another request acts after each Load.
type interrupted struct {
	session.Store
	act func()
}

func (s interrupted) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	rec, err := s.Store.Load(ctx, id)
	s.act()
	return rec, err
}

func TestPurgeOne_UsedBetweenTwoCommands(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	week := 7 * 24 * time.Hour
	for name, test := range map[string]struct {
		change  session.Change
		deleted bool
	}{
		"not used":  {session.Change{Set: map[string]session.Value{"by a job": {Data: []byte("1"), Version: 1}}}, true},
		"seen":      {session.Change{LastSeenAt: now}, false},
		"signed in": {session.Change{User: "ann", Verifier: bytes.Repeat([]byte{8}, 32), LastSeenAt: now.Add(-week)}, false},
	} {
		for _, p := range []Purge{{AnonymousUnseen: now.Add(-time.Hour)}, {Expired: now.Add(-time.Hour)}} {
			store := memstore.New()
			id := session.ID{1}
			require.NoError(t, store.Insert(t.Context(), &session.Record{
				Info:     session.Info{ID: id, CreatedAt: now.Add(-week), LastSeenAt: now.Add(-week), ExpiresAt: now.Add(-2 * time.Hour)},
				Verifier: bytes.Repeat([]byte{7}, 32),
			}))
			deleted, err := purgeOne(t.Context(), interrupted{store, func() {
				require.NoError(t, store.Update(t.Context(), id, &test.change), name)
			}}, id, p)
			require.NoError(t, err, name)
			require.Equal(t, test.deleted, deleted, name)
			_, err = store.Load(t.Context(), id)
			require.Equal(t, test.deleted, err != nil, name)
		}
	}
}
