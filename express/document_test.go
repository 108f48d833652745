package express_test

import (
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/express"
)

// Documents of connect-mongo 6.
const (
	textVector = `{"cookie":{"originalMaxAge":60000,"expires":"2030-01-01T00:00:00.000Z","httpOnly":true,"path":"/"},"user":"ada","n":1}`
	bsonVector = "dd000000025f69640021000000303132333435363738396162636465666768696a4142434445464748494a5f2d000373657373696f6e009400000003636f6f6b69650072000000106f726967696e616c4d61784167650060ea00000a706172746974696f6e6564000a7072696f726974790009657870697265730000b4c5dab80100000a7365637572650008687474704f6e6c7900010a646f6d61696e00027061746800020000002f000a73616d655369746500000275736572000400000061646100106e00010000000009657870697265730000b4c5dab801000000"
	bsonAsJSON = `{"cookie":{"originalMaxAge":60000,"partitioned":null,"priority":null,"expires":"2030-01-01T00:00:00.000Z","secure":null,"httpOnly":true,"domain":null,"path":"/","sameSite":null},"user":"ada","n":1}`
)

func TestDocument_Vectors(t *testing.T) {
	store, err := express.NewMongoStore(offline(t))
	require.NoError(t, err)
	for want, doc := range map[string]bson.Raw{
		textVector: must(bson.Marshal(bson.D{{Key: "session", Value: textVector}})),
		bsonAsJSON: must(hex.DecodeString(bsonVector)),
	} {
		got, err := store.DecodeDocument(doc)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		names, err := express.DecodeJSON(got)
		require.NoError(t, err)
		require.Equal(t, []string{"user", "n"}, names)
	}
}

// Each value is the one of JSON.stringify under Node.js, after the driver has read
// it.
func TestDocument_ValuesOfSubDocuments(t *testing.T) {
	store, err := express.NewMongoStore(offline(t))
	require.NoError(t, err)
	at := time.Date(2030, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	oid, err := bson.ObjectIDFromHex("0123456789abcdef01234567")
	require.NoError(t, err)
	decimal, err := bson.ParseDecimal128("1.50")
	require.NoError(t, err)
	for want, v := range map[string]any{
		`1`: int32(1), `9007199254740993`: int64(9007199254740993), `1.5`: 1.5, `2592000000`: 2592000000.0, `0`: math.Copysign(0, -1),
		`1e+21`: 1e21, `123456789012345680000`: 123456789012345680000.0, `1e-7`: 1e-7, `0.000001`: 1e-6, `1.5e-10`: 1.5e-10, `-5e-324`: -5e-324,
		`null`: nil, `true`: true, `"a\"<é\n"`: "a\"<é\n", `"2030-01-02T03:04:05.678Z"`: at, `"0123456789abcdef01234567"`: oid,
		`"AQID"`: []byte{1, 2, 3}, `{"$numberDecimal":"1.50"}`: decimal, `{}`: bson.Regex{Pattern: "a"}, `[1,null,"x"]`: bson.A{int32(1), bson.Undefined{}, "x"},
		`{"a":{"b":[{}]}}`: bson.D{{Key: "a", Value: bson.D{{Key: "b", Value: bson.A{bson.D{}}}}}},
		`{"b":1}`:          bson.D{{Key: "a", Value: bson.Undefined{}}, {Key: "b", Value: 1}, {Key: "c", Value: bson.JavaScript("x")}},
	} {
		doc := must(bson.Marshal(bson.D{{Key: "session", Value: bson.D{{Key: "cookie", Value: bson.D{}}, {Key: "v", Value: v}}}}))
		got, err := store.DecodeDocument(doc)
		require.NoError(t, err)
		require.Equal(t, `{"cookie":{},"v":`+want+`}`, string(got))
	}
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		got, err := store.DecodeDocument(must(bson.Marshal(bson.D{{Key: "session", Value: bson.D{{Key: "v", Value: f}}}})))
		require.NoError(t, err)
		require.Equal(t, `{"v":null}`, string(got))
	}
}

// hourLater is an expiry in the future.
var hourLater = time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)

const plainCookie = `"cookie":{"originalMaxAge":3600000,"expires":"2030-01-01T00:00:00.000Z","httpOnly":true,"path":"/"}`

// document returns a document of connect-mongo with the given session.
func document(form any) bson.D {
	return bson.D{{Key: "_id", Value: id}, {Key: "session", Value: form}, {Key: "expires", Value: hourLater}}
}

func TestLoad_ExpiredAndDamaged(t *testing.T) {
	const ok = `{` + plainCookie + `,"passport":{"user":"ada"}}`
	with := func(key string, v any) bson.D {
		doc := document(ok)
		for i := range doc {
			if doc[i].Key == key {
				doc[i].Value = v
			}
		}
		return doc
	}
	for name, c := range map[string]struct {
		doc    bson.D
		found  bool
		logged bool
	}{
		"valid":                       {document(ok), true, false},
		"expires is absent":           {bson.D{{Key: "_id", Value: id}, {Key: "session", Value: ok}}, true, false},
		"expires is null":             {with("expires", nil), false, false},
		"expires is text":             {with("expires", "2099-01-01T00:00:00.000Z"), false, false},
		"expires is a number":         {with("expires", 4e12), false, false},
		"expired":                     {with("expires", time.Now().Add(-time.Second)), false, false},
		"no session":                  {bson.D{{Key: "_id", Value: id}, {Key: "expires", Value: hourLater}}, false, true},
		"session is null":             {document(nil), false, true},
		"session is a number":         {document(7), false, true},
		"session is an array":         {document(bson.A{ok}), false, true},
		"empty text":                  {document(""), false, true},
		"cut text":                    {document(ok[:len(ok)-5]), false, true},
		"cut cookie":                  {document(ok[:40]), false, true},
		"text after the object":       {document(ok + "x"), false, true},
		"an array":                    {document("[" + ok + "]"), false, true},
		"a JSON string":               {document(string(must(json.Marshal(ok)))), false, true},
		"[object Object]":             {document("[object Object]"), false, true},
		"encrypted":                   {document("AAECAwQFBgcICQoL5zWsiFrrFslflt0QKMlP"), false, true},
		"no cookie":                   {document(`{"passport":{"user":"ada"}}`), false, true},
		"cookie is null":              {document(`{"cookie":null,"passport":{"user":"ada"}}`), false, true},
		"cookie is text":              {document(`{"cookie":"x","passport":{"user":"ada"}}`), false, true},
		"cookie is empty":             {document(`{"cookie":{},"passport":{"user":"ada"}}`), true, false},
		"odd types in cookie":         {document(`{"cookie":{"originalMaxAge":"60000","path":7,"secure":"auto","sameSite":"bogus","domain":[]},"passport":{"user":"ada"}}`), true, false},
		"huge maximum age":            {document(`{"cookie":{"originalMaxAge":1e300},"passport":{"user":"ada"}}`), true, false},
		"deep":                        {document(strings.Repeat(`{"cookie":`, 20000) + strings.Repeat("}", 20000)), false, true},
		"user is an object":           {document(`{` + plainCookie + `,"passport":{"user":{"id":7}}}`), false, true},
		"user is true":                {document(`{` + plainCookie + `,"passport":{"user":true}}`), false, true},
		"sub-document without cookie": {document(bson.D{{Key: "passport", Value: bson.D{{Key: "user", Value: "ada"}}}}), false, true},
		"sub-document":                {document(bson.D{{Key: "cookie", Value: bson.D{}}, {Key: "passport", Value: bson.D{{Key: "user", Value: "ada"}}}}), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			coll, logs := collection(t), &logs{}
			x := open(t, coll, express.WithLogger(slog.New(slog.NewTextHandler(logs, nil))))
			insert(t, coll, c.doc)
			s, err := x.Load(request(sid))
			require.NoError(t, err)
			require.Equal(t, c.found, s.ID() != "")
			if c.found {
				require.Equal(t, "ada", s.User())
			}
			require.Equal(t, c.logged, strings.Contains(logs.String(), "session cannot be read; treating it as absent"), logs.String())
			require.NotContains(t, logs.String(), id)
			require.NotContains(t, logs.String(), "ada")

			key := express.Key[string]("color")
			err = key.Set(t.Context(), s, "red")
			if !c.found {
				require.ErrorIs(t, err, session.ErrNotFound)
				require.NoError(t, s.End(t.Context()))
				after, err := coll.FindOne(t.Context(), bson.D{}).Raw()
				require.NoError(t, err)
				require.Equal(t, must(bson.Marshal(c.doc)), []byte(after), "the document is unchanged")
			}
		})
	}
}

// Express drops these properties when it loads a session.
func TestLoad_ReservedNames(t *testing.T) {
	coll := collection(t)
	names := []string{"id", "req", "touch", "resetMaxAge", "save", "reload", "destroy", "regenerate", "constructor", "toString", "valueOf", "hasOwnProperty", "__proto__"}
	text := `{` + plainCookie
	for _, name := range names {
		text += `,"` + name + `":"x"`
	}
	insert(t, coll, document(text+`,"a.b":1,"$c":2,"":3}`))
	s, err := open(t, coll).Load(request(sid))
	require.NoError(t, err)
	require.Equal(t, []string{"a.b", "$c", ""}, s.Names())
	for _, name := range append(names, "cookie") {
		key := express.Key[json.RawMessage](name)
		_, ok := key.Get(s)
		require.False(t, ok && name != "cookie", name)
		require.Error(t, key.Set(t.Context(), s, json.RawMessage("1")), name)
	}
}

func TestSession_Properties(t *testing.T) {
	coll := collection(t)
	insert(t, coll, document(`{`+plainCookie+`,"passport":{"user":7},"big":12345678901234567890,"twice":1,"twice":2,"list":[1,"a"],"null":null}`))
	logs := &logs{}
	s, err := open(t, coll, express.WithLogger(slog.New(slog.NewTextHandler(logs, nil)))).Load(request(sid))
	require.NoError(t, err)
	require.Equal(t, "7", s.User())
	raw, ok := s.JSON("big")
	require.True(t, ok)
	require.Equal(t, "12345678901234567890", string(raw))
	n, ok := express.Key[json.Number]("big").Get(s)
	require.True(t, ok)
	require.Equal(t, json.Number("12345678901234567890"), n)
	require.Equal(t, 2, express.Key[int]("twice").GetOr(s, 0), "the last one counts")
	require.Equal(t, 9, express.Key[int]("none").GetOr(s, 9))
	require.Equal(t, 9, express.Key[int]("list").GetOr(s, 9))
	require.Contains(t, logs.String(), "property does not fit its type")
	for _, path := range [][]string{{"none"}, {"passport", "none"}, {"passport", "user", "id"}, {"list", "0"}} {
		_, ok := s.JSON(path[0], path[1:]...)
		require.False(t, ok, path)
	}
	_, ok = s.JSON("cookie")
	require.True(t, ok)
}

func FuzzDocument(f *testing.F) {
	store, err := express.NewMongoStore(offline(f))
	require.NoError(f, err)
	f.Add([]byte(must(hex.DecodeString(bsonVector))))
	f.Add(must(bson.Marshal(document(textVector))))
	f.Fuzz(func(t *testing.T, doc []byte) {
		if bson.Raw(doc).Validate() != nil {
			return
		}
		text, err := store.DecodeDocument(doc)
		if err != nil {
			require.ErrorIs(t, err, express.ErrDamaged)
			return
		}
		if bson.Raw(doc).Lookup("session").Type == bson.TypeEmbeddedDocument {
			require.True(t, json.Valid(text), "%s", text)
		}
		_, _ = express.DecodeJSON(text)
	})
}

// A session with a changed property differs in nothing else.
func FuzzSetMember(f *testing.F) {
	f.Add([]byte(textVector), "n")
	f.Add([]byte(` { "a" : 1.50 , "a":2, "b\u0000":{} } `), "a")
	f.Fuzz(func(t *testing.T, text []byte, name string) {
		if _, err := express.DecodeJSON(text); err != nil {
			return
		}
		var before, after map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(text, &before))
		got, err := express.SetMember(text, name, json.RawMessage("7"))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(got, &after))
		delete(before, string([]rune(name)))
		delete(after, string([]rune(name)))
		require.Equal(t, before, after)
	})
}
