package backend

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

// Mongo is a Backend on a collection of mongostore.
type Mongo struct {
	*mongostore.Store
	uri   string
	hosts string
}

var _ Backend = (*Mongo)(nil)

// OpenMongo connects to the server of a MongoDB URI. It creates the indexes unless
// WithoutIndexes is among the options. Its errors do not contain the password.
func OpenMongo(ctx context.Context, uri string, opts ...mongostore.Option) (*Mongo, error) {
	store, err := mongostore.Open(ctx, uri, opts...)
	if err != nil {
		return nil, err
	}
	hosts := ""
	if cs, err := connstring.Parse(uri); err == nil {
		hosts = strings.Join(cs.Hosts, ",")
	}
	return &Mongo{store, uri, hosts}, nil
}

// NewClient returns a client without sessions of earlier commands. The caller
// disconnects it.
func (m *Mongo) NewClient() (*mongo.Client, error) {
	return mongo.Connect(options.Client().ApplyURI(m.uri))
}

// Address implements [Backend].
func (m *Mongo) Address() string {
	return fmt.Sprintf("%s, collection %s.%s", m.hosts, m.Collection().Database().Name(), m.Collection().Name())
}

// The fields of a document, as in docs/reference/document.md.
var (
	sessions  = bson.E{Key: "verifier", Value: bson.D{{Key: "$exists", Value: true}}}
	markers   = bson.E{Key: "verifier", Value: bson.D{{Key: "$exists", Value: false}}}
	withUser  = bson.E{Key: "user", Value: bson.D{{Key: "$gt", Value: ""}}}
	anonymous = bson.E{Key: "user", Value: bson.D{{Key: "$exists", Value: false}}}
)

func condition(field, operator string, t time.Time) bson.E {
	return bson.E{Key: field, Value: bson.D{{Key: operator, Value: t}}}
}

// between is the condition that a time is later than since and not later than
// until.
func between(field string, since, until time.Time) bson.E {
	return bson.E{Key: field, Value: bson.D{{Key: "$gt", Value: since}, {Key: "$lte", Value: until}}}
}

// count sets each number to the count of its filter.
func (m *Mongo) count(ctx context.Context, of map[*int64]bson.D) (err error) {
	for n, filter := range of {
		if *n, err = m.Collection().CountDocuments(ctx, filter); err != nil {
			return err
		}
	}
	return nil
}

// Count implements [Backend].
func (m *Mongo) Count(ctx context.Context, now time.Time) (c Counts, err error) {
	live := condition("expires", "$gt", now)
	c.Markers = new(int64)
	err = m.count(ctx, map[*int64]bson.D{
		&c.SignedIn:  {sessions, live, withUser},
		&c.Anonymous: {sessions, live, anonymous},
		&c.Expired:   {sessions, condition("expires", "$lte", now)},
		c.Markers:    {markers},
	})
	c.Sessions = c.SignedIn + c.Anonymous
	return c, err
}

// Activity implements [Backend].
func (m *Mongo) Activity(ctx context.Context, since, now time.Time) (a Activity, err error) {
	err = m.count(ctx, map[*int64]bson.D{
		&a.Started: {sessions, between("created", since, now)},
		&a.SignIns: {sessions, between("login", since, now)},
		&a.Expired: {sessions, between("expires", since, now)},
	})
	return a, err
}

// Estimate implements [Backend].
func (m *Mongo) Estimate(ctx context.Context) (int64, error) {
	return m.Collection().EstimatedDocumentCount(ctx)
}

// withSize is a projection that leaves values and secrets on the server.
var withSize = bson.D{
	{Key: "user", Value: 1},
	{Key: "created", Value: 1},
	{Key: "login", Value: 1},
	{Key: "seen", Value: 1},
	{Key: "expires", Value: 1},
	{Key: "deadline", Value: 1},
	{Key: "verifier", Value: bson.D{{Key: "$type", Value: "$verifier"}}},
	{Key: "size", Value: bson.D{{Key: "$bsonSize", Value: "$$ROOT"}}},
}

// Each implements [Backend]. It reads from a secondary if there is one.
func (m *Mongo) Each(ctx context.Context, f func(Entry) error) error {
	coll := m.Collection().Clone(options.Collection().SetReadPreference(readpref.SecondaryPreferred()))
	cur, err := coll.Find(ctx, bson.D{}, options.Find().SetProjection(withSize))
	if err != nil && !mongo.IsNetworkError(err) && ctx.Err() == nil {
		// The server does not support expressions in a projection.
		cur, err = coll.Find(ctx, bson.D{})
	}
	if err != nil {
		return err
	}
	defer cur.Close(ctx)
	for cur.Next(ctx) {
		if err := f(entry(cur.Current)); err != nil {
			return err
		}
	}
	return cur.Err()
}

// entry decodes a document. It skips fields of a wrong type.
func entry(raw bson.Raw) (e Entry) {
	date := func(field string) time.Time {
		t, _ := raw.Lookup(field).TimeOK()
		return t
	}
	e.ID = recordID(raw.Lookup("_id"))
	e.User, _ = raw.Lookup("user").StringValueOK()
	e.CreatedAt, e.SignedInAt, e.LastSeenAt = date("created"), date("login"), date("seen")
	e.ExpiresAt, e.Deadline = date("expires"), date("deadline")
	e.Marker = true
	if v := raw.Lookup("verifier"); v.Type == bson.TypeBinary {
		e.Marker = false
	} else if kind, ok := v.StringValueOK(); ok { // of the projection
		e.Marker = kind == "missing"
	}
	e.Size = len(raw)
	if size, ok := raw.Lookup("size").AsInt64OK(); ok {
		e.Size = int(size)
	}
	return e
}

// recordID returns the ID in a document's _id, or the zero ID.
func recordID(v bson.RawValue) (id session.ID) {
	if _, data, ok := v.BinaryOK(); ok && len(data) == len(id) {
		id = session.ID(data)
	}
	return id
}

// hasCode reports whether a server returned an error with one of the codes.
func hasCode(err error, codes ...int) bool {
	var server mongo.ServerError
	if !errors.As(err, &server) {
		return false
	}
	for _, code := range codes {
		if server.HasErrorCode(code) {
			return true
		}
	}
	return false
}
