// Package memstore keeps sessions in memory, for tests alone: it is the
// reference implementation of [session.Store], in plain Go.
//
// A program cannot use it. A store in memory loses every session on restart
// and is another one on each replica, so [New] panics outside a test binary.
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

// Store is a [session.Store] in memory, made by [New]. It is safe for
// concurrent use.
type Store struct {
	mu      sync.Mutex
	records map[session.ID]*session.Record
	failure error
}

var _ session.Store = (*Store)(nil)

// New returns an empty Store. It panics unless it runs in a test.
func New() *Store {
	if !testing.Testing() {
		panic("memstore: New is for tests only: a memory store loses every session on restart and shares none with other replicas; use mongostore.Open")
	}
	return &Store{records: map[session.ID]*session.Record{}}
}

// Len returns how many records there are, expired ones too.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.records)
}

// Load returns a copy of the record, or [session.ErrNotFound].
func (s *Store) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	unlock, err := s.lock(ctx)
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

// Insert stores a copy of rec, or answers [session.ErrConflict] if there is
// a record of that ID.
func (s *Store) Insert(ctx context.Context, rec *session.Record) error {
	unlock, err := s.lock(ctx)
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

// Update applies ch if its guard holds, or answers [session.ErrConflict]. Of
// a missing record it answers that too if there is a guard, as does a
// database whose filter matched nothing, else [session.ErrNotFound].
func (s *Store) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
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

// Delete removes the record, if there is one.
func (s *Store) Delete(ctx context.Context, id session.ID) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	delete(s.records, id)
	return nil
}

// List returns what describes the sessions of a user. The empty name is no
// user and has none.
func (s *Store) List(ctx context.Context, user string) ([]session.Info, error) {
	unlock, err := s.lock(ctx)
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

// lock begins an operation, unless its context has ended. It panics for a
// Store that New did not make, which would be a way around New's own panic.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	if s.records == nil {
		panic("memstore: this Store was not made by New; call memstore.New in a test, mongostore.Open in a program")
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memstore: nothing was done: %w", err)
	}
	s.mu.Lock()
	if s.failure != nil {
		defer s.mu.Unlock()
		return nil, s.failure
	}
	return s.mu.Unlock, nil
}

// clone shares nothing with rec. Its Values are never nil.
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

// milli cuts a time to what a database keeps of it, so that a test which
// relies on more fails here too.
func milli(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
