// Package storetest tests implementations of [session.Store] against the
// interface's contract.
//
// A test of a store consists of a few lines:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t testing.TB) session.Store {
//			store, err := mystore.Open(t.Context(), os.Getenv("MYSTORE_URI"))
//			if err != nil {
//				t.Fatal(err)
//			}
//			t.Cleanup(func() { store.Close(context.Background()) })
//			return store
//		})
//	}
//
// Run it with -race. To write a store, begin with five methods that return an
// error, and make the rules hold in their order. Package memstore is the
// reference implementation in plain Go. docs/how-to/write-a-store.md has a
// skeleton.
//
// The suite does not test lost replies, size limits or fields of newer versions,
// because it does not know the database or the store's format.
package storetest

import (
	"slices"
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

// Run tests each rule of the contract in a subtest whose name is the rule.
//
// It calls open once, with t, because opening a store may be slow. The rules share
// the store and run one after the other. They use records with random IDs and
// users with random names, and delete the records afterwards. So the store need
// be neither empty nor private. Run does I/O only through the store. If the store
// implements [session.Confirmer], [session.Inspector], [session.BatchLoader] or
// [session.Watcher], Run tests their methods too.
func Run(t *testing.T, open func(t testing.TB) session.Store) {
	t.Helper()
	store := open(t)
	if store == nil {
		t.Fatal("storetest: open returned a nil store")
	}
	for _, c := range contract() {
		t.Run(c.rule, func(t *testing.T) { c.prove(newTrial(t, c.rule, store)) })
	}
}

// rule is a rule of the contract in words, and the function that tests it.
type rule struct {
	rule  string
	prove func(*trial)
}

// contract returns the rules in the order in which a store is best written.
func contract() []rule {
	return slices.Concat(recordRules(), raceRules(), listAndDataRules(), inspectorRules(), waitRules())
}

// recordRules are the rules of one record and one caller.
func recordRules() []rule {
	return []rule{
		{"Load of a missing record is ErrNotFound", loadMissing},
		{"Load returns every field of the inserted record", loadInserted},
		{"zero fields stay zero", zeroFields},
		{"times keep their millisecond in every time zone", times},
		{"Insert of an existing ID is ErrConflict and leaves the record unchanged", insertTwice},
		{"Confirm, if implemented, returns the same record as Load", confirmed},
		{"the caller may change the record that Confirm returned", ownConfirmed},
		{"Confirm with a cancelled context is ErrUncertain", confirmCancelled},
		{"the caller may change the record that Load returned", ownLoaded},
		{"the caller may change the record after Insert", ownInserted},
		{"the caller may change the Change after Update", ownChange},
		{"Load returns a live record, and an expired one or ErrNotFound", expired},
		{"Delete removes the record and no other", deleteOne},
		{"Delete of a missing record is no error", deleteMissing},
		{"Insert after Delete shows nothing of the deleted record", insertAfterDelete},

		{"Update never creates a record", updateMissing},
		{"Update applies every field of a Change", updateAll},
		{"zero fields of a Change leave the record's as they are", updateEach},
		{"a Change without effects changes nothing and is no error", updateNothing},
		{"a Change without effects still needs the record and its guard", expectNothing},
		{"empty maps and slices of a Change are like nil ones", updateEmpty},
		{"an Update that writes the stored values again is no error", updateSame},
		{"a zero IdleTimeout in a Change removes the record's IdleTimeout", removeIdleTimeout},
		{"Set writes its keys and leaves the others", setKeys},
		{"Unset removes its keys, and absent ones are no error", unsetKeys},
		{"Replace makes Set the whole data", replaceData},

		{"the Verifier guard demands the record's verifier", guardVerifier},
		{"the SeenBefore guard demands a LastSeenAt strictly earlier", guardSeenBefore},
		{"the Versions guard demands the key's version", guardVersions},
		{"version 0 in a guard demands that the key is absent", guardAbsent},
		{"all guards of a Change must hold", guardAll},
		{"a guard that does not hold changes nothing", guardNothing},
	}
}

// raceRules are the rules of concurrent callers.
func raceRules() []rule {
	return []rule{
		{"one of many concurrent Inserts of an ID succeeds", raceInsert},
		{"one of many concurrent Updates with the same version guard succeeds", raceVersion},
		{"one of many concurrent first writes of a key succeeds", raceAbsent},
		{"one of many concurrent Updates with the same Verifier guard succeeds", raceVerifier},
		{"one of many concurrent Updates with the same SeenBefore guard succeeds", raceSeenBefore},
		{"a counter kept by compare-and-swap loses no increment", raceCounter},
		{"concurrent Updates of different keys and fields are all applied", raceKeys},
		{"Load returns all of an Update or nothing of it", raceLoad},
		{"a concurrent Update never restores a deleted record", raceDelete},
		{"concurrent use of different records does not interfere", raceMixed},
	}
}

// listAndDataRules are the rules of List, of names and values, and of contexts.
func listAndDataRules() []rule {
	return []rule{
		{"List returns every field of Info for each session of a user", listFields},
		{"List compares user names byte by byte", listExactly},
		{"List never returns a record without a user", listAnonymous},
		{"List follows a change of user and a Delete", listChanges},
		{"List has an expired record for as long as Load returns it", listExpired},

		{"Insert distinguishes all key names in valid UTF-8", insertNames},
		{"Set distinguishes all key names in valid UTF-8", setNames},
		{"Unset removes keys with any name in valid UTF-8", unsetNames},
		{"Versions guards keys with any name in valid UTF-8", guardNames},
		{"Load returns values of any bytes unchanged", valueBytes},
		{"an empty value is still a value", valueEmpty},
		{"versions are kept up to the highest int64", valueVersions},

		{"a cancelled context is an error and writes nothing", cancelled},
	}
}

// inspectorRules are the rules of a [session.Inspector]. They hold for any other
// store.
func inspectorRules() []rule {
	return []rule{
		{"All returns every field of Info for each session", allFields},
		{"All is ordered by ID, and After continues it", allOrdered},
		{"All and Count select by user, byte by byte", filterUser},
		{"All and Count select sessions with a user or without", filterKind},
		{"All and Count select sessions seen strictly before a time", filterSeenBefore},
		{"All and Count include expired sessions unless LiveAt excludes them", filterLiveAt},
		{"All and Count select sessions that meet all conditions of a Filter", filterTogether},
		{"All and Count never include a revocation marker", filterMarker},
		{"the loop over All may use the store and stop", allDeletes},
		{"All and Count with a cancelled context return an error", inspectCancelled},
		{"All stops with an error when its context ends", allCancelled},
	}
}

// waitRules are the rules of a [session.BatchLoader] and of a [session.Watcher].
// They hold for any other store.
func waitRules() []rule {
	return []rule{
		{"LoadBatch returns the records that exist, with every field except the values", batchLoads},
		{"LoadBatch with a cancelled context is an error", batchCancelled},
		{"Watch is ready once and then reports each Delete and each new Verifier", watchReports},
		{"Watch returns an error when its context ends", watchEnds},
	}
}
