package express_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/express"
)

type ctxT = context.Context

const (
	color express.Key[string]   = "color"
	count express.Key[int]      = "count"
	items express.Key[[]string] = "items"
)

// forms are the two forms of one session. Its numbers would change if they were
// decoded into a float64 and encoded again.
func forms(extra ...bson.E) map[string]any {
	text := `{ "cookie":{"originalMaxAge":60000, "expires":"2030-01-01T00:00:00.000Z","httpOnly":true,"path":"/"},"big":12345678901234567890.10,"e":1E5`
	doc := bson.D{
		{Key: "cookie", Value: bson.D{{Key: "originalMaxAge", Value: int32(60000)}, {Key: "expires", Value: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}, {Key: "path", Value: "/"}, {Key: "sameSite", Value: nil}}},
		{Key: "big", Value: int64(9007199254740993)},
		{Key: "e", Value: 1e5},
	}
	for _, e := range extra {
		raw := must(bson.MarshalExtJSON(bson.D{e}, false, false))
		text += "," + strings.TrimSuffix(strings.TrimPrefix(string(raw), "{"), "}")
		doc = append(doc, e)
	}
	return map[string]any{"text": text + "}", "sub-document": doc}
}

// eachForm runs a test with a session in each form.
func eachForm(t *testing.T, extra []bson.E, f func(t *testing.T, coll *mongo.Collection, s *express.Session)) {
	for name, form := range forms(extra...) {
		t.Run(name, func(t *testing.T) {
			coll := collection(t)
			insert(t, coll, document(form))
			s, err := open(t, coll).Load(request(sid))
			require.NoError(t, err)
			f(t, coll, s)
		})
	}
}

// stored returns the document of the session.
func stored(t testing.TB, coll *mongo.Collection) bson.Raw {
	t.Helper()
	raw, err := coll.FindOne(t.Context(), bson.D{{Key: "_id", Value: id}}).Raw()
	require.NoError(t, err)
	return raw
}

func TestKeySet_OnlyThisProperty(t *testing.T) {
	eachForm(t, []bson.E{{Key: "color", Value: "blue"}, {Key: "last", Value: bson.D{{Key: "a", Value: 1.5}}}}, func(t *testing.T, coll *mongo.Collection, s *express.Session) {
		require.NoError(t, color.Set(t.Context(), s, `r"é<`))
		require.NoError(t, items.Set(t.Context(), s, []string{"tea"}))
		raw := stored(t, coll)
		expires := raw.Lookup("expires").Time().UTC()
		require.WithinDuration(t, time.Now().Add(time.Minute), expires, 10*time.Second, "now + originalMaxAge")
		if text, ok := raw.Lookup("session").StringValueOK(); ok {
			require.Equal(t, `{"cookie":{"originalMaxAge":60000,"expires":"`+expires.Format("2006-01-02T15:04:05.000Z")+`","httpOnly":true,"path":"/"},`+
				`"big":12345678901234567890.10,"e":1E5,"color":"r\"é<","last":{"a":1.5},"items":["tea"]}`, text)
			return
		}
		require.Equal(t, must(bson.Marshal(bson.D{
			{Key: "cookie", Value: bson.D{{Key: "originalMaxAge", Value: int32(60000)}, {Key: "expires", Value: expires}, {Key: "path", Value: "/"}, {Key: "sameSite", Value: nil}}},
			{Key: "big", Value: int64(9007199254740993)},
			{Key: "e", Value: 1e5},
			{Key: "color", Value: `r"é<`},
			{Key: "last", Value: bson.D{{Key: "a", Value: 1.5}}},
			{Key: "items", Value: bson.A{"tea"}},
		})), []byte(raw.Lookup("session").Document()))
	})
}

func TestKeyDelete_OnlyThisProperty(t *testing.T) {
	eachForm(t, []bson.E{{Key: "color", Value: "blue"}, {Key: "last", Value: 1}}, func(t *testing.T, coll *mongo.Collection, s *express.Session) {
		require.NoError(t, color.Delete(t.Context(), s))
		require.NoError(t, color.Delete(t.Context(), s), "an absent property")
		again, err := open(t, coll).Load(request(sid))
		require.NoError(t, err)
		require.Equal(t, []string{"big", "e", "last"}, again.Names())
	})
}

func TestKeyUpdate_Parallel(t *testing.T) {
	eachForm(t, nil, func(t *testing.T, coll *mongo.Collection, s *express.Session) {
		const workers, times = 4, 10
		var done sync.WaitGroup
		for i := range workers {
			done.Go(func() {
				for range times {
					if _, err := count.Update(t.Context(), s, func(n int) int { return n + 1 }); err != nil {
						t.Error(err)
					}
					if err := express.Key[int](fmt.Sprint("of", i)).Set(t.Context(), s, 1); err != nil {
						t.Error(err)
					}
				}
			})
		}
		done.Wait()
		again, err := open(t, coll).Load(request(sid))
		require.NoError(t, err)
		require.Equal(t, workers*times, count.GetOr(again, 0))
		require.Len(t, again.Names(), 3+workers)
	})
}

// An array that contains the old value is not the old value.
func TestKeyUpdate_ComparesArraysExactly(t *testing.T) {
	needNames(t)
	const list express.Key[any] = "list"
	for name, c := range map[string]struct{ before, meanwhile any }{
		"in an array":           {"tea", bson.A{"tea"}},
		"array in an array":     {bson.A{"tea", "milk"}, bson.A{bson.A{"tea", "milk"}}},
		"null and absent":       {nil, bson.Undefined{}},
		"absent and null":       {bson.Undefined{}, nil},
		"another field's order": {bson.D{{Key: "a", Value: 1}, {Key: "b", Value: 1}}, bson.D{{Key: "b", Value: 1}, {Key: "a", Value: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			set := func(v any) bson.D {
				session := bson.D{{Key: "cookie", Value: bson.D{}}}
				if _, absent := v.(bson.Undefined); !absent {
					session = append(session, bson.E{Key: "list", Value: v})
				}
				return document(session)
			}
			coll := collection(t)
			insert(t, coll, set(c.before))
			s, err := open(t, coll).Load(request(sid))
			require.NoError(t, err)
			calls := 0
			_, err = list.Update(t.Context(), s, func(any) any {
				if calls++; calls == 1 {
					_, err := coll.ReplaceOne(t.Context(), bson.D{{Key: "_id", Value: id}}, set(c.meanwhile))
					require.NoError(t, err)
				}
				return "new"
			})
			require.NoError(t, err)
			require.Equal(t, 2, calls)
		})
	}
}

// Express writes its session over a change of Go, or ends the session. Go never
// creates it again.
func TestWrite_BesideExpress(t *testing.T) {
	eachForm(t, nil, func(t *testing.T, coll *mongo.Collection, s *express.Session) {
		form := stored(t, coll).Lookup("session")
		calls := 0
		n, err := count.Update(t.Context(), s, func(n int) int {
			if calls++; calls == 1 { // a request of Express sets another property
				if _, ok := form.StringValueOK(); ok {
					expressSet(t, coll, id, strings.Replace(form.StringValue(), `"e"`, `"count":41,"e"`, 1))
				} else {
					expressSet(t, coll, id, append(forms()["sub-document"].(bson.D), bson.E{Key: "count", Value: 41}))
				}
			}
			return n + 1
		})
		require.NoError(t, err)
		require.Equal(t, 42, n)
		require.Equal(t, 2, calls)

		_, err = count.Update(t.Context(), s, func(n int) int {
			_, err := coll.DeleteOne(t.Context(), bson.D{})
			require.NoError(t, err)
			return n + 1
		})
		require.ErrorIs(t, err, session.ErrNotFound)
		require.ErrorIs(t, color.Set(t.Context(), s, "red"), session.ErrNotFound)
		require.ErrorIs(t, color.Delete(t.Context(), s), session.ErrNotFound)
		require.ErrorIs(t, s.Touch(t.Context()), session.ErrNotFound)
		left, err := coll.CountDocuments(t.Context(), bson.D{})
		require.NoError(t, err)
		require.Zero(t, left)
	})
}

func TestWrite_KeptChanging(t *testing.T) {
	coll := collection(t)
	insert(t, coll, document(forms()["text"]))
	s, err := open(t, coll, express.WithStoreTimeout(100*time.Millisecond)).Load(request(sid))
	require.NoError(t, err)
	i := 0
	_, err = count.Update(t.Context(), s, func(n int) int {
		i++
		expressSet(t, coll, id, strings.Replace(forms()["text"].(string), `"e"`, fmt.Sprintf(`"i":%d,"e"`, i), 1))
		return n + 1
	})
	require.Error(t, err)
	require.True(t, errors.Is(err, session.ErrConflict) || errors.Is(err, session.ErrUnavailable) || errors.Is(err, session.ErrUncertain), err)
}

// Names that cannot be part of a path of MongoDB.
func TestWrite_NamesWithDotsAndDollars(t *testing.T) {
	needNames(t)
	for _, name := range []string{"a.b", "$set", "a.", ".", "a$b", "é", `a"b`} {
		eachForm(t, []bson.E{{Key: "last", Value: 1}}, func(t *testing.T, coll *mongo.Collection, s *express.Session) {
			key := express.Key[int](name)
			require.NoError(t, key.Set(t.Context(), s, 1))
			n, err := key.Update(t.Context(), s, func(n int) int { return n + 1 })
			require.NoError(t, err)
			require.Equal(t, 2, n)
			again, err := open(t, coll).Load(request(sid))
			require.NoError(t, err)
			require.Equal(t, []string{"big", "e", "last", name}, again.Names())
			raw, _ := again.JSON("big")
			require.Contains(t, []string{"12345678901234567890.10", "9007199254740993"}, string(raw))
			require.NoError(t, key.Delete(t.Context(), s))
			again, err = open(t, coll).Load(request(sid))
			require.NoError(t, err)
			require.Equal(t, []string{"big", "e", "last"}, again.Names())
		})
	}
}

func TestWrite_Refused(t *testing.T) {
	eachForm(t, nil, func(t *testing.T, coll *mongo.Collection, s *express.Session) {
		before := stored(t, coll)
		for _, v := range []any{
			int64(9007199254740993), uint64(1 << 63),
			[]any{1, map[string]any{"a": int64(-9007199254740993)}},
			make(chan int),
			json.Number("1e400"), json.Number("1e-400"), json.Number("1.2345e-320"), json.Number("0.12345678901234567890"),
		} {
			require.Error(t, express.Key[any]("n").Set(t.Context(), s, v), v)
		}
		for _, name := range []string{"", "a\x00b", "cookie", "save", "toString", "__proto__"} {
			require.ErrorContains(t, express.Key[int](name).Set(t.Context(), s, 1), "cannot be named", name)
		}
		_, err := express.Key[string]("e").Update(t.Context(), s, func(s string) string { return s })
		require.ErrorContains(t, err, "does not fit")
		require.Equal(t, before, stored(t, coll))
		require.NoError(t, express.Key[any]("n").Set(t.Context(), s, []any{int64(1) << 53, 0.1, 1e21, -1.5e-7, true, nil, json.Number("0e9"), json.Number("1E3"), json.Number("0.10000000000000000")}))
	})
}

// The values in a sub-document have the types of the Node.js driver.
func TestKeySet_TypesInSubDocuments(t *testing.T) {
	coll := collection(t)
	insert(t, coll, document(forms()["sub-document"]))
	s, err := open(t, coll).Load(request(sid))
	require.NoError(t, err)
	require.NoError(t, express.Key[any]("v").Set(t.Context(), s, []any{1, -2147483648, 2147483648, 1.5, 1e9, "x", true, nil, map[string]any{"a": []any{}}}))
	require.Equal(t, must(bson.Marshal(bson.D{{Key: "v", Value: bson.A{
		int32(1), int32(-2147483648), 2147483648.0, 1.5, int32(1e9), "x", true, nil, bson.D{{Key: "a", Value: bson.A{}}},
	}}})), must(bson.Marshal(bson.D{{Key: "v", Value: stored(t, coll).Lookup("session", "v")}})))
}

// The fields beside the session follow the configuration of connect-mongo.
func TestWrite_TopLevelFields(t *testing.T) {
	for name, c := range map[string]struct {
		maxAge  any
		expires any // of the document at first
		last    any // lastModified at first
		left    time.Duration
	}{
		"maximum age":          {60000, hourLater, nil, time.Minute},
		"as int64":             {int64(60000), hourLater, nil, time.Minute},
		"30 days, as a double": {2592000000.0, hourLater, nil, 30 * 24 * time.Hour},
		"no maximum age":       {nil, hourLater, nil, 14 * 24 * time.Hour},
		"text":                 {"60000", hourLater, nil, 14 * 24 * time.Hour},
		"touchAfter":           {60000, hourLater, time.Now().Add(-time.Hour), time.Minute},
		"lastModified is text": {60000, hourLater, "x", time.Minute},
		"never expires":        {60000, nil, nil, 0},
	} {
		for _, call := range []string{"Set", "Touch"} {
			t.Run(name+" "+call, func(t *testing.T) {
				coll := collection(t)
				doc := bson.D{
					{Key: "_id", Value: id},
					{Key: "other", Value: "kept"},
					{Key: "session", Value: bson.D{{Key: "cookie", Value: bson.D{{Key: "originalMaxAge", Value: c.maxAge}, {Key: "expires", Value: nil}}}}},
				}
				if c.expires != nil {
					doc = append(doc, bson.E{Key: "expires", Value: c.expires})
				}
				if c.last != nil {
					doc = append(doc, bson.E{Key: "lastModified", Value: c.last})
				}
				insert(t, coll, doc)
				s, err := open(t, coll).Load(request(sid))
				require.NoError(t, err)
				if call == "Set" {
					require.NoError(t, color.Set(t.Context(), s, "red"))
				} else {
					require.NoError(t, s.Touch(t.Context()))
				}
				raw := stored(t, coll)
				require.Equal(t, "kept", raw.Lookup("other").StringValue())
				_, err = raw.LookupErr("expires")
				if c.expires == nil {
					require.Error(t, err, "expires stays absent")
				} else {
					require.WithinDuration(t, time.Now().Add(c.left), raw.Lookup("expires").Time(), 10*time.Second)
				}
				switch last := raw.Lookup("lastModified"); c.last.(type) {
				case time.Time:
					require.WithinDuration(t, time.Now(), last.Time(), 10*time.Second)
				case string:
					require.Equal(t, "x", last.StringValue())
				default:
					require.True(t, last.IsZero())
				}
			})
		}
	}
}

func TestWrite_WithTTL(t *testing.T) {
	coll := collection(t)
	insert(t, coll, document(`{"cookie":{"originalMaxAge":null,"expires":null}}`))
	store, err := express.NewMongoStore(coll, express.WithTTL(time.Hour))
	require.NoError(t, err)
	x, err := express.Open(t.Context(), store, secret)
	require.NoError(t, err)
	s, err := x.Load(request(sid))
	require.NoError(t, err)
	require.NoError(t, color.Set(t.Context(), s, "red"))
	raw := stored(t, coll)
	require.WithinDuration(t, time.Now().Add(time.Hour), raw.Lookup("expires").Time(), 10*time.Second)
	require.Equal(t, `{"cookie":{"originalMaxAge":null,"expires":null},"color":"red"}`, raw.Lookup("session").StringValue())
}

func TestWrite_WithoutSession(t *testing.T) {
	s, err := open(t, collection(t)).Load(request(sid))
	require.NoError(t, err)
	require.ErrorIs(t, color.Set(t.Context(), s, "red"), session.ErrNotFound)
	_, err = count.Update(t.Context(), s, func(n int) int { return n })
	require.ErrorIs(t, err, session.ErrNotFound)
	require.ErrorIs(t, s.Touch(t.Context()), session.ErrNotFound)
	require.Empty(t, s.Names())
	require.Equal(t, "x", color.GetOr(s, "x"))
}

// With touchAfter, connect-mongo takes this property out of a session.
func TestKeySet_LastModified(t *testing.T) {
	coll := collection(t)
	insert(t, coll, append(document(forms()["text"]), bson.E{Key: "lastModified", Value: time.Now()}))
	s, err := open(t, coll).Load(request(sid))
	require.NoError(t, err)
	require.ErrorContains(t, express.Key[string]("lastModified").Set(t.Context(), s, "x"), "cannot be named")
}
