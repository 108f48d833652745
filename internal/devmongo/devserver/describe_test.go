package devserver_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session/internal/devmongo/devserver"
)

// Other servers with MongoDB's protocol repeat its version numbers.
func TestEngineName(t *testing.T) {
	mongod := bson.M{"version": "7.0.42", "gitVersion": "7cd2d1a3f3d6a9b8"}
	gateway := bson.M{"version": "7.0.0", "versionArray": bson.A{7, 0, 0, 0}, "bits": 64}
	for want, c := range map[string]struct{ build, hello bson.M }{
		"mongod 7.0.42":                                   {mongod, bson.M{}},
		"mongod 7.0.42, replica set rs0":                  {mongod, bson.M{"setName": "rs0"}},
		"mongos 7.0.42":                                   {mongod, bson.M{"msg": "isdbgrid"}},
		"SecantusDB 0.7.0b3":                              {bson.M{"version": "8.2.11", "gitVersion": "0", "secantusVersion": "0.7.0b3"}, bson.M{"setName": "secantus"}},
		"FerretDB v1.24.2":                                {bson.M{"version": "7.0.42", "gitVersion": "x", "ferretdbVersion": "v1.24.2"}, bson.M{}},
		"FerretDB v2.7.0":                                 {bson.M{"version": "7.0.77", "gitVersion": "x", "ferretdb": bson.M{"version": "v2.7.0"}}, bson.M{}},
		"FerretDB v2.7.0, DocumentDB 1.107-0":             {bson.M{"version": "7.0.77", "gitVersion": "x", "ferretdb": bson.M{"version": "v2.7.0", "documentdb": "1.107-0"}}, bson.M{}},
		"DocumentDB 0.108-0 0.108.0, which says 7.0.0":    {gateway, bson.M{"msg": "isdbgrid", "internal": bson.M{"documentdb_versions": bson.A{"0.108-0", "0.108.0"}}}},
		"a server that is not mongod and says 7.0.0":      {gateway, bson.M{"msg": "isdbgrid"}},
		"a server that does not tell its version":         {bson.M{}, bson.M{}},
		"mongod 7.0.42, replica set of unknown extension": {mongod, bson.M{"setName": "of unknown extension", "internal": "x"}},
	} {
		require.Equal(t, want, devserver.EngineName(t, c.build, c.hello))
	}
}
