package session_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

func TestParseID(t *testing.T) {
	a, v := newApp(t, newManager(t, memstore.New())), newVisitor(t)
	var id session.ID
	request(v, a, func(s *session.Session) { s.SignIn("ann"); id = s.ID() })
	back, err := session.ParseID(id.String())
	require.NoError(t, err)
	require.Equal(t, id, back)
	require.Equal(t, byte('7'), id.String()[14], "UUIDv7")
	require.Contains(t, "89ab", id.String()[19:20], "variant of RFC 9562")
	require.Equal(t, `"`+id.String()+`"`, string(must(jsonMarshal(id))))
	for _, bad := range []string{"", "x", id.String()[1:], strings.ReplaceAll(id.String(), "-", "_"), strings.Repeat("z", 36), "0198f2a4-7c1e-7d3b-9a52-0c5de1f1a2bz"} {
		_, err := session.ParseID(bad)
		require.Error(t, err, bad)
	}
}

func TestID_Text(t *testing.T) {
	for _, want := range []session.ID{anID, {}} {
		text, err := want.MarshalText()
		require.NoError(t, err)
		var got session.ID
		require.NoError(t, json.Unmarshal(must(json.Marshal(want)), &got))
		require.Equal(t, want, got)
		require.Equal(t, want.String(), string(text))

		var info session.Info
		require.NoError(t, json.Unmarshal(must(json.Marshal(session.Info{ID: want, User: "ann"})), &info))
		require.Equal(t, session.Info{ID: want, User: "ann"}, info)
	}
	for _, bad := range []string{"", "secret", strings.Repeat("z", 36), anID.String() + "0", "null"} {
		got := anID
		err := json.Unmarshal(must(json.Marshal(bad)), &got)
		require.ErrorContains(t, err, "session: an ID is written ")
		require.Equal(t, anID, got)
		if bad != "" {
			require.NotContains(t, err.Error(), bad)
		}
	}
}
