package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// privilege is a privilege in the reply to connectionStatus.
type privilege struct {
	Resource struct {
		DB          *string `bson:"db"`
		Collection  *string `bson:"collection"`
		AnyResource bool    `bson:"anyResource"`
	}
	Actions []string
}

// The actions of docs/reference/document.md.
var (
	actionsOfSessions = []string{"find", "insert", "update", "remove"}
	actionsOfOpen     = []string{"createIndex", "listIndexes", "collMod"}
)

func (e *examination) privileges(ctx context.Context) []Finding {
	var reply struct {
		Auth struct {
			Users      []bson.Raw  `bson:"authenticatedUsers"`
			Privileges []privilege `bson:"authenticatedUserPrivileges"`
		} `bson:"authInfo"`
	}
	err := e.admin(ctx, bson.D{{Key: "connectionStatus", Value: 1}, {Key: "showPrivileges", Value: true}}).Decode(&reply)
	switch {
	case err != nil:
		return []Finding{skipped("the server does not list them (%s); the round trip tries find, insert, update and remove", oneLine(err))}
	case len(reply.Auth.Users) == 0:
		return []Finding{warning("Switch access control on, and give the app a user of its own with the privileges of docs/reference/document.md.",
			"the server accepts this connection without a user, so whoever reaches it can end all sessions")}
	case len(reply.Auth.Privileges) == 0:
		return []Finding{skipped("the server does not list them; the round trip tries find, insert, update and remove")}
	}
	coll := e.m.Collection()
	return judgePrivileges(reply.Auth.Privileges, coll.Database().Name(), coll.Name())
}

// judgePrivileges compares privileges with the ones that mongostore needs.
func judgePrivileges(granted []privilege, db, coll string) []Finding {
	missing := func(actions []string) string {
		return strings.Join(slices.DeleteFunc(slices.Clone(actions), func(action string) bool {
			return slices.ContainsFunc(granted, func(p privilege) bool { return p.covers(db, coll) && p.allows(action) })
		}), ", ")
	}
	grant := fmt.Sprintf("Grant the user these actions on %s.%s, see docs/reference/document.md.", db, coll)
	if m := missing(actionsOfSessions); m != "" {
		return []Finding{failure(grant, "the user lacks %s", m)}
	}
	if m := missing(actionsOfOpen); m != "" {
		return []Finding{warning(grant+" Or create the indexes by hand, and open the store with WithoutIndexes.", "the user lacks %s, which mongostore.Open may need", m)}
	}
	return []Finding{ok("the user may do everything that mongostore needs")}
}

// covers reports whether the privilege is for a collection. An empty name stands
// for all.
func (p *privilege) covers(db, coll string) bool {
	if p.Resource.AnyResource {
		return true
	}
	matches := func(name *string, want string) bool { return name != nil && (*name == "" || *name == want) }
	return matches(p.Resource.DB, db) && matches(p.Resource.Collection, coll)
}

func (p *privilege) allows(action string) bool {
	return slices.Contains(p.Actions, action) || slices.Contains(p.Actions, "anyAction")
}
