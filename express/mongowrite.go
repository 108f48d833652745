package express

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/mongoctx"
)

var _ writer = (*MongoStore)(nil)

func (s *MongoStore) writable() bool { return s.decrypt == nil }

// touch is the touch of connect-mongo. It never creates a document.
func (s *MongoStore) touch(ctx context.Context, id string, at Stored, c cookieOptions) error {
	set, _ := s.extended(at.doc, c)
	if len(set) == 0 {
		return nil // it never expires
	}
	return s.update(ctx, id, nil, bson.D{{Key: "$set", Value: set}})
}

// replace implements writer.
func (s *MongoStore) replace(ctx context.Context, id string, at Stored, c change) error {
	set, expires := s.extended(at.doc, c.cookie)
	if _, ok := at.doc.Lookup(fieldLastModified).TimeOK(); ok && c.name == fieldLastModified {
		return reservedName(c.name)
	}
	was := at.doc.Lookup(fieldSession)
	if text, ok := was.StringValueOK(); ok {
		next, err := replaceInText(text, c, expires)
		if err != nil {
			return err
		}
		set = append(set, bson.E{Key: fieldSession, Value: next})
		return s.update(ctx, id, bson.D{{Key: fieldSession, Value: text}}, bson.D{{Key: "$set", Value: set}})
	}
	if strings.Contains(c.name, ".") || strings.HasPrefix(c.name, "$") {
		return s.replaceWhole(ctx, id, was.Document(), c, set, expires)
	}
	return s.replaceField(ctx, id, was.Document(), c, set, expires)
}

// replaceField changes one field of a sub-document.
func (s *MongoStore) replaceField(ctx context.Context, id string, was bson.Raw, c change, set bson.D, expires time.Time) error {
	path := fieldSession + "." + c.name
	guard := bson.D{{Key: fieldSession, Value: bson.D{{Key: "$type", Value: "object"}}}}
	if c.guarded {
		guard = append(guard, unchanged(path, was, c.name)...)
	}
	if c.cookie.hasMaxAge {
		set = append(set, bson.E{Key: fieldSession + ".cookie.expires", Value: expires})
	}
	update := bson.D{}
	if c.value == nil {
		update = append(update, bson.E{Key: "$unset", Value: bson.D{{Key: path, Value: ""}}})
	} else {
		value, err := toBSON(c.value)
		if err != nil {
			return err
		}
		set = append(set, bson.E{Key: path, Value: value})
	}
	if len(set) > 0 {
		update = append(update, bson.E{Key: "$set", Value: set})
	}
	return s.update(ctx, id, guard, update)
}

// unchanged returns the condition that a field has the value in a document that was
// read. The comparison of MongoDB also holds for an array with such an element, so
// the condition excludes arrays, or arrays of another length.
func unchanged(path string, was bson.Raw, name string) bson.D {
	v, err := was.LookupErr(name)
	if err != nil {
		return bson.D{{Key: path, Value: bson.D{{Key: "$exists", Value: false}}}}
	}
	equal := bson.D{{Key: "$eq", Value: v}, {Key: "$exists", Value: true}}
	if a, ok := v.ArrayOK(); ok {
		values, _ := a.Values()
		equal = append(equal, bson.E{Key: "$size", Value: len(values)})
	} else {
		equal = append(equal, bson.E{Key: "$not", Value: bson.D{{Key: "$type", Value: "array"}}})
	}
	return bson.D{{Key: path, Value: equal}}
}

// replaceWhole changes a field whose name cannot be part of a path.
func (s *MongoStore) replaceWhole(ctx context.Context, id string, was bson.Raw, c change, set bson.D, expires time.Time) error {
	elements, err := was.Elements()
	if err != nil {
		return fmt.Errorf("%w: its document is not valid BSON", ErrDamaged)
	}
	var next bson.D
	for _, e := range elements {
		if e.Key() != c.name {
			next = append(next, bson.E{Key: e.Key(), Value: e.Value()})
		}
	}
	if c.value != nil {
		value, err := toBSON(c.value)
		if err != nil {
			return err
		}
		next = append(next, bson.E{Key: c.name, Value: value})
	}
	set = append(set, bson.E{Key: fieldSession, Value: next})
	return s.update(ctx, id, bson.D{{Key: fieldSession, Value: was}}, bson.D{{Key: "$set", Value: set}})
}

// extended returns the top-level fields of a document that Express would write, and
// the time when the session then expires.
func (s *MongoStore) extended(doc bson.Raw, c cookieOptions) (set bson.D, expires time.Time) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	expires = now.Add(s.ttl)
	if c.hasMaxAge {
		expires = now.Add(c.maxAge)
	}
	if _, err := doc.LookupErr(fieldExpires); err == nil {
		set = append(set, bson.E{Key: fieldExpires, Value: expires})
	}
	if _, ok := doc.Lookup(fieldLastModified).TimeOK(); ok { // connect-mongo with touchAfter
		set = append(set, bson.E{Key: fieldLastModified, Value: now})
	}
	return set, expires
}

// update changes a document that Express can find, and never creates one.
func (s *MongoStore) update(ctx context.Context, id string, guard, update bson.D) error {
	filter := append(bson.D{{Key: fieldID, Value: s.transform(id)}}, guard...)
	res, err := s.coll.UpdateOne(mongoctx.New(ctx), filter, update, options.UpdateOne().SetUpsert(false))
	if err != nil {
		return writeError(err)
	}
	if res.MatchedCount == 0 {
		return session.ErrConflict
	}
	return nil
}

// writeError returns ErrUncertain unless the server has refused the write.
func writeError(err error) error {
	var we mongo.WriteException
	if errors.As(err, &we) && we.WriteConcernError == nil && len(we.WriteErrors) > 0 {
		return fmt.Errorf("%w: %w", session.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", session.ErrUncertain, err)
}

// replaceInText changes a property in the JSON text of a session, and the expiry in
// its cookie if it has a maximum age. All other bytes stay.
func replaceInText(text string, c change, expires time.Time) (string, error) {
	if c.cookie.hasMaxAge {
		all, err := parseObject([]byte(text))
		if err != nil {
			return "", err
		}
		cookie, _ := all.get("cookie")
		next, err := setMember(cookie, "expires", appendTime(nil, expires))
		if err != nil {
			return "", err
		}
		if text, err = setText(text, "cookie", next); err != nil {
			return "", err
		}
	}
	return setText(text, c.name, c.value)
}

func setText(text, name string, value json.RawMessage) (string, error) {
	next, err := setMember([]byte(text), name, value)
	return string(next), err
}

// setMember sets a property in the text of an object, or removes it if value is
// nil.
func setMember(text []byte, name string, value json.RawMessage) ([]byte, error) {
	all, err := parseObject(text)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.WriteByte('{')
	put := func(b ...[]byte) {
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		for _, part := range b {
			out.Write(part)
		}
	}
	done := value == nil
	for _, m := range all {
		switch {
		case m.name != name:
			put(text[m.start:m.end])
		case !done:
			put(appendString(nil, name), []byte(":"), value)
			done = true
		}
	}
	if !done {
		put(appendString(nil, name), []byte(":"), value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}
