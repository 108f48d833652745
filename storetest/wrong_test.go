package storetest_test

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// wrong is a store with a typical mistake, which breaks one rule.
type wrong struct {
	name  string
	store func() session.Store
	rule  string   // the rule broken by the mistake
	also  []string // all other rules that depend on it
}

// many stands for all rules that compare whole records. The test then does not
// check also.
var many = []string{"…"}

var wrongStores = slices.Concat(wrongOthers, wrongInspectors, wrongWaits)

var wrongOthers = []wrong{
	{"returns nil for a missing record", func() session.Store { return nilForMissing{memstore.New()} }, "Load of a missing record is ErrNotFound", nil},
	{"forgets the salt", func() session.Store {
		return bent{Store: memstore.New(), record: func(r *session.Record) { r.Salt = nil }}
	}, "Load returns every field of the inserted record", many},
	{"returns 1970 for a zero ExpiresAt", func() session.Store {
		return bent{Store: memstore.New(), load: func(r *session.Record) {
			if r.ExpiresAt.IsZero() {
				r.ExpiresAt = time.Unix(0, 0)
			}
		}}
	}, "zero fields stay zero", nil},
	{"returns an empty verifier for a nil one", func() session.Store {
		return bent{Store: memstore.New(), load: func(r *session.Record) { r.Verifier = append([]byte{}, r.Verifier...) }}
	}, "zero fields stay zero", nil},
	{"cuts times to seconds", func() session.Store {
		return bent{Store: memstore.New(), load: eachTime(func(at time.Time) time.Time { return at.Truncate(time.Second) })}
	}, "times keep their millisecond in every time zone", nil},
	{"keeps the wall clock and drops the zone", func() session.Store {
		return bent{Store: memstore.New(), record: eachTime(func(at time.Time) time.Time {
			_, offset := at.Zone()
			return at.Add(time.Duration(offset) * time.Second)
		})}
	}, "times keep their millisecond in every time zone", nil},
	{"overwrites on Insert", func() session.Store { return &insertOverwrites{Store: memstore.New()} }, "Insert of an existing ID is ErrConflict and leaves the record unchanged", []string{
		"one of many concurrent Inserts of an ID succeeds",
	}},
	{"looks, then inserts", func() session.Store { return &insertLooks{insertOverwrites{Store: memstore.New()}} }, "one of many concurrent Inserts of an ID succeeds", nil},
	{"caches and shares the record that it loads", func() session.Store {
		return &sharesLoaded{Store: memstore.New(), cache: map[session.ID]*session.Record{}}
	}, "the caller may change the record that Load returned", nil},
	{"confirms a record without its data", func() session.Store { return confirmsHalf{memstore.New()} }, "Confirm, if implemented, returns the same record as Load", []string{
		"the caller may change the record that Confirm returned",
		"Confirm with a cancelled context is ErrUncertain",
	}},
	{"confirms from a cache", func() session.Store {
		return &confirmsOnce{Store: memstore.New(), kept: map[session.ID]*session.Record{}}
	}, "Confirm, if implemented, returns the same record as Load", []string{
		"the caller may change the record that Confirm returned",
	}},
	{"shares the record that it confirms", func() session.Store {
		shared := &sharesLoaded{Store: memstore.New(), cache: map[session.ID]*session.Record{}}
		return confirmsShared{shared.Store, shared}
	}, "the caller may change the record that Confirm returned", nil},
	{"never returns ErrUncertain from Confirm", func() session.Store { return confirmsPlainly{memstore.New()} }, "Confirm with a cancelled context is ErrUncertain", nil},
	{"keeps the slice that Insert was given", func() session.Store { return &sharesInserted{Store: memstore.New(), kept: map[session.ID][]byte{}} }, "the caller may change the record after Insert", nil},
	{"keeps the slice that Update was given", func() session.Store { return &sharesChange{Store: memstore.New(), kept: map[session.ID][]byte{}} }, "the caller may change the Change after Update", nil},
	{"has its own error for an expired record", func() session.Store { return loadJudges{memstore.New()} }, "Load returns a live record, and an expired one or ErrNotFound", nil},
	{"deletes all sessions of the user", func() session.Store { return deletesAll{memstore.New()} }, "Delete removes the record and no other", many},
	{"returns an error from Delete of a missing record", func() session.Store { return deleteDemands{memstore.New()} }, "Delete of a missing record is no error", nil},
	{"leaves the values when it deletes", func() session.Store {
		return &leavesValues{Store: memstore.New(), left: map[session.ID]map[string]session.Value{}}
	}, "Insert after Delete shows nothing of the deleted record", nil},
	{"upserts", func() session.Store { return upserts{memstore.New()} }, "Update never creates a record", []string{
		"a concurrent Update never restores a deleted record",
		"a Change without effects still needs the record and its guard",
		"empty maps and slices of a Change are like nil ones",
	}},
	{"upserts, and says ErrNotFound", func() session.Store { return upsertsQuietly{memstore.New()} }, "Update never creates a record", []string{
		"a concurrent Update never restores a deleted record",
	}},
	{"forgets the deadline in an Update", changing(func(ch *session.Change) { ch.Deadline = time.Time{} }), "Update applies every field of a Change", many},
	{"writes ClientIP and UserAgent as one", func() session.Store { return &writesPair{Store: memstore.New(), dropped: map[session.ID]bool{}} }, "zero fields of a Change leave the record's as they are", nil},
	{"writes Verifier and Salt as one", func() session.Store { return renewsBoth{memstore.New()} }, "zero fields of a Change leave the record's as they are", nil},
	{"refuses a Change without effects", func() session.Store { return refusesNothing{memstore.New()} }, "a Change without effects changes nothing and is no error", []string{
		"a Change without effects still needs the record and its guard",
	}},
	{"skips the database if there is nothing to write", func() session.Store { return skipsNothing{memstore.New()} }, "a Change without effects still needs the record and its guard", nil},
	{"cannot write an empty list of keys", func() session.Store { return emptyList{memstore.New()} }, "empty maps and slices of a Change are like nil ones", nil},
	{"takes an empty map for a guard", func() session.Store { return emptyGuard{memstore.New()} }, "empty maps and slices of a Change are like nil ones", nil},
	{"takes an unchanged record for a missing one", func() session.Store { return countsChanged{memstore.New()} }, "an Update that writes the stored values again is no error", []string{
		"a Change without effects changes nothing and is no error",
		"Unset removes its keys, and absent ones are no error",
		"Replace makes Set the whole data",
		"Unset removes keys with any name in valid UTF-8",
		"empty maps and slices of a Change are like nil ones",
	}},
	{"ignores a zero IdleTimeout", changing(func(ch *session.Change) {
		if ch.IdleTimeout != nil && *ch.IdleTimeout == 0 {
			ch.IdleTimeout = nil
		}
	}), "a zero IdleTimeout in a Change removes the record's IdleTimeout", nil},
	{"takes Set for the whole data", changing(func(ch *session.Change) { ch.Replace = ch.Replace || ch.Set != nil }), "Set writes its keys and leaves the others", many},
	{"ignores Unset", changing(func(ch *session.Change) { ch.Unset = nil }), "Unset removes its keys, and absent ones are no error", many},
	{"merges on Replace", changing(func(ch *session.Change) { ch.Replace = false }), "Replace makes Set the whole data", []string{
		"the caller may change the Change after Update",
		"empty maps and slices of a Change are like nil ones",
	}},
	{"ignores an empty Replace", changing(func(ch *session.Change) { ch.Replace = len(ch.Set) > 0 && ch.Replace }), "Replace makes Set the whole data", []string{
		"empty maps and slices of a Change are like nil ones",
	}},
	{"ignores the Verifier guard", changing(func(ch *session.Change) { ch.If.Verifier = nil }), "the Verifier guard demands the record's verifier", []string{
		"all guards of a Change must hold",
		"a guard that does not hold changes nothing",
		"one of many concurrent Updates with the same Verifier guard succeeds",
		"a Change without effects still needs the record and its guard",
	}},
	{"compares the beginning of the verifier", func() session.Store { return verifierPrefix{memstore.New()} }, "the Verifier guard demands the record's verifier", nil},
	{"ignores the SeenBefore guard", changing(func(ch *session.Change) { ch.If.SeenBefore = time.Time{} }), "the SeenBefore guard demands a LastSeenAt strictly earlier", []string{
		"all guards of a Change must hold",
		"a guard that does not hold changes nothing",
		"one of many concurrent Updates with the same SeenBefore guard succeeds",
		"a Change without effects still needs the record and its guard",
	}},
	{"lets SeenBefore be equal", changing(func(ch *session.Change) {
		if !ch.If.SeenBefore.IsZero() {
			ch.If.SeenBefore = ch.If.SeenBefore.Add(time.Millisecond)
		}
	}), "the SeenBefore guard demands a LastSeenAt strictly earlier", []string{
		"all guards of a Change must hold",
		"a guard that does not hold changes nothing",
		"a Change without effects still needs the record and its guard",
	}},
	{"ignores the Versions guard", changing(func(ch *session.Change) {
		pause(1) // lets other goroutines read the counter
		ch.If.Versions = nil
	}), "the Versions guard demands the key's version", []string{
		"version 0 in a guard demands that the key is absent",
		"all guards of a Change must hold",
		"a guard that does not hold changes nothing",
		"one of many concurrent Updates with the same version guard succeeds",
		"one of many concurrent first writes of a key succeeds",
		"a counter kept by compare-and-swap loses no increment",
		"Versions guards keys with any name in valid UTF-8",
		"versions are kept up to the highest int64",
		"a Change without effects still needs the record and its guard",
	}},
	{"takes version 0 for any", changing(func(ch *session.Change) {
		pause(1) // lets other goroutines read the counter
		maps.DeleteFunc(ch.If.Versions, func(_ string, version int64) bool { return version == 0 })
	}), "version 0 in a guard demands that the key is absent", []string{
		"all guards of a Change must hold",
		"a guard that does not hold changes nothing",
		"one of many concurrent first writes of a key succeeds",
		"a counter kept by compare-and-swap loses no increment",
		"Versions guards keys with any name in valid UTF-8",
		"a Change without effects still needs the record and its guard",
	}},
	{"requires one guard of several", func() session.Store { return anyGuard{memstore.New()} }, "all guards of a Change must hold", nil},
	{"writes the salt, whatever the guard", func() session.Store { return partial{memstore.New()} }, "a guard that does not hold changes nothing", []string{
		"one of many concurrent Updates with the same version guard succeeds",
		"one of many concurrent first writes of a key succeeds",
		"one of many concurrent Updates with the same Verifier guard succeeds",
		"one of many concurrent Updates with the same SeenBefore guard succeeds",
	}},
	{"takes a guard that does not hold for a missing record", func() session.Store { return guardMissing{memstore.New()} }, "the Verifier guard demands the record's verifier", many},
	{"looks at the guard, then writes", func() session.Store { return guardFirst{memstore.New()} }, "one of many concurrent Updates with the same version guard succeeds", []string{
		"one of many concurrent first writes of a key succeeds",
		"one of many concurrent Updates with the same Verifier guard succeeds",
		"one of many concurrent Updates with the same SeenBefore guard succeeds",
		"a counter kept by compare-and-swap loses no increment",
	}},
	{"looks at the version, then writes", func() session.Store { return versionFirst{memstore.New()} }, "a counter kept by compare-and-swap loses no increment", []string{
		"one of many concurrent Updates with the same version guard succeeds",
		"one of many concurrent first writes of a key succeeds",
	}},
	{"looks whether a key is absent, then writes", func() session.Store { return absentFirst{memstore.New()} }, "one of many concurrent first writes of a key succeeds", []string{
		"a counter kept by compare-and-swap loses no increment",
	}},
	{"looks when it was last seen, then writes", func() session.Store { return seenFirst{memstore.New()} }, "one of many concurrent Updates with the same SeenBefore guard succeeds", nil},
	{"looks at the verifier, then writes", func() session.Store { return verifierFirst{memstore.New()} }, "one of many concurrent Updates with the same Verifier guard succeeds", nil},
	{"writes the whole data back", func() session.Store { return wholeData{memstore.New()} }, "concurrent Updates of different keys and fields are all applied", nil},
	{"writes keys and user one after the other", func() session.Store { return inSteps{memstore.New()} }, "Load returns all of an Update or nothing of it", nil},
	{"reads user and keys one after the other", func() session.Store { return tornLoad{memstore.New(), 0} }, "Load returns all of an Update or nothing of it", nil},
	{"reads user and keys at different times", func() session.Store { return tornLoad{memstore.New(), 1} }, "Load returns all of an Update or nothing of it", nil},
	{"writes the record back that it read", func() session.Store { return writesBack{memstore.New()} }, "a concurrent Update never restores a deleted record", nil},
	{"loses entries of a user's index", func() session.Store {
		return &losesIndex{Store: memstore.New(), last: map[string]session.ID{}, lost: map[session.ID]bool{}}
	}, "concurrent use of different records does not interfere", nil},
	{"leaves the user agent out of lists", func() session.Store { return forgetsAgent{memstore.New()} }, "List returns every field of Info for each session of a user", []string{
		"List follows a change of user and a Delete",
	}},
	{"lists a name in any case", func() session.Store { return anyCase{memstore.New()} }, "List compares user names byte by byte", nil},
	{"takes a name of digits for a number", func() session.Store { return numbers{memstore.New()} }, "List compares user names byte by byte", nil},
	{"lists all for an empty name", func() session.Store { return &indexed{Store: memstore.New(), all: true} }, "List never returns a record without a user", nil},
	{"lists the user that Insert was given", func() session.Store { return &indexed{Store: memstore.New()} }, "List follows a change of user and a Delete", []string{
		"Insert after Delete shows nothing of the deleted record",
	}},
	{"lists no expired session", func() session.Store { return listsLive{memstore.New()} }, "List has an expired record for as long as Load returns it", nil},
	{"escapes dots but not the escape", func() session.Store { return renames{memstore.New()} }, "Insert distinguishes all key names in valid UTF-8", []string{
		"Set distinguishes all key names in valid UTF-8",
		"Unset removes keys with any name in valid UTF-8",
		"Versions guards keys with any name in valid UTF-8",
	}},
	{"leaves out keys with a dollar when it sets", changing(func(ch *session.Change) {
		maps.DeleteFunc(ch.Set, func(key string, _ session.Value) bool { return strings.HasPrefix(key, "$") })
	}), "Set distinguishes all key names in valid UTF-8", nil},
	{"nests at dots when it unsets", changing(func(ch *session.Change) {
		for i, key := range ch.Unset {
			ch.Unset[i], _, _ = strings.Cut(key, ".")
		}
	}), "Unset removes keys with any name in valid UTF-8", nil},
	{"guards no key with a dot", changing(func(ch *session.Change) {
		maps.DeleteFunc(ch.If.Versions, func(key string, _ int64) bool { return strings.Contains(key, ".") })
	}), "Versions guards keys with any name in valid UTF-8", nil},
	{"takes values for text", func() session.Store {
		return bent{Store: memstore.New(), load: eachValue(func(v *session.Value) { v.Data = bytes.ToValidUTF8(v.Data, []byte("\ufffd")) })}
	}, "Load returns values of any bytes unchanged", nil},
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
