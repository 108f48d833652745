package backend

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Server describes a server by its answers to hello and buildInfo.
type Server struct {
	// SetName is the name of the replica set, if the server is a member.
	SetName string `bson:"setName"`

	// Msg is isdbgrid if the server is a mongos.
	Msg string `bson:"msg"`

	// Hosts are the members of the replica set that can become primary.
	Hosts []string `bson:"hosts"`

	// Passives are the members with data that cannot become primary.
	Passives []string `bson:"passives"`

	// Arbiters are the members without data.
	Arbiters []string `bson:"arbiters"`

	// LocalTime is the server's clock.
	LocalTime time.Time `bson:"localTime"`

	// SessionMinutes is set if the server knows sessions of the driver.
	SessionMinutes *int64 `bson:"logicalSessionTimeoutMinutes"`

	// Engine is the kind of the server.
	Engine Engine `bson:"-"`

	// Name is the kind and the version of the server.
	Name string `bson:"-"`

	// Version is the version of MongoDB that the server states.
	Version string `bson:"-"`
}

// Engine is a kind of server.
type Engine int

// The kinds of servers.
const (
	EngineOther Engine = iota
	EngineMongoDB
	EngineFerretDB1 // FerretDB 1, which has no TTL indexes
	EngineFerretDB2 // FerretDB 2, on DocumentDB
	EngineSecantus
)

// IsMongos reports whether the server is the router of a sharded cluster.
func (s *Server) IsMongos() bool { return s.Msg == "isdbgrid" }

// Repeats reports whether the driver repeats a write after a lost reply.
func (s *Server) Repeats() bool { return s.SessionMinutes != nil && (s.SetName != "" || s.IsMongos()) }

// Server asks the server for its description.
func (m *Mongo) Server(ctx context.Context) (s Server, err error) {
	admin := m.Collection().Database().Client().Database("admin")
	if err := admin.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&s); err != nil {
		return s, err
	}
	var b struct {
		Version    string
		GitVersion string `bson:"gitVersion"`
		Secantus   string `bson:"secantusVersion"`
		FerretDB1  string `bson:"ferretdbVersion"`
		FerretDB2  struct{ Version string }
	}
	_ = admin.RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&b)
	s.Version = b.Version
	switch {
	case b.FerretDB1 != "":
		s.Engine, s.Name = EngineFerretDB1, "FerretDB "+strings.TrimPrefix(b.FerretDB1, "v")
		if b.FerretDB1 == "unknown" { // embedded in a program
			s.Name = "FerretDB 1"
		}
	case b.FerretDB2.Version != "":
		s.Engine, s.Name = EngineFerretDB2, "FerretDB "+strings.TrimPrefix(b.FerretDB2.Version, "v")
	case b.Secantus != "":
		s.Engine, s.Name = EngineSecantus, "SecantusDB "+b.Secantus
	case b.GitVersion != "": // every build of mongod has one
		s.Engine, s.Name = EngineMongoDB, "MongoDB "+b.Version
	default:
		s.Name = fmt.Sprintf("an unknown server that states version %q", b.Version)
	}
	return s, nil
}

// Now implements [Backend].
func (m *Mongo) Now(ctx context.Context) (time.Time, error) {
	s, err := m.Server(ctx)
	now := time.Now()
	if err == nil && !s.LocalTime.IsZero() && s.LocalTime.Before(now) {
		now = s.LocalTime
	}
	return now, err
}

// Index is an index of the collection.
type Index struct {
	// Name is the name of the index.
	Name string

	// Key has the fields of the index.
	Key bson.D

	// Expire is the time in seconds after which a TTL index removes a document.
	// It is nil for other indexes.
	Expire *float64 `bson:"expireAfterSeconds"`

	// Partial is the filter of a partial index.
	Partial bson.Raw `bson:"partialFilterExpression"`

	// Collation is the collation of the index. Its Locale is empty if the index
	// has none.
	Collation struct{ Locale string }

	// Unique reports whether the index is unique.
	Unique bool

	// Hidden reports whether queries do not use the index.
	Hidden bool
}

// Has reports whether the index has exactly these fields in ascending order.
func (i *Index) Has(fields ...string) bool {
	if len(i.Key) != len(fields) {
		return false
	}
	for n, field := range fields {
		if i.Key[n].Key != field || fmt.Sprint(i.Key[n].Value) != "1" {
			return false
		}
	}
	return true
}

// Indexes returns the indexes of the collection.
func (m *Mongo) Indexes(ctx context.Context) (list []Index, err error) {
	cur, err := m.Collection().Indexes().List(ctx)
	if err != nil {
		return nil, err
	}
	return list, cur.All(ctx, &list)
}
