package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// commit stores what is pending, or nothing and says why.
func (s *Session) commit(ctx context.Context) error {
	p := &s.pend
	switch {
	case p.fault != nil:
		return p.fault
	case !s.dirty():
		return nil
	case s.standing == superseded && (p.user == "" || p.destroy):
		return ErrSuperseded
	case s.creates() && s.standing == job:
		return misuse("Save", errJob)
	case s.creates() && p.user == "" && s.withheld:
		return ErrCrossSite
	}
	if err := s.checkSize(); err != nil {
		return err
	}
	ctx, stop := s.m.bounded(ctx)
	defer stop.release()
	return s.m.explain(ctx, s.store(ctx))
}

// store carries out the pending state in the order that leaves, wherever it
// fails, what the client's cookie still opens.
func (s *Session) store(ctx context.Context) error {
	p := &s.pend
	if p.destroy {
		if err := s.destroy(ctx); err != nil {
			return err
		}
	}
	var err error
	rec, sec := s.target(), s.secret
	switch inserts := s.creates(); {
	case s.standing == superseded:
		rec, sec, err = s.renew(ctx)
	case inserts:
		rec, sec, err = s.insert(ctx)
	case rec == nil:
	case p.renew:
		rec, sec, err = s.renew(ctx)
	default:
		err = s.save(ctx, rec)
	}
	if err == nil && p.user != "" {
		err = s.settle(ctx, rec)
	}
	if err != nil {
		return err
	}
	return s.become(rec, sec)
}

// become makes rec the session's, whose token is now to be sent if it changed.
func (s *Session) become(rec *Record, sec secret) error {
	if rec != nil && (s.rec == nil || sec != s.secret) {
		c, err := s.m.issue(token{rec.ID, sec}, &rec.Info)
		if err != nil {
			return err
		}
		s.setCookie(c)
		s.standing = current
	}
	s.rec, s.secret, s.pend = rec, sec, pending{}
	return nil
}

func (s *Session) setCookie(c *http.Cookie) { s.cookie, s.taken = c, false }

// save writes the changed keys. The last write of a key wins, so that it may
// be repeated, and a record that is gone stays gone.
func (s *Session) save(ctx context.Context, rec *Record) error {
	ch := s.data()
	if err := s.m.store.Update(ctx, rec.ID, ch); err != nil {
		return err
	}
	rec.apply(ch)
	return nil
}

// insert stores a new record. Where the reply was lost, or an earlier Save of
// this request failed, it may be there already.
func (s *Session) insert(ctx context.Context) (*Record, secret, error) {
	m, t := s.m, s.nextToken()
	rec := &Record{Info: s.nextInfo(Info{ID: t.id, Created: milli(m.now())}), Verifier: t.secret.verifier(), Values: s.data().Set}
	again := s.pend.tried
	s.pend.tried = true
	for try := 0; ; try++ {
		err := m.store.Insert(ctx, rec)
		if err == nil {
			return rec, t.secret, nil
		}
		if !isLost(err) {
			return nil, secret{}, err
		}
		found, lerr := m.store.Load(ctx, rec.ID)
		switch {
		case lerr == nil && !found.knows(t.secret):
			return nil, secret{}, err
		case lerr == nil && again:
			ch := &Change{If: Guard{Verifier: rec.Verifier}, Set: rec.Values, Replace: true}
			ch.refresh(rec.Info)
			return rec, t.secret, m.store.Update(ctx, rec.ID, ch)
		case lerr == nil:
			return rec, t.secret, nil
		case !errors.Is(lerr, ErrNotFound):
			return nil, secret{}, lerr
		case !pause(ctx, try, time.Second):
			return nil, secret{}, err
		}
	}
}

// destroy deletes the record and those of the other cookies. As an update never
// creates, nothing in flight brings one back.
func (s *Session) destroy(ctx context.Context) error {
	if s.rec == nil {
		return nil
	}
	if err := s.deleteAll(ctx, append(s.rivals, s.rec.ID)); err != nil {
		return err
	}
	s.rec, s.rivals = nil, nil
	s.pend.detached, s.pend.destroy = false, false
	if s.standing == current {
		s.standing = anonymous
		s.setCookie(s.m.expired())
	}
	return nil
}

func (s *Session) deleteAll(ctx context.Context, ids []ID) error {
	for _, id := range ids {
		if err := s.m.store.Delete(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// checkSize refuses data that grew beyond the maximum. Data that shrinks is
// let pass, or a lowered maximum could not be met.
func (s *Session) checkSize() error {
	var old, size int
	if rec := s.target(); rec != nil {
		old = dataSize(rec.Values)
		if !s.pend.cleared {
			size = old
		}
	}
	for name, v := range s.pend.values {
		if was, ok := s.target().valueOf(name); ok && !s.pend.cleared {
			size -= len(name) + len(was.Data)
		}
		if v.Version != 0 {
			size += len(name) + len(v.Data)
		}
	}
	return s.m.checkSize(old, size)
}

func (s *Session) checkGrowth(rec *Record, name string, old, next Value) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	is := dataSize(rec.Values)
	size := is + len(next.Data) - len(old.Data)
	if old.Version == 0 {
		size += len(name)
	}
	return s.m.checkSize(is, size)
}

func (m *Manager) checkSize(old, size int) error {
	if size > m.maxSize && size > old {
		return fmt.Errorf("%w (%d bytes, WithMaxSize is %d)", ErrTooLarge, size, m.maxSize)
	}
	return nil
}

func dataSize(values map[string]Value) (n int) {
	for name, v := range values {
		n += len(name) + len(v.Data)
	}
	return n
}
