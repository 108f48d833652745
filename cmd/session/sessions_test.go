package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
)

func TestList_LiveSessionsOfTheUser(t *testing.T) {
	onEach(t, func(t *testing.T, uri string) {
		s := open(t, uri)
		first, second := s.signIn(t, "ann"), s.signIn(t, "ann")
		other := s.signIn(t, "Ann")
		expired := s.insert(t, "ann", time.Hour, time.Hour, time.Minute)

		var list []info
		r := s.json(t, &list, "list", "ann")
		require.Zero(t, r.code)
		ids := []session.ID{}
		for _, i := range list {
			require.Equal(t, "ann", i.User)
			ids = append(ids, i.ID)
		}
		require.ElementsMatch(t, []session.ID{first.ID(), second.ID()}, ids)

		r = s.run(t, "list", "ann")
		require.Zero(t, r.code)
		require.Contains(t, r.out, first.ID().String())
		require.NotContains(t, r.out, other.ID().String())
		require.NotContains(t, r.out, expired.String())
		require.Contains(t, r.out, "2 live sessions of ann\n")

		require.Equal(t, result{"[]\n", "", 0}, s.run(t, "list", "nobody", "--json"))
		require.Equal(t, result{"0 live sessions of nobody\n", "", 0}, s.run(t, "list", "nobody"))
	})
}

// An app may have a longer lifetime than the default one of a Manager.
func TestList_TimeoutsOfTheApp(t *testing.T) {
	s := open(t, testserver.Get(t).URI)
	id := s.insert(t, "ann", 200*24*time.Hour, 100*24*time.Hour, -time.Hour)
	require.Contains(t, s.run(t, "list", "ann").out, id.String())
}

// A visitor chooses the User-Agent, which must not control the terminal.
func TestList_ControlCharacters(t *testing.T) {
	s := open(t, testserver.Get(t).URI)
	id := s.insert(t, "ann", 0, 0, -time.Hour)
	require.NoError(t, s.store.Update(t.Context(), id, &session.Change{UserAgent: "nice\x1b[2J\tbrowser\u202e"}))
	for _, args := range [][]string{{"list", "ann"}, {"show", id.String()}} {
		r := s.run(t, args...)
		require.Contains(t, r.out, `nice\x1b[2J\x09browser\u202e`)
		require.NotContains(t, r.out, "\x1b")
	}
}

func TestShow_NamesAndSizes(t *testing.T) {
	onEach(t, func(t *testing.T, uri string) {
		s := open(t, uri)
		sess := s.signIn(t, "ann")
		cart.Set(sess, map[string]int{"tea": 2})
		require.NoError(t, sess.Save(t.Context()))
		rec, err := s.store.Load(t.Context(), sess.ID())
		require.NoError(t, err)

		r := s.run(t, "show", sess.ID().String())
		require.Zero(t, r.code, r.err)
		require.Regexp(t, `(?m)^ID +`+sess.ID().String()+`\nstate +live\nuser +ann\n`, r.out)
		require.Regexp(t, `(?m)^2 keys\n  cart   9 B   json\n  color  17 B  json\n`, r.out)
		require.NotContains(t, r.out, "secret red")
		require.NotContains(t, r.out, "tea")

		r = s.run(t, "show", sess.ID().String(), "--values")
		require.Contains(t, r.out, `"very secret red"`)
		require.Contains(t, r.out, `{"tea":2}`)

		var got shown
		r = s.json(t, &got, "show", sess.ID().String())
		require.Equal(t, rec.ExpiresAt, got.ExpiresAt)
		require.True(t, got.Live)
		require.Equal(t, []shownKey{{Name: "cart", Size: 9, Form: "json"}, {Name: "color", Size: 17, Form: "json"}}, got.Keys)
		require.NotContains(t, r.out, "secret red")

		var values shown
		s.json(t, &values, "show", sess.ID().String(), "--values")
		require.JSONEq(t, `"very secret red"`, string(values.Keys[1].Value))
	})
}

func TestShow_Forms(t *testing.T) {
	s := open(t, testserver.Get(t).URI)
	id := s.insert(t, "", time.Hour, time.Hour, time.Minute)
	values := map[string]session.Value{}
	for name, data := range map[string][]byte{
		"binary": {0xFE, 1}, "escaped": {0xFF, 0, 0xFF, 9}, "unknown": {0xFF, 0x22, 5}, "text": []byte("not json"), "empty": {},
	} {
		values[name] = session.Value{Data: data, Version: 1}
	}
	require.NoError(t, s.store.Update(t.Context(), id, &session.Change{Set: values}))
	var got shown
	s.json(t, &got, "show", id.String(), "--values")
	require.False(t, got.Live)
	require.Equal(t, []shownKey{
		{Name: "binary", Size: 2, Form: "binary", Base64: "/gE="},
		{Name: "empty", Size: 0, Form: "text", Value: []byte(`""`)},
		{Name: "escaped", Size: 4, Form: "binary", Base64: "/wk="},
		{Name: "text", Size: 8, Form: "text", Value: []byte(`"not json"`)},
		{Name: "unknown", Size: 3, Form: "unknown", Base64: "/yIF"},
	}, got.Keys)
	require.Contains(t, s.run(t, "show", id.String()).out, "expired")
}

func TestShow_Encrypted(t *testing.T) {
	s := open(t, testserver.Get(t).URI, session.WithEncryption())
	id := s.signIn(t, "ann").ID()
	r := s.run(t, "show", id.String(), "--values")
	require.Regexp(t, `  color  51 B  encrypted, with the secret of key ID [0-9a-f]{8}\n`, r.out)
	require.NotContains(t, r.out, "red")
}

func TestShowAndRevoke_NoSuchSession(t *testing.T) {
	s := open(t, testserver.Get(t).URI)
	const id = "0198f2a4-7c1e-7d3b-9a52-0c5de1f1a2b3"
	for _, name := range []string{"show", "revoke"} {
		require.Equal(t, result{"", "session: there is no session " + id + "\n", 1}, s.run(t, name, id), name)
	}
}

func TestRevoke_EndsOneSession(t *testing.T) {
	onEach(t, func(t *testing.T, uri string) {
		s := open(t, uri)
		ended, kept, visitor := s.signIn(t, "ann"), s.signIn(t, "ann"), s.signIn(t, "")
		r := s.run(t, "revoke", ended.ID().String())
		require.Equal(t, result{"revoked session " + ended.ID().String() + " of ann\n", "", 0}, r)
		r = s.run(t, "revoke", visitor.ID().String())
		require.Equal(t, result{"revoked session " + visitor.ID().String() + " of nobody\n", "", 0}, r)
		for _, id := range []session.ID{ended.ID(), visitor.ID()} {
			_, err := s.store.Load(t.Context(), id)
			require.ErrorIs(t, err, session.ErrNotFound)
		}
		_, err := s.store.Load(t.Context(), kept.ID())
		require.NoError(t, err)
	})
}

func TestRevokeAll_EndsTheSessionsOfTheUser(t *testing.T) {
	onEach(t, func(t *testing.T, uri string) {
		s := open(t, uri)
		s.signIn(t, "ann")
		s.signIn(t, "ann")
		other := s.signIn(t, "bob")
		require.Equal(t, result{`{"revoked":2,"user":"ann"}` + "\n", "", 0}, s.run(t, "revoke-all", "ann", "--json"))
		require.Equal(t, result{"revoked 0 live sessions of ann\n", "", 0}, s.run(t, "revoke-all", "ann"))
		infos, err := s.store.List(t.Context(), "ann")
		require.NoError(t, err)
		require.Empty(t, infos)
		_, err = s.store.Load(t.Context(), other.ID())
		require.NoError(t, err)
	})
}

// The command has another secret than the app, and no part in its process.
func TestRevokeAll_StopsASignInUnderWay(t *testing.T) {
	onEach(t, func(t *testing.T, uri string) {
		s := open(t, uri)
		under, err := s.sessions.Load(t.Context(), nil) // the request of the sign-in
		require.NoError(t, err)
		require.Zero(t, s.run(t, "revoke-all", "ann").code)
		under.SignIn("ann")
		require.ErrorIs(t, under.Save(t.Context()), session.ErrRevoked)
		infos, err := s.store.List(t.Context(), "ann")
		require.NoError(t, err)
		require.Empty(t, infos)
		s.signIn(t, "ann") // a later request
	})
}

// Without the note in the marker, a sign-in that has lost the reply to its insert
// would store its session again.
func TestRevoke_NotesTheSessionInTheMarker(t *testing.T) {
	s := open(t, testserver.Get(t).URI)
	sess := s.signIn(t, "ann")
	require.Zero(t, s.run(t, "revoke", sess.ID().String()).code)
	marker := s.marker(t)
	var got shown
	s.json(t, &got, "show", marker.String(), "--values")
	require.True(t, got.Marker)
	require.False(t, got.Live)
	require.Contains(t, string(got.Keys[0].Value), sess.ID().String())
	require.Contains(t, s.run(t, "show", marker.String()).out, "revocation marker, not a session")
}

func TestRevoke_RefusesAMarker(t *testing.T) {
	s := open(t, testserver.Get(t).URI)
	require.Zero(t, s.run(t, "revoke-all", "ann").code)
	marker := s.marker(t)
	r := s.run(t, "revoke", marker.String())
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, "is a revocation marker and not a session")
	_, err := s.store.Load(t.Context(), marker)
	require.NoError(t, err)
}

// marker returns the ID of the only record without a verifier.
func (s *site) marker(t *testing.T) session.ID {
	t.Helper()
	raw, err := s.coll.FindOne(t.Context(), map[string]any{"verifier": map[string]any{"$exists": false}}).Raw()
	require.NoError(t, err)
	_, data, ok := raw.Lookup("_id").BinaryOK()
	require.True(t, ok)
	return session.ID(bytes.Clone(data))
}

func TestSecret_NewAndAccepted(t *testing.T) {
	first, second := execute(t, nil, "secret"), execute(t, nil, "secret")
	require.Zero(t, first.code)
	require.Empty(t, first.err)
	require.Len(t, first.out, 45) // 44 characters of base64 and a newline
	require.NotEqual(t, first.out, second.out)
	s := open(t, testserver.Get(t).URI)
	_, err := session.New(s.store, strings.TrimSpace(first.out))
	require.NoError(t, err)
	require.Regexp(t, `^\{"secret":"[A-Za-z0-9+/]{43}="\}\n$`, execute(t, nil, "secret", "--json").out)
}
