package session_test

import (
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// The secret of a token has 256 random bits, and each session gets a new one.
func TestToken_RandomAndUnique(t *testing.T) {
	const n = 4000
	m := newManager(t, memstore.New())
	seen := make(map[string]bool, n)
	var ones [256]int
	for range n {
		s, err := m.Load(background, nil)
		require.NoError(t, err)
		color.Set(s, "red")
		require.NoError(t, s.Save(background))
		token := session.Token(secret, s.Cookie().Value)
		require.Len(t, token, 16+32)
		require.Equal(t, string(id(s)), token[:16])
		for i, b := range []byte(token[16:]) {
			for j := range 8 {
				ones[8*i+j] += bits.OnesCount8(b & (1 << j))
			}
		}
		seen[token[16:]] = true
	}
	require.Len(t, seen, n)
	for i, k := range ones {
		// Seven standard deviations of a fair coin.
		require.InDelta(t, n/2, k, 222, "bit %d is one in %d of %d tokens", i, k, n)
	}
}

func id(s *session.Session) []byte {
	id := s.ID()
	return id[:]
}
