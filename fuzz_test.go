package session_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/securecookie"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// FuzzCookieHeader sends arbitrary Cookie headers. No header is an error, and
// only a cookie signed by this server reaches the store.
func FuzzCookieHeader(f *testing.F) {
	store := memstore.New()
	loads := 0
	m, err := session.New(store, secret, new(logs).option(), session.WithObserver(func(_ ctxT, e session.Event) { loads++ }))
	require.NoError(f, err)
	s := must(m.Load(background, nil))
	s.SignIn("ann")
	require.NoError(f, s.Save(background))
	good := s.Cookie()
	for _, seed := range []string{
		"", "a=b", host + "=", host + "=x", good.Name + "=" + good.Value, good.Name + "=" + good.Value[:len(good.Value)-1],
		good.Name + "=\"" + good.Value + "\"; " + host + "=y", host + "=MTc5NTQwNzc0OXx8fA==", ";;=;" + host,
	} {
		f.Add(seed)
	}
	h := m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(session.FromContext(r.Context()).User()))
	}))
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Cookie"] = []string{header}
		w := httptest.NewRecorder()
		before := loads
		h.ServeHTTP(w, r)
		require.Equal(t, 200, w.Code)
		require.Empty(t, w.Header()["Set-Cookie"])
		if !signed(r) {
			require.Empty(t, w.Body.String())
			require.Equal(t, before, loads, "a cookie with an invalid signature reached the store")
		}
	})
}

// signed reports whether r has a cookie signed with this secret. Other
// processes of the fuzzer have signed some for stores of their own.
func signed(r *http.Request) bool {
	sc := securecookie.New(session.SigningKey(secret), nil).SetSerializer(securecookie.NopEncoder{}).MaxAge(0)
	for _, c := range r.CookiesNamed(host) {
		var raw []byte
		if sc.Decode(host, c.Value, &raw) == nil && len(raw) == 48 {
			return true
		}
	}
	return false
}

// FuzzTokenHeader sends arbitrary values of Authorization, and of another header
// for the token. No value is an error, only a signed token reaches the store,
// and no response has a cookie unless the request may have one.
func FuzzTokenHeader(f *testing.F) {
	store := memstore.New()
	loads := 0
	count := session.WithObserver(func(_ ctxT, e session.Event) { loads++ })
	m, err := session.New(store, secret, new(logs).option(), count, session.WithTokenHeader("Authorization", "Session-Token"))
	require.NoError(f, err)
	raw, err := session.New(store, secret, new(logs).option(), count, session.WithTokenHeader("X-Session", "X-Session"))
	require.NoError(f, err)
	s := must(m.Load(background, nil))
	s.SignIn("ann")
	require.NoError(f, s.Save(background))
	good := s.Cookie().Value
	for _, seed := range []string{
		"", "x", "Bearer", "Bearer ", "bearer\t", "Bearer " + good, "Bearer " + good[1:], good, good + "\n", "Bearer " + good + ", Bearer " + good,
		"Basic x", "Bearer MTc5NTQwNzc0OXx8fA==", "Bearer\u00a0" + good, " \tBEARER  " + good + " ",
	} {
		f.Add(seed)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(session.FromContext(r.Context()).User()))
	})
	f.Fuzz(func(t *testing.T, value string) {
		for _, c := range []struct {
			m                 *session.Manager
			request, response string
		}{{m, "Authorization", "Session-Token"}, {raw, "X-Session", "X-Session"}} {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header[c.request] = []string{value}
			w := httptest.NewRecorder()
			before := loads
			c.m.Wrap(handler).ServeHTTP(w, r)
			require.Equal(t, 200, w.Code)
			require.Empty(t, w.Header()["Set-Cookie"])
			require.Empty(t, w.Header().Get(c.response), "nothing began or renewed a session")
			if !signedValue(value) {
				require.Empty(t, w.Body.String())
				require.Equal(t, before, loads, "a token with an invalid signature reached the store")
			}
		}
	})
}

// signedValue reports whether the last word of value is signed with this
// secret.
func signedValue(value string) bool {
	sc := securecookie.New(session.SigningKey(secret), nil).SetSerializer(securecookie.NopEncoder{}).MaxAge(0)
	words := strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == '\t' })
	var raw []byte
	return len(words) > 0 && sc.Decode(host, words[len(words)-1], &raw) == nil && len(raw) == 48
}

// FuzzIDText checks that an ID accepts only its own text, in either case.
func FuzzIDText(f *testing.F) {
	for _, seed := range []string{"", anID.String(), strings.ToUpper(anID.String()), anID.String()[1:], strings.Repeat("-", 36)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var id session.ID
		err := id.UnmarshalText([]byte(text))
		parsed, parseErr := session.ParseID(text)
		require.Equal(t, parseErr, err)
		require.Equal(t, parsed, id)
		if err == nil {
			require.Equal(t, strings.ToLower(text), id.String())
		}
	})
}

// FuzzJSONText compares the default codec's fast path for strings with
// encoding/json. Both encode the same bytes, decode the same text and return
// the same errors.
func FuzzJSONText(f *testing.F) {
	for _, seed := range []string{
		"", "Ada Lovelace", `"`, `""`, `"Ada"`, ` "Ada" `, `"Ada" "`, `"A\u0064a"`, `"\"`, "\"a\tb\"", "null", "7",
		"<b>&amp;", "Zoë", "\u2028", "\x7f", "\xff", "\"\xff\"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		data, err := session.JSON.Encode(&text)
		require.NoError(t, err)
		require.Equal(t, must(json.Marshal(text)), data)
		want, got := "before", "before"
		wantErr := json.Unmarshal([]byte(text), &want)
		require.Equal(t, wantErr, session.JSON.Decode([]byte(text), &got))
		require.Equal(t, want, got)
	})
}
