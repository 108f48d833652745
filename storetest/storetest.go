// Package storetest proves that an implementation of [session.Store] keeps
// the contract.
//
// A store's own test is a few lines:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t testing.TB) session.Store {
//			store := redisstore.New(…)
//			t.Cleanup(store.Close)
//			return store
//		})
//	}
//
// Run it with -race. To write a store, begin with five methods that return
// an error and make one rule after the other hold; memstore is the reference
// in plain Go.
package storetest

import (
	"testing"
	"time"

	"github.com/holdfast-go/session"
)

// The size of the concurrent rules. It suits a store that takes one write at a
// time, some milliseconds each.
const (
	writers = 8  // goroutines that compete
	rounds  = 5  // repetitions of a competition
	deaths  = 15 // records that are deleted during Updates

	readers  = 4 // goroutines that call Load during Updates
	minReads = 20
	maxReads = 2000                   // of each reader, if the store is fast
	readTime = 300 * time.Millisecond // after which each reader makes only minReads
)

// Run runs each rule of the contract as a subtest named for it.
//
// It calls open once, with t, and all rules share the store: opening one may
// be slow. They run one after the other, on records with random IDs and users
// with random names, which they delete, so the store need be neither empty
// nor private.
func Run(t *testing.T, open func(t testing.TB) session.Store) {
	t.Helper()
	store := open(t)
	if store == nil {
		t.Fatal("storetest: open returned no store")
	}
	for _, c := range contract() {
		t.Run(c.rule, func(t *testing.T) { c.prove(newTrial(t, c.rule, store)) })
	}
}

// rule is one rule of the contract in words, and what proves it.
type rule struct {
	rule  string
	prove func(*trial)
}

func contract() []rule {
	return []rule{
		{"Load of a missing record is ErrNotFound", loadMissing},
		{"Load returns every field that Insert was given", loadInserted},
		{"fields that are zero stay zero", zeroFields},
		{"times keep their millisecond, whatever their zone", times},
		{"Insert of an existing ID is ErrConflict and leaves what is stored", insertTwice},
		{"Confirm, if there is one, returns what Load returns", confirmed},
		{"what Confirm returned is the caller's own", ownConfirmed},
		{"Confirm with a cancelled context is ErrUncertain", confirmCancelled},
		{"what Load returned is the caller's own", ownLoaded},
		{"what Insert was given stays the caller's own", ownInserted},
		{"what Update was given stays the caller's own", ownChange},
		{"an expired record is there or ErrNotFound, a live one is there", expired},
		{"Delete removes the record and no other", deleteOne},
		{"Delete of a missing record is no error", deleteMissing},
		{"Insert after Delete shows nothing of the deleted record", insertAfterDelete},

		{"Update never creates a record", updateMissing},
		{"Update applies every field of a Change", updateAll},
		{"zero fields of a Change leave the record's as they are", updateEach},
		{"a Change of nothing changes nothing and is no error", updateNothing},
		{"a Change of nothing still needs the record and its guard", expectNothing},
		{"empty maps and slices of a Change are like nil ones", updateEmpty},
		{"an Update that finds what it writes already there is no error", updateSame},
		{"a zero IdleTimeout in a Change removes the record's own", removeIdleTimeout},
		{"Set writes its keys and leaves the others", setKeys},
		{"Unset removes its keys, and absent ones are no error", unsetKeys},
		{"Replace makes Set the whole data", replaceData},

		{"the Verifier guard demands the record's verifier", guardVerifier},
		{"the SeenBefore guard demands a LastSeenAt strictly earlier", guardSeenBefore},
		{"the Versions guard demands the key's version", guardVersions},
		{"version 0 in a guard demands that the key is absent", guardAbsent},
		{"all guards of a Change must hold", guardAll},
		{"a guard that does not hold changes nothing", guardNothing},

		{"of many Inserts of one ID one wins", raceInsert},
		{"of many writers that guard one version one wins", raceVersion},
		{"of many first writes of a key one wins", raceAbsent},
		{"of many writers that guard one verifier one wins", raceVerifier},
		{"of many touches with one SeenBefore one wins", raceSeenBefore},
		{"a counter kept by compare-and-swap loses nothing", raceCounter},
		{"changes of different keys and fields commute", raceKeys},
		{"Load sees all of an Update or nothing", raceLoad},
		{"an Update under way never brings a deleted record back", raceDelete},
		{"records in concurrent use do not disturb each other", raceMixed},

		{"List describes each session of a user in every field", listFields},
		{"List takes a user's name exactly", listExactly},
		{"List never shows a record without a user", listAnonymous},
		{"List follows a change of user and a Delete", listChanges},
		{"List has an expired record for as long as Load returns it", listExpired},

		{"Insert keeps key names of any valid UTF-8 apart", insertNames},
		{"Set keeps key names of any valid UTF-8 apart", setNames},
		{"Unset removes key names of any valid UTF-8", unsetNames},
		{"Versions guards key names of any valid UTF-8", guardNames},
		{"values of any bytes come back as they were", valueBytes},
		{"an empty value is still a value", valueEmpty},
		{"versions are kept up to the highest int64", valueVersions},

		{"a cancelled context is an error and writes nothing", cancelled},
	}
}
