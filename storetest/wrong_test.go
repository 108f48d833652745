package storetest_test

import (
	"bytes"
	"maps"
	"strings"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// wrong is a store that breaks one rule, in a way that stores are written.
type wrong struct {
	name  string
	store func() session.Store
	rule  string   // the one that it breaks
	also  []string // all others that cannot hold without it
}

// many says that also is left open: nothing that compares whole records can
// hold.
var many = []string{"…"}

var wrongStores = []wrong{
	{"answers a missing record with nil", func() session.Store { return nilForMissing{memstore.New()} }, "Load of a missing record is ErrNotFound", nil},
	{"forgets the salt", func() session.Store {
		return bent{Store: memstore.New(), record: func(r *session.Record) { r.Salt = nil }}
	}, "Load returns every field that Insert was given", many},
	{"dates no expiry to 1970", func() session.Store {
		return bent{Store: memstore.New(), load: func(r *session.Record) {
			if r.ExpiresAt.IsZero() {
				r.ExpiresAt = time.Unix(0, 0)
			}
		}}
	}, "fields that are zero stay zero", nil},
	{"makes no verifier an empty one", func() session.Store {
		return bent{Store: memstore.New(), load: func(r *session.Record) { r.Verifier = append([]byte{}, r.Verifier...) }}
	}, "fields that are zero stay zero", nil},
	{"cuts times to seconds", func() session.Store {
		return bent{Store: memstore.New(), load: eachTime(func(at time.Time) time.Time { return at.Truncate(time.Second) })}
	}, "times keep their millisecond, whatever their zone", nil},
	{"keeps the wall clock and drops the zone", func() session.Store {
		return bent{Store: memstore.New(), record: eachTime(func(at time.Time) time.Time {
			_, offset := at.Zone()
			return at.Add(time.Duration(offset) * time.Second)
		})}
	}, "times keep their millisecond, whatever their zone", nil},
	{"overwrites on Insert", func() session.Store { return &insertOverwrites{Store: memstore.New()} }, "Insert of an existing ID is ErrConflict and leaves what is stored", []string{
		"of many Inserts of one ID one wins",
	}},
	{"looks, then inserts", func() session.Store { return &insertLooks{insertOverwrites{Store: memstore.New()}} }, "of many Inserts of one ID one wins", nil},
	{"caches what it loads, and shares it", func() session.Store {
		return &sharesLoaded{Store: memstore.New(), cache: map[session.ID]*session.Record{}}
	}, "what Load returned is the caller's own", nil},
	{"confirms a record without its data", func() session.Store { return confirmsHalf{memstore.New()} }, "Confirm, if there is one, returns what Load returns", []string{
		"what Confirm returned is the caller's own",
		"Confirm with a cancelled context is ErrUncertain",
	}},
	{"confirms what it has confirmed before", func() session.Store {
		return &confirmsOnce{Store: memstore.New(), kept: map[session.ID]*session.Record{}}
	}, "Confirm, if there is one, returns what Load returns", []string{
		"what Confirm returned is the caller's own",
	}},
	{"shares what it confirms", func() session.Store {
		shared := &sharesLoaded{Store: memstore.New(), cache: map[session.ID]*session.Record{}}
		return confirmsShared{shared.Store, shared}
	}, "what Confirm returned is the caller's own", nil},
	{"confirms without an uncertain outcome", func() session.Store { return confirmsPlainly{memstore.New()} }, "Confirm with a cancelled context is ErrUncertain", nil},
	{"keeps the slice that Insert was given", func() session.Store { return &sharesInserted{Store: memstore.New(), kept: map[session.ID][]byte{}} }, "what Insert was given stays the caller's own", nil},
	{"keeps the slice that Update was given", func() session.Store { return &sharesChange{Store: memstore.New(), kept: map[session.ID][]byte{}} }, "what Update was given stays the caller's own", nil},
	{"has an error of its own for what has expired", func() session.Store { return loadJudges{memstore.New()} }, "an expired record is there or ErrNotFound, a live one is there", nil},
	{"deletes all sessions of the user", func() session.Store { return deletesAll{memstore.New()} }, "Delete removes the record and no other", many},
	{"has Delete find something", func() session.Store { return deleteDemands{memstore.New()} }, "Delete of a missing record is no error", nil},
	{"leaves the values when it deletes", func() session.Store {
		return &leavesValues{Store: memstore.New(), left: map[session.ID]map[string]session.Value{}}
	}, "Insert after Delete shows nothing of the deleted record", nil},
	{"upserts", func() session.Store { return upserts{memstore.New()} }, "Update never creates a record", []string{
		"an Update under way never brings a deleted record back",
		"a Change of nothing still needs the record and its guard",
		"empty maps and slices of a Change are like nil ones",
	}},
	{"upserts, and says ErrNotFound", func() session.Store { return upsertsQuietly{memstore.New()} }, "Update never creates a record", []string{
		"an Update under way never brings a deleted record back",
	}},
	{"forgets the deadline in an Update", changing(func(ch *session.Change) { ch.Deadline = time.Time{} }), "Update applies every field of a Change", many},
	{"writes ClientIP and UserAgent as one", func() session.Store { return &writesPair{Store: memstore.New(), dropped: map[session.ID]bool{}} }, "zero fields of a Change leave the record's as they are", nil},
	{"writes Verifier and Salt as one", func() session.Store { return renewsBoth{memstore.New()} }, "zero fields of a Change leave the record's as they are", nil},
	{"refuses a Change of nothing", func() session.Store { return refusesNothing{memstore.New()} }, "a Change of nothing changes nothing and is no error", []string{
		"a Change of nothing still needs the record and its guard",
	}},
	{"does not ask the database to write nothing", func() session.Store { return skipsNothing{memstore.New()} }, "a Change of nothing still needs the record and its guard", nil},
	{"cannot write an empty list of keys", func() session.Store { return emptyList{memstore.New()} }, "empty maps and slices of a Change are like nil ones", nil},
	{"takes an empty map for a guard", func() session.Store { return emptyGuard{memstore.New()} }, "empty maps and slices of a Change are like nil ones", nil},
	{"takes a record that need not change for a missing one", func() session.Store { return countsChanged{memstore.New()} }, "an Update that finds what it writes already there is no error", []string{
		"a Change of nothing changes nothing and is no error",
		"Unset removes its keys, and absent ones are no error",
		"Replace makes Set the whole data",
		"Unset removes key names of any valid UTF-8",
		"empty maps and slices of a Change are like nil ones",
	}},
	{"ignores a zero IdleTimeout", changing(func(ch *session.Change) {
		if ch.IdleTimeout != nil && *ch.IdleTimeout == 0 {
			ch.IdleTimeout = nil
		}
	}), "a zero IdleTimeout in a Change removes the record's own", nil},
	{"takes Set for the whole data", changing(func(ch *session.Change) { ch.Replace = ch.Replace || ch.Set != nil }), "Set writes its keys and leaves the others", many},
	{"ignores Unset", changing(func(ch *session.Change) { ch.Unset = nil }), "Unset removes its keys, and absent ones are no error", many},
	{"merges on Replace", changing(func(ch *session.Change) { ch.Replace = false }), "Replace makes Set the whole data", []string{
		"what Update was given stays the caller's own",
		"empty maps and slices of a Change are like nil ones",
	}},
	{"ignores an empty Replace", changing(func(ch *session.Change) { ch.Replace = len(ch.Set) > 0 && ch.Replace }), "Replace makes Set the whole data", []string{
		"empty maps and slices of a Change are like nil ones",
	}},
	{"ignores the Verifier guard", changing(func(ch *session.Change) { ch.If.Verifier = nil }), "the Verifier guard demands the record's verifier", []string{
		"all guards of a Change must hold",
		"a guard that does not hold changes nothing",
		"of many writers that guard one verifier one wins",
		"a Change of nothing still needs the record and its guard",
	}},
	{"compares the beginning of the verifier", func() session.Store { return verifierPrefix{memstore.New()} }, "the Verifier guard demands the record's verifier", nil},
	{"ignores the SeenBefore guard", changing(func(ch *session.Change) { ch.If.SeenBefore = time.Time{} }), "the SeenBefore guard demands a LastSeenAt strictly earlier", []string{
		"all guards of a Change must hold",
		"a guard that does not hold changes nothing",
		"of many touches with one SeenBefore one wins",
		"a Change of nothing still needs the record and its guard",
	}},
	{"lets SeenBefore be equal", changing(func(ch *session.Change) {
		if !ch.If.SeenBefore.IsZero() {
			ch.If.SeenBefore = ch.If.SeenBefore.Add(time.Millisecond)
		}
	}), "the SeenBefore guard demands a LastSeenAt strictly earlier", []string{
		"all guards of a Change must hold",
		"a guard that does not hold changes nothing",
		"a Change of nothing still needs the record and its guard",
	}},
	{"ignores the Versions guard", changing(func(ch *session.Change) {
		pause(1) // lets others read the counter
		ch.If.Versions = nil
	}), "the Versions guard demands the key's version", []string{
		"version 0 in a guard demands that the key is absent",
		"all guards of a Change must hold",
		"a guard that does not hold changes nothing",
		"of many writers that guard one version one wins",
		"of many first writes of a key one wins",
		"a counter kept by compare-and-swap loses nothing",
		"Versions guards key names of any valid UTF-8",
		"versions are kept up to the highest int64",
		"a Change of nothing still needs the record and its guard",
	}},
	{"takes version 0 for any", changing(func(ch *session.Change) {
		pause(1) // lets others read the counter
		maps.DeleteFunc(ch.If.Versions, func(_ string, version int64) bool { return version == 0 })
	}), "version 0 in a guard demands that the key is absent", []string{
		"all guards of a Change must hold",
		"a guard that does not hold changes nothing",
		"of many first writes of a key one wins",
		"a counter kept by compare-and-swap loses nothing",
		"Versions guards key names of any valid UTF-8",
		"a Change of nothing still needs the record and its guard",
	}},
	{"is content with one guard of several", func() session.Store { return anyGuard{memstore.New()} }, "all guards of a Change must hold", nil},
	{"writes the salt, whatever the guard", func() session.Store { return partial{memstore.New()} }, "a guard that does not hold changes nothing", []string{
		"of many writers that guard one version one wins",
		"of many first writes of a key one wins",
		"of many writers that guard one verifier one wins",
		"of many touches with one SeenBefore one wins",
	}},
	{"takes a guard that does not hold for a missing record", func() session.Store { return guardMissing{memstore.New()} }, "the Verifier guard demands the record's verifier", many},
	{"looks at the guard, then writes", func() session.Store { return guardFirst{memstore.New()} }, "of many writers that guard one version one wins", []string{
		"of many first writes of a key one wins",
		"of many writers that guard one verifier one wins",
		"of many touches with one SeenBefore one wins",
		"a counter kept by compare-and-swap loses nothing",
	}},
	{"looks at the version, then writes", func() session.Store { return versionFirst{memstore.New()} }, "a counter kept by compare-and-swap loses nothing", []string{
		"of many writers that guard one version one wins",
		"of many first writes of a key one wins",
	}},
	{"looks whether a key is absent, then writes", func() session.Store { return absentFirst{memstore.New()} }, "of many first writes of a key one wins", []string{
		"a counter kept by compare-and-swap loses nothing",
	}},
	{"looks when it was last seen, then writes", func() session.Store { return seenFirst{memstore.New()} }, "of many touches with one SeenBefore one wins", nil},
	{"looks at the verifier, then writes", func() session.Store { return verifierFirst{memstore.New()} }, "of many writers that guard one verifier one wins", nil},
	{"writes the whole data back", func() session.Store { return wholeData{memstore.New()} }, "changes of different keys and fields commute", nil},
	{"writes keys and user one after the other", func() session.Store { return inSteps{memstore.New()} }, "Load sees all of an Update or nothing", nil},
	{"reads user and keys one after the other", func() session.Store { return tornLoad{memstore.New(), 0} }, "Load sees all of an Update or nothing", nil},
	{"reads user and keys at different times", func() session.Store { return tornLoad{memstore.New(), 1} }, "Load sees all of an Update or nothing", nil},
	{"writes the record back that it read", func() session.Store { return writesBack{memstore.New()} }, "an Update under way never brings a deleted record back", nil},
	{"loses entries of a user's index", func() session.Store {
		return &losesIndex{Store: memstore.New(), last: map[string]session.ID{}, lost: map[session.ID]bool{}}
	}, "records in concurrent use do not disturb each other", nil},
	{"leaves the user agent out of lists", func() session.Store { return forgetsAgent{memstore.New()} }, "List describes each session of a user in every field", []string{
		"List follows a change of user and a Delete",
	}},
	{"lists a name in any case", func() session.Store { return anyCase{memstore.New()} }, "List takes a user's name exactly", nil},
	{"lists all for an empty name", func() session.Store { return &indexed{Store: memstore.New(), all: true} }, "List never shows a record without a user", nil},
	{"lists the user that Insert was given", func() session.Store { return &indexed{Store: memstore.New()} }, "List follows a change of user and a Delete", []string{
		"Insert after Delete shows nothing of the deleted record",
	}},
	{"lists no expired session", func() session.Store { return listsLive{memstore.New()} }, "List has an expired record for as long as Load returns it", nil},
	{"escapes dots but not the escape", func() session.Store { return renames{memstore.New()} }, "Insert keeps key names of any valid UTF-8 apart", []string{
		"Set keeps key names of any valid UTF-8 apart",
		"Unset removes key names of any valid UTF-8",
		"Versions guards key names of any valid UTF-8",
	}},
	{"leaves out keys with a dollar when it sets", changing(func(ch *session.Change) {
		maps.DeleteFunc(ch.Set, func(key string, _ session.Value) bool { return strings.HasPrefix(key, "$") })
	}), "Set keeps key names of any valid UTF-8 apart", nil},
	{"nests at dots when it unsets", changing(func(ch *session.Change) {
		for i, key := range ch.Unset {
			ch.Unset[i], _, _ = strings.Cut(key, ".")
		}
	}), "Unset removes key names of any valid UTF-8", nil},
	{"guards no key with a dot", changing(func(ch *session.Change) {
		maps.DeleteFunc(ch.If.Versions, func(key string, _ int64) bool { return strings.Contains(key, ".") })
	}), "Versions guards key names of any valid UTF-8", nil},
	{"takes values for text", func() session.Store {
		return bent{Store: memstore.New(), load: eachValue(func(v *session.Value) { v.Data = bytes.ToValidUTF8(v.Data, []byte("\ufffd")) })}
	}, "values of any bytes come back as they were", nil},
	{"makes empty values nil", func() session.Store {
		return bent{Store: memstore.New(), load: eachValue(func(v *session.Value) { v.Data = append([]byte(nil), v.Data...) })}
	}, "an empty value is still a value", nil},
	{"leaves out empty values", func() session.Store {
		return bent{Store: memstore.New(), load: func(r *session.Record) {
			maps.DeleteFunc(r.Values, func(_ string, v session.Value) bool { return len(v.Data) == 0 })
		}}
	}, "an empty value is still a value", nil},
	{"keeps versions as floating point", func() session.Store {
		return bent{Store: memstore.New(), load: eachValue(func(v *session.Value) { v.Version = int64(min(float64(v.Version), 1<<62)) })}
	}, "versions are kept up to the highest int64", nil},
	{"ignores the context", func() session.Store { return ignoresContext{memstore.New()} }, "a cancelled context is an error and writes nothing", nil},
	{"takes a cancelled context for a missing record", func() session.Store { return misreadsContext{memstore.New()} }, "a cancelled context is an error and writes nothing", nil},
}
