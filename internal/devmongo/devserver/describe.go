package devserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// describe returns the server with its name and its features.
func describe(ctx context.Context, c *config, inst *instance) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	client, err := mongo.Connect(options.Client().ApplyURI(inst.uri))
	if err != nil {
		return nil, fmt.Errorf("devmongo: %w", inst.redact(err))
	}
	defer client.Disconnect(context.WithoutCancel(ctx))

	s := &Server{URI: inst.uri, Engine: inst.name, stop: inst.stop}
	var hello helloReply
	if err := client.Database("admin").RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello); err != nil {
		return nil, fmt.Errorf("devmongo: the server does not answer hello: %w", inst.redact(err))
	}
	s.RetryableWrites = hello.retryableWrites()
	if s.Engine == "" {
		s.Engine = engineName(askBuild(ctx, client), hello)
	}
	err = tryTTL(ctx, client)
	switch {
	case hasCode(err, unauthorized) && inst.credential == nil:
		return nil, fmt.Errorf("devmongo: the server asks for a user name and a password: put them in MONGO_URI: %w", err)
	case hasCode(err, notImplemented) || hasCode(err, commandNotSupported):
		c.log("devmongo: using %s, which has no TTL indexes: mongostore removes expired sessions there itself", s.Engine)
	case err != nil:
		c.log("devmongo: cannot create a TTL index on %s: %v", s.Engine, inst.redact(err))
	}
	s.TTL = err == nil
	return s, nil
}

// https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
const (
	unauthorized         = 13
	authenticationFailed = 18
	commandNotSupported  = 115
	notImplemented       = 238
)

func hasCode(err error, code int) bool {
	var server mongo.ServerError
	return errors.As(err, &server) && server.HasErrorCode(code)
}

type helloReply struct {
	SetName        string `bson:"setName"`
	Msg            string `bson:"msg"`
	SessionMinutes *int64 `bson:"logicalSessionTimeoutMinutes"`

	Internal bson.RawValue `bson:"internal"`
}

// documentDB returns the versions of the parts of DocumentDB, from the reply of its gateway.
func (h helloReply) documentDB() (versions []string) {
	var internal struct {
		Versions []string `bson:"documentdb_versions"`
	}
	_ = h.Internal.Unmarshal(&internal)
	return internal.Versions
}

// retryableWrites follows the specification of the drivers: the server needs sessions and must not be standalone.
func (h helloReply) retryableWrites() bool {
	return h.SessionMinutes != nil && (h.SetName != "" || h.Msg == "isdbgrid")
}

type buildInfo struct {
	Version    string `bson:"version"`
	GitVersion string `bson:"gitVersion"`
	Secantus   string `bson:"secantusVersion"`
	FerretDB1  string `bson:"ferretdbVersion"`
	FerretDB2  struct {
		Version    string `bson:"version"`
		DocumentDB string `bson:"documentdb"`
	} `bson:"ferretdb"`
}

// askBuild returns the fields of the response. They may all be empty.
func askBuild(ctx context.Context, client *mongo.Client) (b buildInfo) {
	_ = client.Database("admin").RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&b)
	return b
}

// engineName distinguishes servers by fields of their own. All servers send a version of MongoDB.
func engineName(b buildInfo, hello helloReply) string {
	documentDB := strings.Join(hello.documentDB(), " ")
	switch {
	case b.Version == "":
		return "a server that does not tell its version"
	case b.FerretDB1 != "":
		return "FerretDB " + b.FerretDB1
	case b.FerretDB2.Version != "" && b.FerretDB2.DocumentDB != "":
		return "FerretDB " + b.FerretDB2.Version + ", DocumentDB " + b.FerretDB2.DocumentDB
	case b.FerretDB2.Version != "":
		return "FerretDB " + b.FerretDB2.Version
	case b.Secantus != "":
		return "SecantusDB " + b.Secantus
	case documentDB != "":
		return "DocumentDB " + documentDB + ", which says " + b.Version
	case b.GitVersion == "": // every build of mongod has one
		return "a server that is not mongod and says " + b.Version
	case hello.Msg == "isdbgrid":
		return "mongos " + b.Version
	case hello.SetName != "":
		return "mongod " + b.Version + ", replica set " + hello.SetName
	}
	return "mongod " + b.Version
}

// tryTTL creates a TTL index in its own database, and drops the database. A nil error means that the server accepts the
// index. Whether the server removes documents is not tested, because that happens about once a minute.
func tryTTL(ctx context.Context, client *mongo.Client) error {
	db := client.Database("devmongo_scratch_" + rand.Text()[:8])
	defer db.Drop(context.WithoutCancel(ctx))
	_, err := db.Collection("ttl").Indexes().CreateOne(ctx, mongo.IndexModel{
		Keys:    bson.D{{Key: "at", Value: 1}},
		Options: options.Index().SetExpireAfterSeconds(1),
	})
	return err
}
