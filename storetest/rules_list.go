package storetest

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-go/session"
)

// listed fails unless List returns exactly the sessions want, in any order.
func (t *trial) listed(user string, want ...*session.Record) {
	t.Helper()
	left := map[session.ID]session.Info{}
	for _, rec := range want {
		left[rec.ID] = rec.Info
	}
	for _, info := range t.list(user) {
		w, ok := left[info.ID]
		if !ok {
			t.Fatalf("List(%q) returned an unexpected or duplicate session %v of user %q", user, info.ID, info.User)
		}
		if d := diffInfo(info, w); d != "" {
			t.Fatalf("List(%q): %s", user, d)
		}
		delete(left, info.ID)
	}
	if len(left) > 0 {
		t.Fatalf("List(%q) did not return %d of %d sessions", user, len(left), len(want))
	}
}

func listFields(t *trial) {
	one, two, other := t.record(), t.record(), t.record()
	two.User = one.User
	two.SignedInAt, two.IdleTimeout, two.ClientIP, two.UserAgent = other.SignedInAt, 0, "", ""
	for _, rec := range []*session.Record{one, two, other} {
		t.insert(rec)
	}
	t.listed(one.User, one, two)
	t.listed(other.User, other)
	t.listed(t.user())
}

func listExactly(t *trial) {
	user := t.user()
	// A column of a numeric type, also BINARY(16) in SQLite, makes one number of
	// several names.
	number := strconv.FormatUint(1e14+binary.BigEndian.Uint64(randomBytes(8))>>18, 10)
	var recs []*session.Record
	for _, name := range []string{
		user, strings.ToLower(user), strings.ToUpper(user),
		user + " ", " " + user, user + "\t", user[:len(user)-1], user + "x",
		user + ".a", user + "$", "$" + user, user + "%", "%" + user, user + "_", user + "*", user + ".*",
		"^" + user, "/" + user + "/", `"` + user + `"`, "'" + user + "'", user + `\`, `{"$ne":"` + user + `"}`,
		number, "0" + number, "+" + number, number + ".0", number + "e0",
		user + "é", user + "e\u0301", user + "😀", user + "\u200b", user + "\uff0e", strings.Repeat(user, 20),
	} {
		rec := t.bare(nil)
		rec.User = name
		t.insert(rec)
		recs = append(recs, rec)
	}
	for _, rec := range recs {
		t.listed(rec.User, rec)
	}
	t.listed(user + "nobody")
	t.listed("*" + user)
}

// listAnonymous matters because a revocation of the user "" would otherwise end
// all anonymous sessions, and delete the Manager's revocation markers.
func listAnonymous(t *trial) {
	rec := t.bare(map[string]session.Value{"cart": t.value("[]")})
	t.insert(rec)
	t.update(rec.ID, &session.Change{LastSeenAt: t.now})
	for _, user := range []string{"", t.user()} {
		for _, info := range t.list(user) {
			if info.ID == rec.ID {
				t.Fatalf("List(%q) returned a record without a user", user)
			}
		}
	}
}

func listChanges(t *trial) {
	rec, ch := t.inserted(), t.change()
	t.update(rec.ID, ch)
	now := changed(rec, ch)
	t.listed(rec.User)
	t.listed(now.User, now)

	anonymous := t.bare(nil)
	t.insert(anonymous)
	t.update(anonymous.ID, &session.Change{User: now.User})
	anonymous.User = now.User
	t.listed(now.User, now, anonymous)
	t.delete(rec.ID)
	t.listed(now.User, anonymous)
	t.delete(anonymous.ID)
	t.listed(now.User)
}

// listExpired covers stores whose List checks ExpiresAt by the store's clock. A
// store may remove an expired record at any time. If Load after List still
// returns it, List must have returned it too.
func listExpired(t *trial) {
	user := t.user()
	for _, ago := range []time.Duration{0, time.Second, time.Minute, time.Hour} {
		rec := t.record()
		rec.User, rec.ExpiresAt, rec.Deadline = user, t.now.Add(-ago), t.now.Add(-ago)
		t.insert(rec)
		infos := t.list(user)
		listed := slices.ContainsFunc(infos, func(info session.Info) bool { return info.ID == rec.ID })
		if loaded, err := t.store.Load(t.Context(), rec.ID); err == nil && loaded != nil && !listed {
			t.Fatalf("List did not return a record that expired %v ago, but Load did", ago)
		}
	}
}
