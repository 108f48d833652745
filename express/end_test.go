package express_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/express"
)

// expressSet is the method set of connect-mongo.
func expressSet(t testing.TB, coll *mongo.Collection, id string, form any) {
	t.Helper()
	_, err := coll.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: id}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "_id", Value: id}, {Key: "session", Value: form}, {Key: "expires", Value: time.Now().Add(time.Hour)}}}},
		options.UpdateOne().SetUpsert(true))
	require.NoError(t, err)
}

// expressTouch is the method touch of connect-mongo.
func expressTouch(t testing.TB, coll *mongo.Collection, id string) {
	t.Helper()
	_, err := coll.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: id}}, bson.D{{Key: "$set", Value: bson.D{{Key: "expires", Value: time.Now().Add(time.Hour)}}}})
	require.NoError(t, err)
}

// A request of Express that began before the end writes at any time after it.
func TestEnd_SlowRequestOfExpress(t *testing.T) {
	for _, at := range []string{"before the mark", "after the mark", "after the deletion", "twice after the deletion"} {
		t.Run(at, func(t *testing.T) {
			coll := collection(t)
			insert(t, coll, document(sessionOfAda))
			store, err := express.NewMongoStore(coll)
			require.NoError(t, err)
			hook := &hooked{Store: store}
			x, err := express.Open(t.Context(), hook, secret)
			require.NoError(t, err)
			s, err := x.Load(request(sid))
			require.NoError(t, err)
			require.Equal(t, "ada", s.User())
			writer, err := open(t, coll).Load(request(sid))
			require.NoError(t, err)
			hook.set(func(op string) error {
				if at == "before the mark" && op == "Mark" || at == "after the mark" && op == "Delete" {
					expressSet(t, coll, id, sessionOfAda)
				}
				return nil
			})
			require.NoError(t, s.End(t.Context()))
			hook.set(nil)
			rounds := map[string]int{"after the deletion": 1, "twice after the deletion": 2}[at]
			for range max(1, rounds) {
				if rounds > 0 {
					expressSet(t, coll, id, sessionOfAda)
					expressTouch(t, coll, id)
				}
				again, err := x.Load(request(sid))
				require.NoError(t, err)
				require.Empty(t, again.ID())
				require.Empty(t, again.User())
				n, err := coll.CountDocuments(t.Context(), bson.D{})
				require.NoError(t, err)
				require.Zero(t, n, "it is deleted again")
				require.ErrorIs(t, express.Key[string]("color").Set(t.Context(), writer, "red"), session.ErrNotFound)
				require.ErrorIs(t, writer.Touch(t.Context()), session.ErrNotFound)
			}
		})
	}
}

func TestEnd_StoreFails(t *testing.T) {
	for _, op := range []string{"Mark", "Delete"} {
		coll := collection(t)
		insert(t, coll, document(sessionOfAda))
		store, err := express.NewMongoStore(coll)
		require.NoError(t, err)
		hook := &hooked{Store: store}
		x, err := express.Open(t.Context(), hook, secret)
		require.NoError(t, err)
		s, err := x.Load(request(sid))
		require.NoError(t, err)
		hook.set(func(got string) error {
			if got == op {
				return errDown
			}
			return nil
		})
		err = s.End(t.Context())
		require.ErrorIs(t, err, session.ErrUnavailable)
		require.ErrorIs(t, err, errDown)
		hook.set(nil)
		require.NoError(t, s.End(t.Context()))
		require.NoError(t, s.End(t.Context()), "a second call")
		s, err = x.Load(request(sid))
		require.NoError(t, err)
		require.Empty(t, s.ID())
		require.NoError(t, s.End(t.Context()), "a visitor without a session")
	}
}

func TestLoad_StoreFails(t *testing.T) {
	store := &hooked{Store: &spy{}}
	x, err := express.Open(t.Context(), store, secret)
	require.NoError(t, err)
	store.set(func(string) error { return errDown })
	_, err = x.Load(request(sid))
	require.ErrorIs(t, err, session.ErrUnavailable)
	require.Equal(t, http.StatusServiceUnavailable, session.HTTPStatus(err))

	x, err = express.Open(t.Context(), silentLoad{}, secret, express.WithStoreTimeout(10*time.Millisecond))
	require.NoError(t, err)
	_, err = x.Load(request(sid))
	require.ErrorIs(t, err, session.ErrUnavailable)
}

// silentLoad is a store whose Load never replies.
type silentLoad struct{ silent }

func (silentLoad) Sample(ctxT) ([]express.Stored, error) { return nil, nil }

// Marks of concurrent requests do not undo an end.
func TestMark_EndedStays(t *testing.T) {
	coll := collection(t)
	store, err := express.NewMongoStore(coll)
	require.NoError(t, err)
	var done sync.WaitGroup
	for i := range 8 {
		done.Go(func() {
			mark := express.MarkMoved
			if i == 3 {
				mark = express.MarkEnded
			}
			if _, err := store.Mark(t.Context(), id, mark); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	mark, err := store.Mark(t.Context(), id, express.MarkMoved)
	require.NoError(t, err)
	require.Equal(t, express.MarkEnded, mark)
	raw, err := coll.Database().Collection("sessions_marks").FindOne(t.Context(), bson.D{{Key: "_id", Value: id}}).Raw()
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(express.MarkLife), raw.Lookup("expires").Time(), time.Minute)
}

func TestMongoStore_TransformID(t *testing.T) {
	coll := collection(t)
	doc := document(sessionOfAda)
	doc[0].Value = "hash of " + id
	insert(t, coll, doc)
	store, err := express.NewMongoStore(coll, express.WithTransformID(func(id string) string { return "hash of " + id }))
	require.NoError(t, err)
	x, err := express.Open(t.Context(), store, secret)
	require.NoError(t, err)
	s, err := x.Load(request(sid))
	require.NoError(t, err)
	require.Equal(t, id, s.ID())
	require.NoError(t, express.Key[int]("n").Set(t.Context(), s, 1))
	require.NoError(t, s.End(t.Context()))
	n, err := coll.CountDocuments(t.Context(), bson.D{})
	require.NoError(t, err)
	require.Zero(t, n)
	expressSet(t, coll, "hash of "+id, sessionOfAda)
	s, err = x.Load(request(sid))
	require.NoError(t, err)
	require.Empty(t, s.ID())
}

// Calls inside a transaction of the app are not part of it.
func TestMongoStore_InsideATransaction(t *testing.T) {
	coll := collection(t)
	insert(t, coll, document(sessionOfAda))
	x := open(t, coll)
	tx, err := coll.Database().Client().StartSession()
	require.NoError(t, err)
	defer tx.EndSession(t.Context())
	require.NoError(t, tx.StartTransaction())
	ctx := mongo.NewSessionContext(t.Context(), tx)
	s, err := x.Load(request(sid).WithContext(ctx))
	require.NoError(t, err)
	require.Equal(t, "ada", s.User())
	require.NoError(t, express.Key[int]("n").Set(ctx, s, 1))
	_ = tx.AbortTransaction(t.Context())
	s, err = x.Load(request(sid))
	require.NoError(t, err)
	require.Equal(t, 1, express.Key[int]("n").GetOr(s, 0))
	require.NoError(t, s.End(ctx))
}
