package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session/cmd/session/internal/backend"
)

// collectionInfo is a part of the reply to listCollections.
type collectionInfo struct {
	Type    string
	Options struct {
		Capped    bool
		Validator bson.Raw
		Action    string `bson:"validationAction"`
		Collation struct{ Locale string }
	}
}

func (e *examination) checkCollection(ctx context.Context) []Finding {
	coll := e.m.Collection()
	cur, err := coll.Database().ListCollections(ctx, bson.D{{Key: "name", Value: coll.Name()}})
	if err != nil {
		e.collection = &collectionInfo{} // it may exist
		return []Finding{skipped("its options cannot be read (%s); grant listCollections to check them", oneLine(err))}
	}
	var found []collectionInfo
	if err := cur.All(ctx, &found); err != nil {
		return []Finding{failed(err)}
	}
	name := coll.Database().Name() + "." + coll.Name()
	if len(found) == 0 {
		return []Finding{warning("Check the names (--database, --collection), or start the app once, which creates it.", "%s does not exist", name)}
	}
	e.collection = &found[0]
	return e.collection.judge(name)
}

// judge returns the findings about the options of a collection.
func (c *collectionInfo) judge(name string) (list []Finding) {
	if c.Type != "" && c.Type != "collection" {
		list = append(list, failure("Use an ordinary collection.", "%s is a %s", name, c.Type))
	}
	if c.Options.Capped {
		list = append(list, failure("Use an ordinary collection.", "%s is capped, so the server deletes live sessions when it is full", name))
	}
	if len(c.Options.Validator) > 0 {
		advice := "Remove it, or make sure that it accepts all documents of docs/reference/document.md."
		if c.Options.Action == "warn" {
			list = append(list, ok("%s has a validator that only logs", name))
		} else {
			list = append(list, warning(advice, "%s has a validator, which may refuse documents of a later version", name))
		}
	}
	if l := c.Options.Collation.Locale; l != "" && l != simple {
		list = append(list, warning("Nothing need be done on a server with collations. Otherwise use a collection without one.",
			"%s has the default collation %s; mongostore uses %s in its queries by user", name, l, simple))
	}
	if len(list) == 0 {
		list = append(list, ok("%s has no validator and compares strings byte by byte", name))
	}
	return list
}

// The indexes of docs/reference/indexes.md.
const (
	indexTTL  = "session_expires"
	indexUser = "session_user"
	ttlMargin = 300 // seconds
	simple    = "simple"
)

const createAdvice = "Create it with: session indexes create"

func (e *examination) checkIndexes(ctx context.Context) []Finding {
	if e.collection == nil {
		return []Finding{skipped("the collection does not exist")}
	}
	var err error
	if e.indexes, err = e.m.Indexes(ctx); err != nil {
		return []Finding{skipped("they cannot be listed (%s); grant listIndexes to check them", oneLine(err))}
	}
	list := append(judgeTTL(e.indexes, e.server.Engine), judgeUser(e.indexes)...)
	for _, i := range e.indexes {
		if i.Unique && i.Name != "_id_" {
			list = append(list, failure(drop(i.Name), "index %s is unique, so the server refuses some sessions", i.Name))
		}
		if i.Name != indexTTL && i.Expire != nil {
			list = append(list, failure(drop(i.Name), "index %s is another TTL index, which removes documents by another rule", i.Name))
		}
	}
	for i := range list {
		list[i].Advice = strings.ReplaceAll(list[i].Advice, "COLLECTION", e.m.Collection().Name())
	}
	return list
}

func drop(name string) string {
	return fmt.Sprintf("Drop it in mongosh, unless another program needs it: db.COLLECTION.dropIndex(%q)", name)
}

func find(indexes []backend.Index, name string) *backend.Index {
	i := slices.IndexFunc(indexes, func(i backend.Index) bool { return i.Name == name })
	if i < 0 {
		return nil
	}
	return &indexes[i]
}

// judgeTTL returns the findings about the TTL index.
func judgeTTL(indexes []backend.Index, engine backend.Engine) []Finding {
	i := find(indexes, indexTTL)
	switch {
	case i == nil:
		return []Finding{warning(createAdvice, "index %s is missing, so expired documents stay unless the app sweeps", indexTTL)}
	case !i.Has("expires"):
		return []Finding{failure(drop(indexTTL)+" Then: session indexes create", "index %s is not on the field expires", indexTTL)}
	case i.Expire == nil && engine == backend.EngineFerretDB1:
		return []Finding{ok("index %s; the server has no TTL indexes, so the app sweeps", indexTTL)}
	case i.Expire == nil:
		return []Finding{warning("If the app does not use ExpirySweep: session indexes create", "index %s has no TTL, so expired documents stay unless the app sweeps", indexTTL)}
	case *i.Expire < ttlMargin:
		return []Finding{failure("Set the margin with: session indexes create",
			"index %s removes documents after %v seconds, not %d; a server with a fast clock removes live sessions", indexTTL, *i.Expire, ttlMargin)}
	case *i.Expire > ttlMargin:
		return []Finding{warning("Set the margin with: session indexes create",
			"index %s removes documents after %v seconds, not %d", indexTTL, *i.Expire, ttlMargin)}
	}
	return []Finding{ok("index %s removes documents %d seconds after their end", indexTTL, ttlMargin)}
}

// judgeUser returns the findings about the index by user.
func judgeUser(indexes []backend.Index) []Finding {
	i := find(indexes, indexUser)
	again := drop(indexUser) + " Then: session indexes create"
	switch {
	case i == nil:
		return []Finding{warning(createAdvice, "index %s is missing, so each list of devices and revocation reads the whole collection", indexUser)}
	case !i.Has("user", "created"):
		return []Finding{failure(again, "index %s is not on the fields user and created", indexUser)}
	case i.Collation.Locale != "" && i.Collation.Locale != simple:
		return []Finding{failure(again, "index %s has the collation %s, so mongostore.Open refuses it", indexUser, i.Collation.Locale)}
	case i.Hidden:
		return []Finding{warning(again, "index %s is hidden, so queries do not use it", indexUser)}
	case len(i.Partial) == 0:
		return []Finding{ok("index %s; it is not partial, so it contains anonymous sessions too", indexUser)}
	}
	return []Finding{ok("index %s", indexUser)}
}
