// Package memstore provides a [session.Store] in memory for tests. It is the
// reference implementation of the interface in plain Go.
//
// Programs cannot use it. A store in memory loses every session on restart and
// shares no sessions with other replicas. So [New] panics outside a test binary.
//
// The package does no I/O and starts no goroutines, so it works in a bubble of
// [testing/synctest].
package memstore

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/session"
)

// Store is a [session.Store] in memory. It is safe for concurrent use. Create it
// with [New]; the zero Store is not usable. Its methods do no I/O. It keeps
// expired records.
type Store struct {
	mu      sync.Mutex
	records map[session.ID]*session.Record
	fail    func(context.Context, session.EventKind) error

	watchers []*watcher
}

var _ session.Store = (*Store)(nil)

// New returns an empty Store. It panics outside a test binary.
func New() *Store {
	if !testing.Testing() {
		panic("memstore: New is for tests only: a memory store loses every session on restart and shares none with other replicas; use mongostore.Open")
	}
	return &Store{records: map[session.ID]*session.Record{}}
}

// Len returns the number of records, including expired records and revocation
// markers.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.records)
}

// Load returns a copy of the record, or [session.ErrNotFound] if it does not
// exist.
func (s *Store) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	unlock, err := s.lock(ctx, session.EventLoad)
	if err != nil {
		return nil, err
	}
	defer unlock()
	rec, ok := s.records[id]
	if !ok {
		return nil, session.ErrNotFound
	}
	return clone(rec), nil
}

// Insert stores a copy of rec. It returns [session.ErrConflict] if a record with
// the same ID exists.
func (s *Store) Insert(ctx context.Context, rec *session.Record) error {
	unlock, err := s.lock(ctx, session.EventInsert)
	if err != nil {
		return err
	}
	defer unlock()
	if _, ok := s.records[rec.ID]; ok {
		return session.ErrConflict
	}
	s.records[rec.ID] = clone(rec)
	return nil
}

// Update applies ch if its guard holds, and otherwise returns
// [session.ErrConflict]. If the record does not exist, it returns
// [session.ErrConflict] if ch has a guard, and [session.ErrNotFound] if not.
// Databases cannot distinguish the two cases either, because their filter
// matches no record in both.
func (s *Store) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	unlock, err := s.lock(ctx, session.EventUpdate)
	if err != nil {
		return err
	}
	err = s.update(id, ch)
	unlock()
	if err == nil && ch.Verifier != nil {
		s.notify(id)
	}
	return err
}

// update is Update with the lock held.
func (s *Store) update(id session.ID, ch *session.Change) error {
	rec, ok := s.records[id]
	switch {
	case !ok && ch.If.IsZero():
		return session.ErrNotFound
	case !ok, !ch.If.Holds(rec):
		return session.ErrConflict
	}
	rec.Apply(ch)
	s.records[id] = clone(rec)
	return nil
}

// Delete removes the record. It returns nil if the record does not exist.
func (s *Store) Delete(ctx context.Context, id session.ID) error {
	unlock, err := s.lock(ctx, session.EventDelete)
	if err != nil {
		return err
	}
	delete(s.records, id)
	unlock()
	s.notify(id)
	return nil
}

// List returns the Info of each session of user. It returns no sessions for the
// empty user.
func (s *Store) List(ctx context.Context, user string) ([]session.Info, error) {
	unlock, err := s.lock(ctx, session.EventList)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var infos []session.Info
	for _, rec := range s.records {
		if rec.User == user && user != "" {
			infos = append(infos, rec.Info)
		}
	}
	return infos, nil
}

// lock begins the operation op. It returns an error if the function of
// [Store.FailFunc] returns one or ctx has ended. It panics for a Store not made by
// New, because such a Store would circumvent the panic of New.
func (s *Store) lock(ctx context.Context, op session.EventKind) (unlock func(), err error) {
	if s.records == nil {
		panic("memstore: this Store was not made by New; call memstore.New in a test, mongostore.Open in a program")
	}
	s.mu.Lock()
	if fail := s.fail; fail != nil {
		s.mu.Unlock() // fail may block and call methods of s
		if err := fail(ctx, op); err != nil {
			return nil, err
		}
		s.mu.Lock()
	}
	if err := ended(ctx); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	return s.mu.Unlock, nil
}

// ended returns an error if ctx has ended.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memstore: context ended before the operation: %w", err)
	}
	return nil
}

// clone returns a copy of rec that shares no memory with it. The Values of the
// copy are not nil.
func clone(rec *session.Record) *session.Record {
	c := *rec
	for _, t := range []*time.Time{&c.CreatedAt, &c.SignedInAt, &c.LastSeenAt, &c.ExpiresAt, &c.Deadline, &c.RenewedAt} {
		*t = milli(*t)
	}
	c.Verifier = bytes.Clone(rec.Verifier)
	c.Salt = bytes.Clone(rec.Salt)
	c.Values = cloneValues(rec.Values)
	return &c
}

func cloneValues(values map[string]session.Value) map[string]session.Value {
	c := make(map[string]session.Value, len(values))
	for key, v := range values {
		v.Data = bytes.Clone(v.Data)
		c[key] = v
	}
	return c
}

// milli truncates a time to milliseconds in UTC, as databases do. Otherwise a test
// could pass here and fail with a database.
func milli(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
