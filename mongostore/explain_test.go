package mongostore_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
)

// With 100,000 sessions of 1,000 users, operations on a user examine only this
// user's documents, and other operations examine one.
func TestQueries_UseTheIndexes(t *testing.T) {
	server := testserver.Get(t)
	server.Need(t, "secondary indexes", server.TTL)
	coll, sent := recorded(t)
	store := open(t, coll)
	sessions, err := session.New(store, "a secret of at least 32 bytes, for tests", session.WithMaxPerUser(100))
	require.NoError(t, err)
	signIn := func(user string, cookies ...*http.Cookie) *session.Session {
		s, err := sessions.Load(background, cookies)
		require.NoError(t, err)
		s.SignIn(user)
		session.Key[string]("color").Set(s, "red")
		require.NoError(t, s.Save(background))
		return s
	}
	const users, each = 1_000, 100
	mine := signIn("user-7")
	template, err := coll.FindOne(background, bson.D{{Key: "user", Value: "user-7"}}).Raw()
	require.NoError(t, err)
	for u := range users {
		var docs []any
		for i := range each {
			doc := bson.D{{Key: "_id", Value: bson.Binary{Subtype: 4, Data: fmt.Appendf(nil, "%08d%08d", u, i)}}}
			elements, err := template.Elements()
			require.NoError(t, err)
			for _, e := range elements {
				switch e.Key() {
				case "_id":
				case "user":
					doc = append(doc, bson.E{Key: "user", Value: fmt.Sprintf("user-%d", u)})
				default:
					doc = append(doc, bson.E{Key: e.Key(), Value: e.Value()})
				}
			}
			docs = append(docs, doc)
		}
		_, err := coll.InsertMany(background, docs)
		require.NoError(t, err)
	}
	sent()

	cookie := mine.Cookie()
	infos, err := sessions.List(background, "user-7")
	require.NoError(t, err)
	require.Len(t, infos, each+1)
	require.NoError(t, sessions.Revoke(background, "user-7", infos[50].ID))
	signIn("user-7") // one too many
	ended, err := signIn("user-7", cookie).RevokeOthers(background)
	require.NoError(t, err)
	require.Equal(t, each-1, ended)
	ended, err = sessions.RevokeAll(background, "user-7")
	require.NoError(t, err)
	require.Equal(t, 1, ended)

	// Writes have an _id in their filter. SecantusDB explains them without it.
	seen, counted := map[string]int{}, 0
	for _, command := range sent() {
		for _, kind := range []string{"update", "delete"} {
			if array, ok := command.Lookup(kind + "s").ArrayOK(); ok {
				subtype, id := array.Index(0).Document().Lookup("q", "_id").Binary()
				require.EqualValues(t, 4, subtype)
				require.Len(t, id, 16)
				seen[kind]++
			}
		}
		filter, ok := command.Lookup("filter").DocumentOK()
		if !ok {
			continue
		}
		find := bson.D{{Key: "find", Value: coll.Name()}, {Key: "filter", Value: filter}}
		if collation, err := command.LookupErr("collation"); err == nil {
			find = append(find, bson.E{Key: "collation", Value: collation})
		}
		plan, err := coll.Database().RunCommand(background, bson.D{
			{Key: "explain", Value: find}, {Key: "verbosity", Value: "executionStats"},
		}).Raw()
		require.NoError(t, err)
		kind, most := "find by _id", int64(1)
		if _, err := filter.LookupErr("user"); err == nil {
			kind, most = "find by user", each+1
			require.Contains(t, plan.String(), "session_user", filter)
		}
		require.NotContains(t, plan.Lookup("queryPlanner", "winningPlan").String(), "COLLSCAN", filter)
		if n, ok := examined(plan); ok {
			counted++
			require.LessOrEqual(t, n, most, filter)
		}
		seen[kind]++
	}
	t.Logf("of %d sessions: %v, %d plans with a count", users*each, seen, counted)
	for kind, least := range map[string]int{"find by user": 5, "find by _id": 3, "update": 2, "delete": each} {
		require.GreaterOrEqual(t, seen[kind], least, kind)
	}
}

// examined returns the number of documents examined by a plan, if the server
// counts them.
func examined(plan bson.Raw) (n int64, ok bool) {
	v, err := plan.LookupErr("executionStats", "totalDocsExamined")
	if err != nil {
		return 0, false
	}
	return v.AsInt64OK()
}

func TestExamined(t *testing.T) {
	for _, c := range []struct {
		plan bson.D
		n    int64
		ok   bool
	}{
		{bson.D{{Key: "executionStats", Value: bson.D{{Key: "totalDocsExamined", Value: 7}}}}, 7, true},
		{bson.D{{Key: "executionStats", Value: bson.D{{Key: "nReturned", Value: 7}}}}, 0, false},
		{bson.D{{Key: "queryPlanner", Value: bson.D{}}}, 0, false},
	} {
		n, ok := examined(must(bson.Marshal(c.plan)))
		require.Equal(t, c.n, n)
		require.Equal(t, c.ok, ok)
	}
}
