package express_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/express"
)

// The values are those of express-session 1.19 under Node.js.
func TestCookie_Vectors(t *testing.T) {
	for _, c := range []struct{ secret, id, value string }{
		{"keyboard cat", id, sid},
		{"s3cret", id, "s%3A0123456789abcdefghijABCDEFGHIJ_-.r5H1X1kTJ9PULhx28avggViTILjQ69WVEKyn93rJshk"},
		{"keyboard cat", "sid0", "s%3Asid0.hjffqvafnodC8S8w%2FeszTjZm%2Bk%2B2C%2FJcl%2BptM70Du%2F0"},
		{"keyboard cat", "a.b", "s%3Aa.b.sKNesNyAbFAJ%2BfsoA7qNx4Tsyo%2Br5keVpJkZSzFMXZw"},
		{"ключ", "é", "s%3A%C3%A9.5MSqr3LdLga2uM0Xkb6H1K%2B%2FyE3WtL9E2man7FoMKm4"},
		{"keyboard cat", "abc/+=.é", "s%3Aabc%2F%2B%3D.%C3%A9.dWIT4e9thvH9GjR7w7vu3BR9Mvrh9vJhkSlZ1ZxR6Jo"},
		{"0123456789abcdef0123456789abcdef", "x7Jd2u0P4mUo0Wf3wYtN2Q5n8s1kLrEz", "s%3Ax7Jd2u0P4mUo0Wf3wYtN2Q5n8s1kLrEz.Zv2VJTMcc1jFmcFpY1pdS0zBlzMMDluF2B%2BK12IwtTY"},
		{"ünïcode secret", "a.b", "s%3Aa.b.JSbotFlHeahyL0%2BjmU%2BUqKhybVSR6n67EUe0Zeo4Tr4"},
	} {
		got, ok := express.CookieID(c.value, c.secret)
		require.True(t, ok, c.value)
		require.Equal(t, c.id, got)
		_, ok = express.CookieID(c.value, "another secret")
		require.False(t, ok)
		got, ok = express.CookieID(c.value, "another secret", c.secret)
		require.True(t, ok, "each secret is tried")
		require.Equal(t, c.id, got)
		_, ok = express.CookieID(c.value+"%3D", c.secret)
		require.False(t, ok, "a padded signature")
	}
}

// signed returns the value of a cookie for an ID.
func signed(id string) string { return url.PathEscape("s:" + id + "." + express.Sign(id, secret)) }

// spy is a store that counts the calls.
type spy struct {
	express.Store
	calls int
}

func (s *spy) Load(context.Context, string) (express.Stored, error) {
	s.calls++
	return express.Stored{}, session.ErrNotFound
}

func (s *spy) Sample(context.Context) ([]express.Stored, error) { return nil, nil }

// None of the first cookies causes a call of the store.
func TestCookie_Hostile(t *testing.T) {
	for name, c := range map[string]struct {
		header []string
		calls  int
	}{
		"none":                    {nil, 0},
		"another name":            {[]string{"connect.sidx=" + sid}, 0},
		"name in another case":    {[]string{"Connect.sid=" + sid}, 0},
		"no value":                {[]string{"connect.sid"}, 0},
		"empty":                   {[]string{"connect.sid="}, 0},
		"not signed":              {[]string{"connect.sid=" + id}, 0},
		"no prefix":               {[]string{"connect.sid=" + strings.TrimPrefix(sid, "s%3A")}, 0},
		"j: instead of s:":        {[]string{"connect.sid=j" + strings.TrimPrefix(sid, "s")}, 0},
		"bad escape":              {[]string{"connect.sid=%zz"}, 0},
		"bad escape, signed":      {[]string{"connect.sid=" + sid + "%zz"}, 0},
		"escaped surrogate":       {[]string{"connect.sid=s%3A%ED%A0%80." + express.Sign("\xed\xa0\x80", secret)}, 0},
		"Latin-1":                 {[]string{"connect.sid=s:é." + express.Sign("é", secret)}, 0},
		"no signature":            {[]string{"connect.sid=s%3A" + id}, 0},
		"empty signature":         {[]string{"connect.sid=s%3A" + id + "."}, 0},
		"signature of another ID": {[]string{"connect.sid=s%3Ax" + strings.TrimPrefix(sid, "s%3A")}, 0},
		"padded signature":        {[]string{"connect.sid=" + sid + "="}, 0},
		"signature in base64url":  {[]string{"connect.sid=s%3Asid0." + strings.NewReplacer("+", "-", "/", "_").Replace(express.Sign("sid0", secret))}, 0},
		"empty ID":                {[]string{"connect.sid=" + signed("")}, 0},
		"8 KB":                    {[]string{"connect.sid=" + signed(strings.Repeat("x", 8192))}, 0},
		"plus as a space":         {[]string{"connect.sid=s:a+b." + express.Sign("a b", secret)}, 0},
		"first of two is bad":     {[]string{"connect.sid=bad; connect.sid=" + sid}, 0},
		"first header is bad":     {[]string{"connect.sid=bad", "connect.sid=" + sid}, 0},

		"valid":                    {[]string{"connect.sid=" + sid}, 1},
		"valid, not escaped":       {[]string{"connect.sid=s:" + id + "." + express.Sign(id, secret)}, 1},
		"plus":                     {[]string{"connect.sid=s:a+b." + express.Sign("a+b", secret)}, 1},
		"quotes":                   {[]string{`connect.sid="` + sid + `"`}, 1},
		"spaces":                   {[]string{"a=b;  connect.sid = " + sid + " ; c=d"}, 1},
		"second of two is bad":     {[]string{"connect.sid=" + sid + "; connect.sid=bad"}, 1},
		"a pair without a value":   {[]string{"connect.sid; connect.sid=" + sid}, 1},
		"NUL in a signed ID":       {[]string{"connect.sid=s%3Aa%00b." + url.PathEscape(express.Sign("a\x00b", secret))}, 1},
		"operators in a signed ID": {[]string{"connect.sid=" + signed(`{"$ne":null}`)}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			store := &spy{}
			x, err := express.Open(t.Context(), store, secret)
			require.NoError(t, err)
			r := request("")
			r.Header["Cookie"] = c.header
			s, err := x.Load(r)
			require.NoError(t, err)
			require.Empty(t, s.ID())
			require.Equal(t, c.calls, store.calls)
		})
	}
}

func TestCookie_NameAndSecrets(t *testing.T) {
	store := &spy{}
	x, err := express.Open(t.Context(), store, "new secret", express.WithCookieName("shop"), express.WithAcceptedSecrets("", secret))
	require.NoError(t, err)
	r := request(sid)
	_, err = x.Load(r)
	require.NoError(t, err)
	require.Zero(t, store.calls, "connect.sid")
	r.Header = http.Header{"Cookie": {"shop=" + sid}}
	_, err = x.Load(r)
	require.NoError(t, err)
	require.Equal(t, 1, store.calls, "shop")
	r.Header = http.Header{"Cookie": {"shop=s:" + id + "." + express.Sign(id, "")}}
	_, err = x.Load(r)
	require.NoError(t, err)
	require.Equal(t, 1, store.calls, "an empty secret signs nothing")
}

// An accepted value is one that express-session would produce for its ID, up to
// escaping.
func FuzzCookie(f *testing.F) {
	for _, value := range []string{sid, "s:" + id, "%zz", `"` + sid + `"`, "s%3A%ED%A0%80.x", signed("a.b"), signed("é")} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		id, ok := express.CookieID(value, secret)
		if !ok {
			return
		}
		require.NotEmpty(t, id)
		require.LessOrEqual(t, len(value), 4096)
		require.Contains(t, must(url.PathUnescape(value)), "s:"+id+"."+express.Sign(id, secret))
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
