package express_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
)

func TestLoad_BothForms(t *testing.T) {
	later := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	cookie := bson.D{{Key: "originalMaxAge", Value: 60000}, {Key: "expires", Value: later}, {Key: "httpOnly", Value: true}, {Key: "path", Value: "/"}}
	for name, form := range map[string]any{
		"text":         `{"cookie":{"originalMaxAge":60000,"expires":"2030-01-01T00:00:00.000Z","httpOnly":true,"path":"/"},"passport":{"user":"ada"},"n":12345678901234567890}`,
		"sub-document": bson.D{{Key: "cookie", Value: cookie}, {Key: "passport", Value: bson.D{{Key: "user", Value: "ada"}}}, {Key: "n", Value: 1.5}},
	} {
		t.Run(name, func(t *testing.T) {
			coll := collection(t)
			insert(t, coll, bson.D{{Key: "_id", Value: id}, {Key: "session", Value: form}, {Key: "expires", Value: later}})
			s, err := open(t, coll).Load(request(sid))
			require.NoError(t, err)
			require.Equal(t, id, s.ID())
			require.Equal(t, "ada", s.User())
			require.Equal(t, later, s.Expires().UTC())
			n, ok := s.JSON("n")
			require.True(t, ok)
			require.Contains(t, []string{"12345678901234567890", "1.5"}, string(n))
		})
	}
}
