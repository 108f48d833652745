package express_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/express"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/memstore"
	"github.com/holdfast-go/session/mongostore"
)

func TestOpen_InvalidOptions(t *testing.T) {
	var none *express.MongoStore
	_, err := express.Open(t.Context(), none, "", nil, express.WithCookieName("a b"), express.WithUser(nil), express.WithRemovalDelay(-1),
		express.WithStoreTimeout(0), express.WithLogger(nil), express.WithErrorHandler(nil), express.WithProperty("", cart))
	for _, part := range []string{
		"option 1 is nil", "the store is nil", "the secret is empty", `WithCookieName("a b")`, "WithUser(nil)", "WithRemovalDelay(-1ns)",
		"WithStoreTimeout(0s)", "WithLogger(nil)", "WithErrorHandler(nil)", `WithProperty("", "cart")`,
	} {
		require.ErrorContains(t, err, part)
	}
	_, err = express.NewMongoStore(nil, nil, express.WithTransformID(nil), express.WithMarks(nil), express.WithTTL(0),
		express.WithKruptein(""), express.WithWebCrypto("", express.WebCrypto{Encoding: "base32"}))
	for _, part := range []string{
		"option 1 is nil", "the collection is nil", "WithTransformID(nil)", "WithMarks(nil)", "WithTTL(0s)", "WithKruptein: the secret is empty",
		"WithWebCrypto: the secret is empty", `encoding "base32"`, "choose one of WithKruptein and WithWebCrypto",
	} {
		require.ErrorContains(t, err, part)
	}
	coll := collection(t)
	_, err = express.NewMongoStore(coll, express.WithMarks(coll))
	require.ErrorContains(t, err, "another collection")
}

func TestOpen_LooksAtSessions(t *testing.T) {
	const ok = `{` + plainCookie + `,"passport":{"user":"ada"}}`
	other := func(id string, form any) bson.D {
		doc := document(form)
		doc[0].Value = id
		return doc
	}
	for name, c := range map[string]struct {
		docs   []bson.D
		option express.MongoOption
		err    string
	}{
		"no session":               {nil, nil, ""},
		"text":                     {[]bson.D{document(ok)}, nil, ""},
		"sub-document":             {[]bson.D{document(bson.D{{Key: "cookie", Value: bson.D{}}})}, nil, ""},
		"one of two is damaged":    {[]bson.D{document("x"), other("b", ok)}, nil, ""},
		"kruptein":                 {[]bson.D{document(krupteinVector)}, express.WithKruptein("squirrel"), ""},
		"kruptein, other secret":   {[]bson.D{document(krupteinVector)}, express.WithKruptein("another"), "another secret"},
		"kruptein, not configured": {[]bson.D{document(krupteinVector)}, nil, "use WithKruptein or WithWebCrypto"},
		"kruptein as Web Crypto":   {[]bson.D{document(krupteinVector)}, express.WithWebCrypto("squirrel", express.WebCrypto{}), "another secret or other options"},
		"Web Crypto as kruptein":   {[]bson.D{document(webVector)}, express.WithKruptein("squirrel"), "use WithWebCrypto"},
		"Web Crypto, other salt":   {[]bson.D{document(webVector)}, express.WithWebCrypto("squirrel", express.WebCrypto{Salt: "x"}), "other options"},
		"Web Crypto as hex":        {[]bson.D{document(webVector)}, express.WithWebCrypto("squirrel", express.WebCrypto{Encoding: "hex"}), "encoding of WithWebCrypto"},
		"plain text as kruptein":   {[]bson.D{document(ok)}, express.WithKruptein("squirrel"), "leave WithKruptein out"},
		"plain text as Web Crypto": {[]bson.D{document(ok)}, express.WithWebCrypto("squirrel", express.WebCrypto{}), "leave the option out"},
		"sub-document as kruptein": {[]bson.D{document(bson.D{{Key: "cookie", Value: bson.D{}}})}, express.WithKruptein("squirrel"), "leave WithKruptein and WithWebCrypto out"},
		"no field session":         {[]bson.D{{{Key: "_id", Value: "a"}, {Key: "name", Value: "ada"}}}, nil, "use the collection of connect-mongo"},
		"an ObjectId":              {[]bson.D{{{Key: "_id", Value: bson.NewObjectID()}, {Key: "session", Value: ok}}}, nil, "use the collection of connect-mongo"},
		"no cookie":                {[]bson.D{document(`{"user":"ada"}`)}, nil, "no cookie"},
		"the user is an object":    {[]bson.D{document(`{` + plainCookie + `,"passport":{"user":{"id":7}}}`)}, nil, "set WithUser"},
	} {
		t.Run(name, func(t *testing.T) {
			coll := collection(t)
			insert(t, coll, c.docs...)
			var options []express.MongoOption
			if c.option != nil {
				options = append(options, c.option)
			}
			store, err := express.NewMongoStore(coll, options...)
			require.NoError(t, err)
			_, err = express.Open(t.Context(), store, secret)
			if c.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.err)
			require.ErrorContains(t, err, coll.Name())
			for _, private := range []string{"squirrel", `"ada"`, id, secret} {
				require.NotContains(t, err.Error(), private)
			}
		})
	}
}

// The collection of mongostore must not be the one of connect-mongo, because
// connect-mongo fails at its start if there is another index on expires.
func TestOpen_CollectionOfMongostore(t *testing.T) {
	coll := collection(t)
	records, err := mongostore.OpenCollection(t.Context(), coll, mongostore.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	defer records.Close(context.Background())
	m, err := session.New(records, goSecret)
	require.NoError(t, err)
	_ = memstore.WithSession(t, m, request(sid), func(s *session.Session) { s.SignIn("ada") })
	store, err := express.NewMongoStore(coll)
	require.NoError(t, err)
	_, err = express.Open(t.Context(), store, secret)
	require.ErrorContains(t, err, "record of mongostore")
}

// Open and all other calls leave the indexes of the sessions alone. The marks have
// an index of their own.
func TestOpen_Indexes(t *testing.T) {
	server := testserver.Get(t)
	server.Need(t, "TTL indexes", server.TTL)
	coll := collection(t)
	insert(t, coll, document(`{`+plainCookie+`}`))
	x := open(t, coll)
	s, err := x.Load(request(sid))
	require.NoError(t, err)
	require.NoError(t, s.End(t.Context()))
	require.Equal(t, 1, countIndexes(t, coll))
	require.Equal(t, 2, countIndexes(t, coll.Database().Collection("sessions_marks")))
}

func countIndexes(t *testing.T, coll *mongo.Collection) int {
	t.Helper()
	specs, err := coll.Indexes().ListSpecifications(t.Context())
	require.NoError(t, err)
	return len(specs)
}

func TestOpen_StoreFails(t *testing.T) {
	down := errors.New("down")
	_, err := express.Open(t.Context(), &hooked{Store: &spy{}, before: func(string) error { return down }}, secret)
	require.ErrorIs(t, err, down)

	// A store that never replies.
	begin := time.Now()
	_, err = express.Open(t.Context(), silent{}, secret, express.WithStoreTimeout(10*time.Millisecond))
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, time.Since(begin), time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = express.Open(ctx, silent{}, secret, express.WithStoreTimeout(time.Minute))
	require.ErrorIs(t, err, context.Canceled)
}

// silent is a store that waits for the end of the context.
type silent struct{ express.Store }

func (silent) Sample(ctx context.Context) ([]express.Stored, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (silent) Load(ctx context.Context, _ string) (express.Stored, error) {
	<-ctx.Done()
	return express.Stored{}, ctx.Err()
}

// If the index of the marks cannot be created, old marks stay, and a warning says so.
func TestOpen_IndexOfTheMarksRefused(t *testing.T) {
	coll, logs := collection(t), &logs{}
	_, err := coll.Database().Collection("sessions_marks").Indexes().CreateOne(t.Context(), mongo.IndexModel{
		Keys: bson.D{{Key: "expires", Value: 1}},
	})
	require.NoError(t, err)
	open(t, coll, express.WithLogger(slog.New(slog.NewTextHandler(logs, nil))))
	require.Contains(t, logs.String(), "old marks will not be removed")
	require.Contains(t, logs.String(), "sessions_marks")
}
