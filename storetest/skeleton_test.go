package storetest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/storetest"
)

// Store keeps each session in one row of a table. It is safe for concurrent use.
type Store struct {
	table table
}

var _ session.Store = (*Store)(nil)

// row is a row of the table.
type row struct {
	id       session.ID // the primary key
	revision int64      // counts the writes of the row
	user     string     // empty if the session is anonymous; indexed
	expires  time.Time  // when the row may be removed, after a margin; indexed
	doc      []byte     // the record as JSON
}

func newRow(rec *session.Record, revision int64, doc []byte) row {
	return row{rec.ID, revision, rec.User, rec.ExpiresAt, doc}
}

// table stands for the statements for your database. Each method is one
// statement. If ctx has ended before, it sends nothing and returns errNotSent.
type table interface {
	// get returns a row, or errNoRow.
	get(ctx context.Context, id session.ID) (row, error)
	// byUser returns the rows of a user.
	byUser(ctx context.Context, user string) ([]row, error)
	// insert adds a row unless there is one with the same ID. If the database
	// rejects the row because of its size, insert and replace return an error
	// that wraps session.ErrTooLarge.
	insert(ctx context.Context, r row) (inserted bool, err error)
	// replace writes r over the row with its ID if that has the revision.
	replace(ctx context.Context, r row, revision int64) (replaced bool, err error)
	// remove deletes a row if there is one.
	remove(ctx context.Context, id session.ID) error
}

var (
	// errNoRow is the only error that means a missing row.
	errNoRow = errors.New("no row")
	// errNotSent is wrapped by the error of a statement that was not sent.
	errNotSent = errors.New("not sent")
)

// Load implements [session.Store].
func (s *Store) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	r, err := s.table.get(ctx, id)
	if err != nil {
		return nil, readError(err)
	}
	return decode(r.doc)
}

// Insert implements [session.Store].
func (s *Store) Insert(ctx context.Context, rec *session.Record) error {
	doc, err := encode(rec, nil)
	if err != nil {
		return err
	}
	inserted, err := s.table.insert(ctx, newRow(rec, 1, doc))
	if err == nil && !inserted {
		return session.ErrConflict
	}
	return writeError(err)
}

// Update implements [session.Store]. If another request has written the row in
// the meantime, nothing was stored and Update starts again.
func (s *Store) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	for {
		old, err := s.table.get(ctx, id)
		if err != nil {
			return readError(err)
		}
		rec, err := decode(old.doc)
		if err != nil {
			return err
		}
		if !ch.If.Holds(rec) {
			return session.ErrConflict
		}
		rec.Apply(ch)
		doc, err := encode(rec, old.doc)
		if err != nil {
			return err
		}
		replaced, err := s.table.replace(ctx, newRow(rec, old.revision+1, doc), old.revision)
		if replaced || err != nil {
			return writeError(err)
		}
	}
}

// Delete implements [session.Store].
func (s *Store) Delete(ctx context.Context, id session.ID) error {
	return writeError(s.table.remove(ctx, id))
}

// List implements [session.Store].
func (s *Store) List(ctx context.Context, user string) ([]session.Info, error) {
	if user == "" {
		return nil, ctx.Err()
	}
	rows, err := s.table.byUser(ctx, user)
	if err != nil {
		return nil, err
	}
	var infos []session.Info
	for _, r := range rows {
		rec, err := decode(r.doc)
		if err != nil {
			return nil, err
		}
		infos = append(infos, rec.Info)
	}
	return infos, nil
}

// notApplied reports whether an error proves that a write was not applied.
func notApplied(err error) bool {
	return errors.Is(err, errNotSent) || errors.Is(err, session.ErrTooLarge)
}

// readError returns the error of a read for the Manager.
func readError(err error) error {
	if errors.Is(err, errNoRow) {
		return session.ErrNotFound
	}
	return err
}

// writeError returns the error of a write for the Manager. The write is
// uncertain unless the error proves that it was not applied.
func writeError(err error) error {
	if err == nil || notApplied(err) {
		return err
	}
	return fmt.Errorf("%w: %w", session.ErrUncertain, err)
}

// encode writes a record over an older document. Fields that a newer version of
// the package has added to the document stay in it.
func encode(rec *session.Record, older []byte) ([]byte, error) {
	doc := map[string]json.RawMessage{}
	if older != nil {
		if err := json.Unmarshal(older, &doc); err != nil {
			return nil, err
		}
	}
	known, err := json.Marshal(rec)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(known, &doc); err != nil { // keeps other fields of doc
		return nil, err
	}
	return json.Marshal(doc)
}

func decode(doc []byte) (*session.Record, error) {
	rec := &session.Record{}
	if err := json.Unmarshal(doc, rec); err != nil {
		return nil, err
	}
	return rec, nil
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB) session.Store {
		return &Store{table: openTable(t)}
	})
}

// The rest of this file takes the place of a database.

type memoryTable struct {
	mu   sync.Mutex
	rows map[session.ID]row
}

func openTable(testing.TB) table { return &memoryTable{rows: map[session.ID]row{}} }

// locked runs f unless ctx has ended.
func (m *memoryTable) locked(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", errNotSent, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return f()
}

func (m *memoryTable) get(ctx context.Context, id session.ID) (r row, err error) {
	err = m.locked(ctx, func() error {
		var ok bool
		if r, ok = m.rows[id]; !ok {
			return errNoRow
		}
		r.doc = bytes.Clone(r.doc)
		return nil
	})
	return r, err
}

func (m *memoryTable) byUser(ctx context.Context, user string) (rows []row, err error) {
	err = m.locked(ctx, func() error {
		for r := range maps.Values(m.rows) {
			if r.user == user {
				rows = append(rows, r)
			}
		}
		return nil
	})
	return rows, err
}

func (m *memoryTable) insert(ctx context.Context, r row) (inserted bool, err error) {
	err = m.locked(ctx, func() error {
		if _, ok := m.rows[r.id]; !ok {
			m.rows[r.id], inserted = r, true
		}
		return nil
	})
	return inserted, err
}

func (m *memoryTable) replace(ctx context.Context, r row, revision int64) (replaced bool, err error) {
	err = m.locked(ctx, func() error {
		if old, ok := m.rows[r.id]; ok && old.revision == revision {
			m.rows[r.id], replaced = r, true
		}
		return nil
	})
	return replaced, err
}

func (m *memoryTable) remove(ctx context.Context, id session.ID) error {
	return m.locked(ctx, func() error {
		delete(m.rows, id)
		return nil
	})
}

// failing is a table whose writes return an error.
type failing struct {
	table
	err error
}

func (f failing) insert(context.Context, row) (bool, error)         { return false, f.err }
func (f failing) replace(context.Context, row, int64) (bool, error) { return false, f.err }
func (f failing) remove(context.Context, session.ID) error          { return f.err }

func TestStore_ErrorsOfWrites(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	reset := errors.New("connection reset")
	for name, test := range map[string]struct {
		ctx       context.Context
		err, want error // err is nil if the table works
		uncertain bool
	}{
		"a lost reply is uncertain":     {t.Context(), reset, reset, true},
		"an ended context is certain":   {ended, nil, context.Canceled, false},
		"a record too large is certain": {t.Context(), fmt.Errorf("%w: row", session.ErrTooLarge), session.ErrTooLarge, false},
	} {
		t.Run(name, func(t *testing.T) {
			rec := &session.Record{Info: session.Info{ID: session.ID{1}}}
			memory := openTable(t)
			if err := (&Store{table: memory}).Insert(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
			store := &Store{table: memory}
			if test.err != nil {
				store.table = failing{memory, test.err}
			}
			for op, err := range map[string]error{
				"Insert": store.Insert(test.ctx, &session.Record{Info: session.Info{ID: session.ID{2}}}),
				"Update": store.Update(test.ctx, rec.ID, &session.Change{UserAgent: "Browser/1.0"}),
				"Delete": store.Delete(test.ctx, rec.ID),
			} {
				if !errors.Is(err, test.want) || errors.Is(err, session.ErrUncertain) != test.uncertain {
					t.Errorf("%s: error %v, want %v", op, err, test.want)
				}
			}
		})
	}
}

// A replica of an older version must leave the fields of a newer one unchanged.
func TestStore_KeepsUnknownFields(t *testing.T) {
	table := &memoryTable{rows: map[session.ID]row{}}
	store := &Store{table: table}
	id := session.ID{1}
	table.rows[id] = row{id: id, revision: 1, user: "ann", doc: []byte(`{"ID":"` + id.String() + `","User":"ann","Later":[1,2]}`)}
	if err := store.Update(t.Context(), id, &session.Change{UserAgent: "Browser/1.0"}); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		UserAgent string
		Later     []int
	}
	if err := json.Unmarshal(table.rows[id].doc, &doc); err != nil || len(doc.Later) != 2 || doc.UserAgent == "" {
		t.Errorf("the document is %s, error %v", table.rows[id].doc, err)
	}
}
