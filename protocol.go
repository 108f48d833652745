package session

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"time"
)

// This file is the protocol between requests and the stored record: admit and
// touch, then save, compare, renew, destroy and insert, and what a sign-in
// adds. Each step is one operation on one document that either changes it
// whole or not at all; docs/design.md says why that is enough.

// grace is how long after a renewal the tokens before it are taken for late
// rather than stolen ones.
const grace = 30 * time.Second

// admit finds the session that one of the tokens belongs to and judges it, for
// the whole request. Of several the one that signed in last is it, else the
// newest.
func (m *Manager) admit(ctx context.Context, s *Session, tokens []token) error {
	if len(tokens) == 0 {
		return nil
	}
	bctx, stop := m.bounded(ctx)
	defer stop.release()
	var strangers []ID
	for _, t := range tokens {
		rec, err := m.store.Load(bctx, t.id)
		switch {
		case errors.Is(err, ErrNotFound):
			continue
		case err != nil:
			return m.explain(bctx, err)
		case !m.live(&rec.Info, s.admitted):
		case rec.knows(t.secret):
			s.take(rec, t.secret)
		case s.admitted.Before(rec.Renewed.Add(grace)):
			if s.standing == anonymous {
				s.rec, s.secret, s.standing = rec, t.secret, superseded
			}
		default:
			strangers = append(strangers, t.id)
		}
	}
	for _, id := range strangers {
		if s.rec.id() != id {
			m.event(ctx, Event{Name: "stranger", ID: id})
		}
	}
	if s.standing == current {
		s.touch(ctx, s.admitted)
	}
	return nil
}

// knows compares in constant time. A record without a verifier knows nobody.
func (r *Record) knows(s secret) bool {
	return subtle.ConstantTimeCompare(r.Verifier, s.verifier()) == 1
}

func (s *Session) take(rec *Record, sec secret) {
	if s.standing == current {
		older := cmp.Or(rec.LoggedIn.Compare(s.rec.LoggedIn), rec.Created.Compare(s.rec.Created)) <= 0
		if older {
			s.rivals = append(s.rivals, rec.ID)
			return
		}
		s.rivals = append(s.rivals, s.rec.ID)
	}
	s.rec, s.secret, s.standing = rec, sec, current
}

// touch records activity when that is due. It is tried once and briefly, and
// its failure fails no request: the session has been admitted.
func (s *Session) touch(ctx context.Context, now time.Time) {
	now, rec := milli(now), s.rec
	due := now.Add(-s.m.touchInterval(&rec.Info))
	if !rec.LastSeen.Before(due) {
		return
	}
	tctx, stop := within(ctx, s.m.timeout/10)
	defer stop.release()
	ch := &Change{
		// The verifier keeps a touch from undoing limits that SetTimeouts
		// has shortened meanwhile.
		If:       Guard{Verifier: rec.Verifier, SeenBefore: due},
		LastSeen: now, Expires: s.m.expires(&rec.Info, now),
	}
	err := s.m.store.Update(tctx, rec.ID, ch)
	switch {
	case err == nil:
		rec.apply(ch)
	case !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound):
		s.m.log.WarnContext(ctx, "session: activity was not recorded", "session", rec.ID, "error", err)
	}
}

// readmit judges a session anew, some time after its admission. Other requests
// may have extended it since, so it reads again where it seems to have ended.
func (s *Session) readmit(ctx context.Context) error {
	if s.target() == nil {
		return nil
	}
	now := s.m.now()
	if !s.m.live(&s.rec.Info, now) {
		if err := s.reload(ctx); err != nil {
			return err
		}
	}
	if s.standing == current {
		s.touch(ctx, now)
	}
	return nil
}

// reload takes a record only with the verifier that it knows: a request that
// was admitted before a sign-in must not read what came after it.
func (s *Session) reload(ctx context.Context) error {
	if s.standing == superseded {
		return ErrSuperseded
	}
	if s.rec == nil {
		return ErrNotFound
	}
	ctx, stop := s.m.bounded(ctx)
	defer stop.release()
	rec, err := s.m.store.Load(ctx, s.rec.ID)
	switch {
	case err != nil:
		return s.m.explain(ctx, err)
	case !s.m.live(&rec.Info, s.m.now()):
		return ErrNotFound
	case !bytes.Equal(rec.Verifier, s.rec.Verifier):
		return ErrSuperseded
	}
	s.rec = rec
	return nil
}

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

// data returns the pending changes of values.
func (s *Session) data() *Change {
	ch := &Change{Replace: s.pend.cleared, Set: s.pend.values}
	for name, v := range s.pend.values {
		if v.Version == 0 && !ch.Replace {
			ch.Unset = append(ch.Unset, name)
		}
	}
	if len(ch.Unset) > 0 || ch.Replace {
		ch.Set = maps.Clone(ch.Set)
		maps.DeleteFunc(ch.Set, func(_ string, v Value) bool { return v.Version == 0 })
	}
	return ch
}

// update is Key.Update: it compares and swaps the version of one value, and
// returns what it stored. A key that this request has pending is swapped there.
func (s *Session) update(ctx context.Context, name string, typ reflect.Type, f func(Value, bool) (Value, error)) (Value, error) {
	s.m.watch(name, typ)
	if err := checkName("key", name); err != nil {
		return Value{}, misuse(keyText(name, typ), err)
	}
	ctx, stop := s.m.bounded(ctx)
	defer stop.release()
	s.mu.Lock()
	lock := lockName{id: s.target().id(), key: name}
	if lock.id.IsZero() {
		lock.session = s
	}
	s.mu.Unlock()
	turn, ok := s.m.locks.acquire(ctx, lock)
	if !ok {
		return Value{}, s.m.explain(ctx, errors.New("other Updates of the key are still waiting for it"))
	}
	defer turn.release()
	sw := swap{name: name, turn: turn, f: func(v Value, ok bool) (Value, error) {
		next, err := f(v, ok)
		if err != nil {
			err = misuse(keyText(name, typ), err)
		}
		return next, err
	}}
	for try := 0; ; try++ {
		stored, err := s.compare(ctx, &sw)
		var undone *undoneError
		if !errors.As(err, &undone) {
			return stored, s.m.explain(ctx, err)
		}
		if !pause(ctx, try, 50*time.Millisecond) {
			return Value{}, s.m.explain(ctx, undone.why)
		}
	}
}

// swap is one Update in all its tries.
type swap struct {
	name string
	turn *keyTurn
	f    func(Value, bool) (Value, error)
	lost []Value // of the tries whose reply was lost
}

// undoneError is a try that was not applied, so that another may be made.
type undoneError struct{ why error }

func (e *undoneError) Error() string { return e.why.Error() }

// compare makes one try. It never holds the session's lock while f runs, which
// may use the session.
func (s *Session) compare(ctx context.Context, sw *swap) (Value, error) {
	s.mu.Lock()
	s.accessed = true
	if s.standing == superseded {
		s.mu.Unlock()
		return Value{}, ErrSuperseded
	}
	rec, folds, turn := s.target(), s.folds(sw.name), sw.turn
	if !folds && turn.last != nil && turn.user == rec.User {
		rec.put(sw.name, *turn.last) // what the one before in the queue wrote
	}
	old, present := s.value(sw.name)
	s.mu.Unlock()

	next, err := sw.f(old, present)
	if err != nil {
		return Value{}, err
	}
	if folds {
		return next, s.fold(sw.name, next)
	}
	if err := s.checkGrowth(rec, sw.name, old, next); err != nil {
		return Value{}, err
	}
	ch := &Change{If: Guard{Versions: map[string]int64{sw.name: old.Version}}, Set: map[string]Value{sw.name: next}}
	err = s.m.store.Update(ctx, rec.ID, ch)
	if errors.Is(err, ErrUncertain) {
		sw.lost = append(sw.lost, next)
	}
	if isLost(err) {
		return s.readBack(ctx, rec, old, sw, err)
	}
	if err == nil {
		s.seen(rec, sw, next)
	}
	return next, err
}

// readBack finds out what became of a try that did not say so. A version is
// never used twice, so to find one tells. Where a reply was lost and what is
// there is neither that nor what was before, nothing tells: it may have been
// applied and overwritten since, or, where the key was absent, deleted.
func (s *Session) readBack(ctx context.Context, rec *Record, old Value, sw *swap, why error) (Value, error) {
	found, err := s.m.store.Load(ctx, rec.ID)
	if err != nil {
		if len(sw.lost) > 0 && !errors.Is(err, ErrNotFound) {
			err = fmt.Errorf("%w: %w", ErrUncertain, err)
		}
		return Value{}, err
	}
	is := found.Values[sw.name]
	for _, v := range sw.lost {
		if is.Version == v.Version {
			s.seen(rec, sw, v)
			return v, nil
		}
	}
	switch {
	case len(sw.lost) > 0 && (old.Version == 0 || is.Version != old.Version):
		return Value{}, ErrUncertain
	case found.User != rec.User:
		return Value{}, ErrSuperseded
	case len(sw.lost) > 0:
		why = ErrUncertain // it seems not to be applied, but may be yet
	}
	s.seen(rec, sw, is)
	return Value{}, &undoneError{why}
}

// folds tells whether an Update is to change the pending state.
func (s *Session) folds(name string) bool {
	_, touched := s.pend.values[name]
	return touched || s.pend.cleared || s.target() == nil
}

func (s *Session) fold(name string, v Value) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return misuse("Update", errEnded)
	}
	if s.answered {
		s.pend.at = callSite()
	}
	return s.put(name, v)
}

// seen takes over a value that is known to be stored.
func (s *Session) seen(rec *Record, sw *swap, v Value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec.put(sw.name, v)
	sw.turn.last, sw.turn.user = &v, rec.User
}

// renew changes the token of the record, together with everything else that
// is pending. Two requests that renew one token arrive at the same new one.
func (s *Session) renew(ctx context.Context) (*Record, secret, error) {
	m, rec, user := s.m, s.rec, s.pend.user
	if user == "" {
		user = rec.User
	}
	salt := make([]byte, 16)
	rand.Read(salt)
	next := m.keys[0].renewed(s.secret, rec.ID, salt)
	ch := s.data()
	ch.refresh(s.nextInfo(rec.Info))
	ch.If.Verifier = s.secret.verifier()
	ch.Verifier, ch.Salt, ch.Renewed = next.verifier(), salt, milli(m.now())
	uncertain := false
	for try := 0; ; try++ {
		err := m.store.Update(ctx, rec.ID, ch)
		if err == nil {
			rec.apply(ch)
			return rec, next, nil
		}
		if !isLost(err) {
			return nil, secret{}, err
		}
		uncertain = uncertain || errors.Is(err, ErrUncertain)
		found, lerr := m.store.Load(ctx, rec.ID)
		switch {
		case lerr != nil:
			return nil, secret{}, lerr
		case bytes.Equal(found.Salt, salt):
			return found, next, nil // it was applied, the reply was lost
		case !bytes.Equal(found.Verifier, ch.If.Verifier):
			rec, next, err := s.join(ctx, found, user)
			if uncertain && errors.Is(err, ErrConflict) {
				err = ErrUncertain // it was applied, perhaps, and then renewed again
			}
			return rec, next, err
		case !pause(ctx, try, time.Second):
			return nil, secret{}, err
		}
	}
}

// join takes the token that a twin of this request has arrived at, by the same
// secret, and saves what this one adds.
func (s *Session) join(ctx context.Context, found *Record, user string) (*Record, secret, error) {
	for _, k := range s.m.keys {
		next := k.renewed(s.secret, found.ID, found.Salt)
		if !found.knows(next) || found.User != user {
			continue
		}
		ch := s.data()
		if s.pend.limits != nil {
			info := found.Info
			s.limit(&info)
			ch.refresh(info)
		}
		if len(ch.Set)+len(ch.Unset) == 0 && !ch.Replace && s.pend.limits == nil {
			return found, next, nil
		}
		if err := s.m.store.Update(ctx, found.ID, ch); err != nil {
			return nil, secret{}, err
		}
		found.apply(ch)
		return found, next, nil
	}
	if s.standing == superseded {
		return nil, secret{}, ErrSuperseded
	}
	return nil, secret{}, ErrConflict
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

// settle completes a sign-in whose record is written: it yields to a revocation
// that came in between, ends the user's sessions beyond the cap and those that
// it takes the place of. Where it fails, a record whose token nobody has yet
// is taken out again.
func (s *Session) settle(ctx context.Context, rec *Record) error {
	err := s.m.checkRevoked(ctx, rec, s.admitted, s.stamps)
	if err == nil {
		err = s.m.cap(ctx, rec)
	}
	if err == nil {
		err = s.deleteAll(ctx, s.replaced(rec))
	}
	if err == nil {
		s.rivals = nil
		return nil
	}
	if errors.Is(err, ErrRevoked) || s.rec.id() != rec.ID {
		if derr := s.m.takeBack(ctx, rec.ID); derr != nil {
			return fmt.Errorf("%v; and its record is still there: %w", err, derr)
		}
	}
	return err
}

// takeBack deletes a record that must not stay. The time of the request may be
// up, so it has a little of its own.
func (m *Manager) takeBack(ctx context.Context, id ID) error {
	ctx, stop := within(ctx, m.timeout/10)
	defer stop.release()
	for try := 0; ; try++ {
		err := m.store.Delete(ctx, id)
		if err == nil || !pause(ctx, try, time.Second) {
			return err
		}
	}
}

// replaced lists the other live sessions that the request came with.
func (s *Session) replaced(rec *Record) []ID {
	ids := slices.Clone(s.rivals)
	if s.rec != nil && s.rec.ID != rec.ID {
		ids = append(ids, s.rec.ID)
	}
	return ids
}

// cap ends what a user has beyond the maximum, least recently seen first. It
// counts the sign-ins before this one alone, so that two at once do not end
// each other.
func (m *Manager) cap(ctx context.Context, rec *Record) error {
	if m.maxPerUser == 0 {
		return nil
	}
	infos, err := m.listLive(ctx, rec.User)
	if err != nil {
		return err
	}
	infos = slices.DeleteFunc(infos, func(i Info) bool { return !signedInBefore(&i, rec) })
	for _, i := range infos[min(len(infos), m.maxPerUser-1):] {
		if err := m.displace(ctx, i.ID, rec); err != nil {
			return err
		}
	}
	return nil
}

func signedInBefore(i *Info, rec *Record) bool {
	return cmp.Or(i.LoggedIn.Compare(rec.LoggedIn), bytes.Compare(i.ID[:], rec.ID[:])) < 0
}

// displace ends a session for a later sign-in, unless it has itself signed in
// again by then. A Delete has no guard, so the session first gets a verifier
// that no secret fits.
func (m *Manager) displace(ctx context.Context, id ID, by *Record) error {
	nobody := newSecret().verifier()
	for try := 0; ; try++ {
		found, err := m.store.Load(ctx, id)
		switch {
		case errors.Is(err, ErrNotFound):
			return nil
		case err != nil:
			return err
		case bytes.Equal(found.Verifier, nobody):
			return m.store.Delete(ctx, id)
		case !signedInBefore(&found.Info, by):
			return nil
		}
		err = m.store.Update(ctx, id, &Change{If: Guard{Verifier: found.Verifier}, Verifier: nobody, Expires: found.Created})
		if err == nil {
			return m.store.Delete(ctx, id)
		}
		if !isLost(err) && !errors.Is(err, ErrNotFound) || !pause(ctx, try, time.Second) {
			return err
		}
	}
}

// nextInfo returns what the record's description becomes with the pending
// sign-in and limits.
func (s *Session) nextInfo(info Info) Info {
	now := milli(s.m.now())
	info.LastSeen = now
	if s.pend.user != "" {
		info.User, info.LoggedIn, info.IdleTimeout = s.pend.user, now, 0
	}
	if s.pend.user != "" || info.Deadline.IsZero() {
		info.ClientIP, info.UserAgent = s.m.describe(s.request)
		info.Deadline = start(&info).Add(s.m.lifetime)
	}
	s.limit(&info)
	info.Expires = s.m.expires(&info, now)
	return info
}

func (s *Session) limit(info *Info) {
	if l := s.pend.limits; l != nil {
		info.IdleTimeout, info.Deadline = l.idle, start(info).Add(l.lifetime)
		info.Expires = s.m.expires(info, milli(s.m.now()))
	}
}

// refresh makes the change write a record's description.
func (ch *Change) refresh(info Info) {
	ch.User, ch.LoggedIn, ch.LastSeen = info.User, info.LoggedIn, info.LastSeen
	ch.Expires, ch.Deadline, ch.IdleTimeout = info.Expires, info.Deadline, &info.IdleTimeout
	ch.ClientIP, ch.UserAgent = info.ClientIP, info.UserAgent
}

// apply does to a record what the store has done.
func (r *Record) apply(ch *Change) {
	if ch.Replace {
		r.Values = nil
	}
	for name, v := range ch.Set {
		r.put(name, v)
	}
	for _, name := range ch.Unset {
		delete(r.Values, name)
	}
	r.User = cmp.Or(ch.User, r.User)
	r.ClientIP = cmp.Or(ch.ClientIP, r.ClientIP)
	r.UserAgent = cmp.Or(ch.UserAgent, r.UserAgent)
	r.Renewed = cmp.Or(ch.Renewed, r.Renewed)
	r.LoggedIn = cmp.Or(ch.LoggedIn, r.LoggedIn)
	r.LastSeen = cmp.Or(ch.LastSeen, r.LastSeen)
	r.Expires = cmp.Or(ch.Expires, r.Expires)
	r.Deadline = cmp.Or(ch.Deadline, r.Deadline)
	if ch.Verifier != nil {
		r.Verifier, r.Salt = ch.Verifier, ch.Salt
	}
	if ch.IdleTimeout != nil {
		r.IdleTimeout = *ch.IdleTimeout
	}
}

func (r *Record) put(name string, v Value) {
	if v.Version == 0 {
		delete(r.Values, name)
		return
	}
	if r.Values == nil {
		r.Values = make(map[string]Value)
	}
	r.Values[name] = v
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

// pause waits before another try, with jitter, from 5 ms doubling to longest;
// it is false when the time is up.
func pause(ctx context.Context, try int, longest time.Duration) bool {
	d := min(5*time.Millisecond<<min(try, 20), longest)
	t := time.NewTimer(d/2 + mathrand.N(d/2+1))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
