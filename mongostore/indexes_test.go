package mongostore_test

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/mongostore"
)

// indexName returns the name of the index in a createIndexes command.
func indexName(c *call) string {
	array, _ := c.body.Lookup("indexes").ArrayOK()
	if first, err := array.IndexErr(0); c.name == "createIndexes" && err == nil {
		return first.Document().Lookup("name").StringValue()
	}
	return ""
}

// After a reply of the server, errors name the step that failed.
func TestOpen_IndexErrorsNameTheIndex(t *testing.T) {
	quiet := mongostore.WithLogger(slog.New(slog.DiscardHandler))
	for _, index := range []string{"session_user", "session_expires"} {
		t.Run(index, func(t *testing.T) {
			coll, _, relay := relayed(t)
			relay.handle(func(c *call) bson.Raw {
				if indexName(c) == index {
					return failure(13, "not authorized on app to execute command")
				}
				return c.forward()
			})
			_, err := mongostore.OpenCollection(background, coll, quiet)
			require.ErrorContains(t, err, index)
			require.ErrorContains(t, err, coll.Database().Name()+".http_sessions")
			require.ErrorContains(t, err, "not authorized")
			require.ErrorContains(t, err, "WithoutIndexes")
			require.NotContains(t, err.Error(), "no usable server")
			var server mongo.ServerError
			require.ErrorAs(t, err, &server)

			_, err = mongostore.Open(background, relay.uri, mongostore.WithDatabase(coll.Database().Name()), quiet)
			require.ErrorContains(t, err, index)
			require.NotContains(t, err.Error(), "no usable server")
		})
	}
}

// Servers before MongoDB 5.1 cannot convert a plain index to a TTL index.
func TestOpen_PlainIndexThatCannotBecomeTTL(t *testing.T) {
	coll, direct, relay := relayed(t)
	open(t, direct, mongostore.WithExpiry(mongostore.ExpirySweep))
	relay.handle(func(c *call) bson.Raw {
		switch {
		case indexName(c) == "session_expires":
			return failure(85, "Index with name: session_expires already exists with different options")
		case c.name == "collMod":
			return failure(72, "no expireAfterSeconds field to update")
		}
		return c.forward()
	})
	_, err := mongostore.OpenCollection(background, coll)
	require.ErrorContains(t, err, `index "session_expires"`)
	require.ErrorContains(t, err, `db.http_sessions.dropIndex("session_expires")`)
	require.ErrorContains(t, err, "ExpirySweep")
	require.NotContains(t, err.Error(), "no usable server")
}

// createUserIndex creates an index as an older version or another program would.
func createUserIndex(coll *mongo.Collection, opts *options.IndexOptionsBuilder) error {
	_, err := coll.Indexes().CreateOne(background, mongo.IndexModel{
		Keys: bson.D{{Key: "user", Value: 1}, {Key: "created", Value: 1}}, Options: opts.SetName("session_user"),
	})
	return err
}

func TestOpen_UserIndexOfAnotherCollation(t *testing.T) {
	coll := testserver.Collection(t)
	err := createUserIndex(coll, options.Index().SetCollation(&options.Collation{Locale: "en", Strength: 2}))
	var server mongo.ServerError
	unknown := errors.As(err, &server) && server.HasErrorCode(238)
	testserver.Get(t).Need(t, "collations of indexes", !unknown)
	require.NoError(t, err)
	_, err = mongostore.OpenCollection(background, coll)
	require.ErrorContains(t, err, `index "session_user"`)
	require.ErrorContains(t, err, "collation")
	require.ErrorContains(t, err, `db.http_sessions.dropIndex("session_user")`)
	require.NoError(t, coll.Indexes().DropOne(background, "session_user"))
	open(t, coll)
}

// Open accepts the indexes of earlier versions. An index without a collation has
// the simple one, unless the collection has a default collation.
func TestOpen_UserIndexOfAnEarlierVersion(t *testing.T) {
	partial := bson.D{{Key: "user", Value: bson.D{{Key: "$gt", Value: ""}}}}
	for name, opts := range map[string]*options.IndexOptionsBuilder{
		"partial": options.Index().SetPartialFilterExpression(partial),
		"plain":   options.Index(),
	} {
		t.Run(name, func(t *testing.T) {
			coll := testserver.Collection(t)
			err := createUserIndex(coll, opts)
			var server mongo.ServerError
			unknown := errors.As(err, &server) && server.HasErrorCode(238)
			testserver.Get(t).Need(t, "partial indexes", !unknown)
			require.NoError(t, err)
			open(t, coll)
		})
	}
}

// cursor is the reply of a find.
func cursor(ns string, docs ...any) bson.Raw {
	return must(bson.Marshal(bson.D{
		{Key: "ok", Value: 1},
		{Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: ns}, {Key: "firstBatch", Value: append(bson.A{}, docs...)}}},
	}))
}

// If a collection's default collation ignores case, a server without collations
// for queries finds other users too.
func TestList_OtherUsersAreLeftOut(t *testing.T) {
	coll, _, relay := relayed(t)
	store := open(t, coll, mongostore.WithoutIndexes())
	relay.handle(func(c *call) bson.Raw {
		if c.name != "find" {
			return c.forward()
		}
		var docs []any
		for i, user := range []string{"Ann", "ann", "ANN", "änn"} {
			docs = append(docs, bson.D{{Key: "_id", Value: bson.Binary{Subtype: 4, Data: []byte(strings.Repeat(string(rune('0'+i)), 16))}}, {Key: "user", Value: user}})
		}
		return cursor(c.body.Lookup("$db").StringValue()+".http_sessions", docs...)
	})
	infos, err := store.List(background, "ann")
	require.NoError(t, err)
	require.Len(t, infos, 1)
	require.Equal(t, "ann", infos[0].User)
}

// log collects texts from several goroutines.
type log struct {
	mu    sync.Mutex
	texts []string
}

func (l *log) add(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.texts = append(l.texts, text)
}

func (l *log) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.texts
}

// List tries a collation only once if the server does not support it.
func TestList_UsesTheSimpleCollation(t *testing.T) {
	for name, known := range map[string]bool{"known": true, "unknown": false} {
		t.Run(name, func(t *testing.T) {
			coll, _, relay := relayed(t)
			store := open(t, coll, mongostore.WithoutIndexes())
			var collations log
			relay.handle(func(c *call) bson.Raw {
				if c.name != "find" {
					return c.forward()
				}
				locale, _ := c.body.Lookup("collation", "locale").StringValueOK()
				if collations.add(locale); locale != "" && !known {
					return failure(238, "find: support for field collation is not implemented yet")
				}
				return cursor(c.body.Lookup("$db").StringValue() + ".http_sessions")
			})
			for range 2 {
				_, err := store.List(background, "ann")
				require.NoError(t, err)
			}
			want := []string{"simple", "simple"}
			if !known {
				want = []string{"simple", "", ""}
			}
			require.Equal(t, want, collations.all())
		})
	}
}

// A query cannot use an index with another collation. If the index has no
// collation, no query has one.
func TestOpen_UserIndexHasTheSimpleCollation(t *testing.T) {
	coll, _, relay := relayed(t)
	var locales log
	relay.handle(func(c *call) bson.Raw {
		if indexName(c) == "session_user" {
			array := c.body.Lookup("indexes").Array()
			locale, _ := array.Index(0).Document().Lookup("collation", "locale").StringValueOK()
			locales.add(locale)
		}
		return c.forward()
	})
	store := open(t, coll)
	all := locales.all()
	require.Equal(t, "simple", all[0])
	var queries log
	relay.handle(func(c *call) bson.Raw {
		if c.name == "find" {
			locale, _ := c.body.Lookup("collation", "locale").StringValueOK()
			queries.add(locale)
		}
		return c.forward()
	})
	_, err := store.List(background, "ann")
	require.NoError(t, err)
	require.Equal(t, all[len(all)-1:], queries.all())
}
