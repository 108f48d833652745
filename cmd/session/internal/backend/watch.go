package backend

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
)

// Error codes of servers without change streams, from MongoDB's error_codes.yml.
var noChangeStreams = []int{
	59,    // CommandNotFound
	115,   // CommandNotSupported
	238,   // NotImplemented
	40324, // an unknown stage of a pipeline
	40573, // a standalone server
}

// event is a document of a change stream.
type event struct {
	Operation string        `bson:"operationType"`
	Time      bson.DateTime `bson:"wallTime"`
	Key       bson.Raw      `bson:"documentKey"`
	Document  bson.Raw      `bson:"fullDocument"`
	Update    struct {
		Updated bson.Raw `bson:"updatedFields"`
		Removed []string `bson:"removedFields"`
	} `bson:"updateDescription"`
}

// Watch implements [Backend].
func (m *Mongo) Watch(ctx context.Context, f func(Change) error) error {
	// mongostore reads with concern local, which change streams do not accept.
	coll := m.Collection().Clone(options.Collection().SetReadConcern(readconcern.Majority()))
	stream, err := coll.Watch(ctx, mongo.Pipeline{}, options.ChangeStream().SetFullDocument(options.UpdateLookup))
	if hasCode(err, noChangeStreams...) {
		return ErrNoWatch
	}
	if err != nil {
		return err
	}
	defer stream.Close(context.WithoutCancel(ctx))
	for stream.Next(ctx) {
		var e event
		if err := bson.Unmarshal(stream.Current, &e); err != nil {
			return fmt.Errorf("an event of the change stream cannot be read: %w", err)
		}
		if slices.Contains([]string{"drop", "rename", "dropDatabase", "invalidate"}, e.Operation) {
			return fmt.Errorf("the collection is gone: %s", e.Operation)
		}
		if err := f(e.change()); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return stream.Err()
}

// change describes an event without values.
func (e *event) change() Change {
	c := Change{Time: e.Time.Time().UTC(), ID: recordID(e.Key.Lookup("_id")), Kind: "other"}
	if e.Time == 0 {
		c.Time = time.Now().UTC().Truncate(time.Millisecond) // servers before MongoDB 6.0 send no time
	}
	c.User, _ = e.Document.Lookup("user").StringValueOK()
	switch e.Operation {
	case "delete":
		c.Kind = "end"
	case "insert":
		c.Kind = inserted(e.Document, &c)
	case "update":
		c.Kind = e.updated(&c)
	}
	if c.ID[6]>>4 == 8 && c.Kind != "end" { // a UUIDv8
		c.Kind, c.Keys = "revocation", nil
	}
	return c
}

func inserted(doc bson.Raw, c *Change) string {
	data, _ := doc.Lookup("data").DocumentOK()
	elements, _ := data.Elements()
	for _, e := range elements {
		c.addKey("data." + e.Key())
	}
	if c.User != "" {
		return "sign-in"
	}
	return "start"
}

func (e *event) updated(c *Change) string {
	elements, _ := e.Update.Updated.Elements()
	fields := slices.Clone(e.Update.Removed)
	for _, element := range elements {
		fields = append(fields, element.Key())
		if data, ok := element.Value().DocumentOK(); ok && element.Key() == "data" {
			values, _ := data.Elements()
			for _, v := range values {
				c.addKey("data." + v.Key())
			}
		}
	}
	for _, field := range fields {
		c.addKey(field)
	}
	has := func(field string) bool { return slices.Contains(fields, field) }
	switch {
	case has("login"):
		return "sign-in"
	case has("salt"):
		return "renewal"
	case len(c.Keys) > 0 || has("data"):
		return "save"
	case has("seen"):
		return "activity"
	}
	return "other"
}

// addKey adds the name of a key if field is in the data of a document.
func (c *Change) addKey(field string) {
	name, ok := strings.CutPrefix(field, "data.")
	if !ok {
		return
	}
	name, _, _ = strings.Cut(name, ".") // names of keys have no dot, see docs/reference/document.md
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	if !slices.Contains(c.Keys, name) {
		c.Keys = append(c.Keys, name)
	}
}
