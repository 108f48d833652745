package storetest_test

import (
	"context"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// batches changes the results of LoadBatch.
type batches struct {
	*memstore.Store
	change func([]session.ID, []*session.Record) []*session.Record
}

func (s batches) LoadBatch(ctx context.Context, ids []session.ID) ([]*session.Record, error) {
	recs, err := s.Store.LoadBatch(ctx, ids)
	return s.change(ids, recs), err
}

func batching(change func([]session.ID, []*session.Record) []*session.Record) func() session.Store {
	return func() session.Store { return batches{memstore.New(), change} }
}

// batchIgnores ignores the context, and finds nothing if it has ended.
type batchIgnores struct{ *memstore.Store }

func (s batchIgnores) LoadBatch(ctx context.Context, ids []session.ID) ([]*session.Record, error) {
	if ctx.Err() != nil {
		return nil, nil
	}
	return s.Store.LoadBatch(ctx, ids)
}

// watches changes Watch.
type watches struct {
	*memstore.Store
	watch func(s *memstore.Store, ctx context.Context, ready func(), changed func(session.ID)) error
}

func (s watches) Watch(ctx context.Context, ready func(), changed func(session.ID)) error {
	return s.watch(s.Store, ctx, ready, changed)
}

// onlyDeletes does not report a new Verifier.
type onlyDeletes struct {
	*memstore.Store
	reported func(session.ID)
}

func (s *onlyDeletes) Watch(ctx context.Context, ready func(), changed func(session.ID)) error {
	s.reported = changed
	ready()
	<-ctx.Done()
	return ctx.Err()
}

func (s *onlyDeletes) Delete(ctx context.Context, id session.ID) error {
	err := s.Store.Delete(ctx, id)
	if s.reported != nil {
		s.reported(id)
	}
	return err
}

// onlyUpdates does not report a Delete.
type onlyUpdates struct {
	*memstore.Store
	reported func(session.ID)
}

func (s *onlyUpdates) Watch(ctx context.Context, ready func(), changed func(session.ID)) error {
	s.reported = changed
	ready()
	<-ctx.Done()
	return ctx.Err()
}

func (s *onlyUpdates) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	err := s.Store.Update(ctx, id, ch)
	if s.reported != nil {
		s.reported(id)
	}
	return err
}

const (
	ruleBatch       = "LoadBatch returns the records that exist, with every field except the values"
	ruleBatchCancel = "LoadBatch with a cancelled context is an error"
	ruleWatch       = "Watch is ready once and then reports each Delete and each new Verifier"
	ruleWatchEnds   = "Watch returns an error when its context ends"
)

var wrongWaits = []wrong{
	{"leaves the verifier out of a batch", batching(func(_ []session.ID, recs []*session.Record) []*session.Record {
		for _, rec := range recs {
			rec.Verifier = nil
		}
		return recs
	}), ruleBatch, nil},
	{"returns empty records for missing ones", batching(func(ids []session.ID, recs []*session.Record) []*session.Record {
		for _, id := range ids[len(recs):] {
			recs = append(recs, &session.Record{Info: session.Info{ID: id}})
		}
		return recs
	}), ruleBatch, nil},
	{"returns a part of a batch", batching(func(_ []session.ID, recs []*session.Record) []*session.Record {
		return recs[:min(len(recs), 2)]
	}), ruleBatch, nil},
	{"finds nothing after the end of the context", func() session.Store { return batchIgnores{memstore.New()} }, ruleBatchCancel, nil},
	{"does not report a Delete", func() session.Store { return &onlyUpdates{Store: memstore.New()} }, ruleWatch, nil},
	{"does not report a new Verifier", func() session.Store { return &onlyDeletes{Store: memstore.New()} }, ruleWatch, nil},
	{"is ready again and again", func() session.Store {
		return watches{memstore.New(), func(s *memstore.Store, ctx context.Context, ready func(), changed func(session.ID)) error {
			return s.Watch(ctx, ready, func(id session.ID) {
				ready()
				changed(id)
			})
		}}
	}, ruleWatch, nil},
	{"watches on after the end of the context", func() session.Store {
		return watches{memstore.New(), func(s *memstore.Store, ctx context.Context, ready func(), changed func(session.ID)) error {
			err := s.Watch(ctx, ready, changed)
			time.Sleep(time.Minute)
			return err
		}}
	}, ruleWatchEnds, nil},
	{"ends a watch without an error", func() session.Store {
		return watches{memstore.New(), func(s *memstore.Store, ctx context.Context, ready func(), changed func(session.ID)) error {
			_ = s.Watch(ctx, ready, changed)
			return nil
		}}
	}, ruleWatchEnds, nil},
}
