package storetest_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// inspects is an Inspector with a mistake. A nil field is no mistake.
type inspects struct {
	*memstore.Store
	context func(context.Context) context.Context
	filter  func(*session.Filter)
	infos   func(f session.Filter, infos []session.Info) []session.Info
}

// inspecting returns a function that opens such a store.
func inspecting(s inspects) func() session.Store {
	return func() session.Store {
		s.Store = memstore.New()
		return s
	}
}

func (s inspects) read(ctx context.Context, f session.Filter) (infos []session.Info, err error) {
	changed := f
	if s.context != nil {
		ctx = s.context(ctx)
	}
	if s.filter != nil {
		s.filter(&changed)
	}
	for info, err := range s.Store.All(ctx, changed) {
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	if s.infos != nil {
		infos = s.infos(f, infos)
	}
	return infos, nil
}

func (s inspects) Count(ctx context.Context, f session.Filter) (int64, error) {
	infos, err := s.read(ctx, f)
	return int64(len(infos)), err
}

func (s inspects) All(ctx context.Context, f session.Filter) iter.Seq2[session.Info, error] {
	return func(yield func(session.Info, error) bool) {
		infos, err := s.read(ctx, f)
		if err != nil {
			yield(session.Info{}, err)
			return
		}
		if s.context == nil {
			s.yields(ctx, infos, yield)
			return
		}
		s.yields(s.context(ctx), infos, yield)
	}
}

func (inspects) yields(ctx context.Context, infos []session.Info, yield func(session.Info, error) bool) {
	for _, info := range infos {
		if ctx.Err() != nil {
			yield(session.Info{}, ctx.Err())
			return
		}
		if !yield(info, nil) {
			return
		}
	}
}

// countsAll has a Count without a condition.
type countsAll struct{ *memstore.Store }

func (s countsAll) Count(ctx context.Context, f session.Filter) (int64, error) {
	f.Kind = session.KindAny
	return s.Store.Count(ctx, f)
}

// showsMarkers stores a verifier in each record.
type showsMarkers struct {
	session.Store
	session.Inspector
}

func (s showsMarkers) Insert(ctx context.Context, rec *session.Record) error {
	if rec.Verifier != nil {
		return s.Store.Insert(ctx, rec)
	}
	c := *rec
	c.Verifier = []byte("any")
	return s.Store.Insert(ctx, &c)
}

func (s showsMarkers) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	rec, err := s.Store.Load(ctx, id)
	if err == nil && string(rec.Verifier) == "any" {
		rec.Verifier = nil
	}
	return rec, err
}

// locksWhileIterating is like a database with one writer and open cursors.
type locksWhileIterating struct {
	*memstore.Store
	open atomic.Int32
}

func (s *locksWhileIterating) Delete(ctx context.Context, id session.ID) error {
	if s.open.Load() > 0 {
		return errors.New("database is locked")
	}
	return s.Store.Delete(ctx, id)
}

func (s *locksWhileIterating) All(ctx context.Context, f session.Filter) iter.Seq2[session.Info, error] {
	return func(yield func(session.Info, error) bool) {
		s.open.Add(1)
		defer s.open.Add(-1)
		s.Store.All(ctx, f)(yield)
	}
}

// pagesByOffset reads pages of two sessions and skips those that it has read.
type pagesByOffset struct{ *memstore.Store }

func (s pagesByOffset) All(ctx context.Context, f session.Filter) iter.Seq2[session.Info, error] {
	return func(yield func(session.Info, error) bool) {
		for offset, n := 0, 2; n == 2; offset += 2 {
			n = 0
			i := -1
			for info, err := range s.Store.All(ctx, f) {
				if i++; err == nil && i < offset {
					continue
				}
				if n++; !yield(info, err) || err != nil {
					return
				}
				if n == 2 {
					break
				}
			}
		}
	}
}

// yieldsOn goes on after an error.
type yieldsOn struct{ *memstore.Store }

func (s yieldsOn) All(ctx context.Context, f session.Filter) iter.Seq2[session.Info, error] {
	return func(yield func(session.Info, error) bool) {
		for info, err := range s.Store.All(context.WithoutCancel(ctx), f) {
			if ctx.Err() != nil {
				info, err = session.Info{}, ctx.Err()
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

// looksOnce looks at the context only when the iteration begins.
type looksOnce struct{ *memstore.Store }

func (s looksOnce) All(ctx context.Context, f session.Filter) iter.Seq2[session.Info, error] {
	return func(yield func(session.Info, error) bool) {
		if ctx.Err() != nil {
			yield(session.Info{}, ctx.Err())
			return
		}
		s.Store.All(context.WithoutCancel(ctx), f)(yield)
	}
}

var wrongInspectors = []wrong{
	{"leaves the address out of All", inspecting(inspects{infos: func(_ session.Filter, infos []session.Info) []session.Info {
		for i := range infos {
			infos[i].ClientIP = ""
		}
		return infos
	}}), "All returns every field of Info for each session", many},
	{"returns the newest session first", inspecting(inspects{infos: func(_ session.Filter, infos []session.Info) []session.Info {
		slices.Reverse(infos)
		return infos
	}}), "All is ordered by ID, and After continues it", many},
	{"ignores After", inspecting(inspects{filter: func(f *session.Filter) { f.After = session.ID{} }}), "All is ordered by ID, and After continues it", []string{
		"All and Count select by user, byte by byte",
		"All and Count select sessions that meet all conditions of a Filter",
	}},
	{"includes After", inspecting(inspects{filter: func(f *session.Filter) {
		if f.After != (session.ID{}) {
			f.After[15]--
		}
	}}), "All is ordered by ID, and After continues it", []string{
		"All and Count select by user, byte by byte",
		"All and Count select sessions that meet all conditions of a Filter",
	}},
	{"selects users in any case", inspecting(inspects{
		filter: func(f *session.Filter) { f.User = "" },
		infos: func(f session.Filter, infos []session.Info) []session.Info {
			return slices.DeleteFunc(infos, func(i session.Info) bool { return f.User != "" && !strings.EqualFold(f.User, i.User) })
		},
	}), "All and Count select by user, byte by byte", nil},
	{"ignores Kind for a user", inspecting(inspects{filter: func(f *session.Filter) {
		if f.User != "" {
			f.Kind = session.KindAny
		}
	}}), "All and Count select by user, byte by byte", nil},
	{"takes anonymous for all", inspecting(inspects{filter: func(f *session.Filter) {
		if f.Kind == session.KindAnonymous && f.User == "" {
			f.Kind = session.KindAny
		}
	}}), "All and Count select sessions with a user or without", []string{"All and Count never include a revocation marker"}},
	{"counts without Kind", func() session.Store { return countsAll{memstore.New()} }, "All and Count select sessions with a user or without", []string{
		"All and Count select by user, byte by byte",
		"All and Count never include a revocation marker",
	}},
	{"includes SeenBefore", inspecting(inspects{filter: func(f *session.Filter) {
		if !f.SeenBefore.IsZero() {
			f.SeenBefore = f.SeenBefore.Add(time.Millisecond)
		}
	}}), "All and Count select sessions seen strictly before a time", []string{
		"All and Count select sessions that meet all conditions of a Filter",
	}},
	{"hides expired sessions", inspecting(inspects{filter: func(f *session.Filter) {
		if f.LiveAt.IsZero() {
			f.LiveAt = time.Now()
		}
	}}), "All and Count include expired sessions unless LiveAt excludes them", nil},
	{"compares with its own clock", inspecting(inspects{filter: func(f *session.Filter) {
		if !f.LiveAt.IsZero() {
			f.LiveAt = time.Now()
		}
	}}), "All and Count include expired sessions unless LiveAt excludes them", []string{
		"All and Count select sessions that meet all conditions of a Filter",
	}},
	{"ignores other conditions for a user", inspecting(inspects{filter: func(f *session.Filter) {
		if f.User != "" {
			f.SeenBefore = time.Time{}
		}
	}}), "All and Count select sessions that meet all conditions of a Filter", nil},
	{"shows markers", func() session.Store {
		s := memstore.New()
		return showsMarkers{s, s}
	}, "All and Count never include a revocation marker", nil},
	{"locks the database while it iterates", func() session.Store { return &locksWhileIterating{Store: memstore.New()} }, "the loop over All may use the store and stop", nil},
	{"pages by offset", func() session.Store { return pagesByOffset{memstore.New()} }, "the loop over All may use the store and stop", nil},
	{"ignores the context of All and Count", inspecting(inspects{context: context.WithoutCancel}), "All and Count with a cancelled context return an error", []string{
		"All stops with an error when its context ends",
	}},
	{"looks at the context once", func() session.Store { return looksOnce{memstore.New()} }, "All stops with an error when its context ends", nil},
	{"goes on after an error", func() session.Store { return yieldsOn{memstore.New()} }, "All stops with an error when its context ends", []string{
		"All and Count with a cancelled context return an error",
	}},
}
