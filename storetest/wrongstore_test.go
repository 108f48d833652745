package storetest_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// pause waits n milliseconds at a point at which another call must not come in
// between. The stores run in a synctest bubble, whose clock advances only when
// all goroutines wait. So the other call always comes in between.
func pause(n time.Duration) { time.Sleep(n * time.Millisecond) }

// bent changes a copy of the record that Insert or Load handles.
type bent struct {
	session.Store
	record, load func(*session.Record)
}

func (s bent) Insert(ctx context.Context, rec *session.Record) error {
	c := *rec
	if s.record != nil {
		s.record(&c)
	}
	return s.Store.Insert(ctx, &c)
}

func (s bent) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	rec, err := s.Store.Load(ctx, id)
	if err == nil && s.load != nil {
		s.load(rec)
	}
	return rec, err
}

func eachTime(f func(time.Time) time.Time) func(*session.Record) {
	return func(r *session.Record) {
		for _, at := range []*time.Time{&r.CreatedAt, &r.SignedInAt, &r.LastSeenAt, &r.ExpiresAt, &r.Deadline, &r.RenewedAt} {
			*at = f(*at)
		}
	}
}

func eachValue(f func(*session.Value)) func(*session.Record) {
	return func(r *session.Record) {
		for key, v := range r.Values {
			f(&v)
			r.Values[key] = v
		}
	}
}

// changing returns a function that opens a store with an altered Update.
func changing(f func(*session.Change)) func() session.Store {
	return func() session.Store { return changes{memstore.New(), f} }
}

type changes struct {
	session.Store
	change func(*session.Change)
}

func (s changes) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	c := *ch
	c.Set, c.Unset, c.If.Versions = maps.Clone(ch.Set), slices.Clone(ch.Unset), maps.Clone(ch.If.Versions)
	s.change(&c)
	return s.Store.Update(ctx, id, &c)
}

type nilForMissing struct{ session.Store }

func (s nilForMissing) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	rec, err := s.Store.Load(ctx, id)
	if errors.Is(err, session.ErrNotFound) {
		return nil, nil
	}
	return rec, err
}

type insertOverwrites struct {
	session.Store
	mu sync.Mutex
}

func (s *insertOverwrites) Insert(ctx context.Context, rec *session.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.Delete(ctx, rec.ID), s.Store.Insert(ctx, rec))
}

type insertLooks struct{ insertOverwrites }

func (s *insertLooks) Insert(ctx context.Context, rec *session.Record) error {
	if _, err := s.Load(ctx, rec.ID); err == nil {
		return session.ErrConflict
	}
	pause(1)
	return s.insertOverwrites.Insert(ctx, rec)
}

type sharesLoaded struct {
	session.Store
	mu    sync.Mutex
	cache map[session.ID]*session.Record
}

func (s *sharesLoaded) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec, ok := s.cache[id]; ok && ctx.Err() == nil {
		return rec, nil
	}
	rec, err := s.Store.Load(ctx, id)
	if err == nil {
		s.cache[id] = rec
	}
	return rec, err
}

func (s *sharesLoaded) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.cache, id)
	return s.Store.Update(ctx, id, ch)
}

func (s *sharesLoaded) Delete(ctx context.Context, id session.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.cache, id)
	return s.Store.Delete(ctx, id)
}

type sharesInserted struct {
	session.Store
	mu   sync.Mutex
	kept map[session.ID][]byte
}

func (s *sharesInserted) Insert(ctx context.Context, rec *session.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.Store.Insert(ctx, rec)
	if err == nil {
		s.kept[rec.ID] = rec.Salt
	}
	return err
}

func (s *sharesInserted) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.Store.Update(ctx, id, ch)
	if err == nil {
		delete(s.kept, id)
	}
	return err
}

func (s *sharesInserted) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, err := s.Store.Load(ctx, id)
	if salt, ok := s.kept[id]; ok && err == nil {
		rec.Salt = bytes.Clone(salt)
	}
	return rec, err
}

type sharesChange struct {
	session.Store
	mu   sync.Mutex
	kept map[session.ID][]byte
}

func (s *sharesChange) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.Store.Update(ctx, id, ch)
	if err == nil && ch.Salt != nil {
		s.kept[id] = ch.Salt
	}
	return err
}

func (s *sharesChange) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, err := s.Store.Load(ctx, id)
	if salt, ok := s.kept[id]; ok && err == nil {
		rec.Salt = bytes.Clone(salt)
	}
	return rec, err
}

type loadJudges struct{ session.Store }

func (s loadJudges) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	rec, err := s.Store.Load(ctx, id)
	if err == nil && !rec.ExpiresAt.IsZero() && rec.ExpiresAt.Before(time.Now()) {
		return nil, errors.New("expired")
	}
	return rec, err
}

type deletesAll struct{ session.Store }

func (s deletesAll) Delete(ctx context.Context, id session.ID) error {
	if rec, err := s.Load(ctx, id); err == nil {
		infos, _ := s.List(ctx, rec.User)
		for _, info := range infos {
			_ = s.Store.Delete(ctx, info.ID)
		}
	}
	return s.Store.Delete(ctx, id)
}

type deleteDemands struct{ session.Store }

func (s deleteDemands) Delete(ctx context.Context, id session.ID) error {
	if _, err := s.Load(ctx, id); err != nil {
		return err
	}
	return s.Store.Delete(ctx, id)
}

type upserts struct{ session.Store }

func (s upserts) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	pause(1) // lets a Delete go first
	err := s.Store.Update(ctx, id, ch)
	if !errors.Is(err, session.ErrNotFound) {
		return err
	}
	_ = s.Insert(ctx, &session.Record{Info: session.Info{ID: id}})
	return s.Store.Update(ctx, id, ch)
}

type upsertsQuietly struct{ session.Store }

func (s upsertsQuietly) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	pause(1) // lets a Delete go first
	err := s.Store.Update(ctx, id, ch)
	if errors.Is(err, session.ErrNotFound) {
		_ = s.Insert(ctx, &session.Record{Info: session.Info{ID: id}})
	}
	return err
}

type writesBack struct{ session.Store }

func (s writesBack) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	read, missing := s.Load(ctx, id)
	pause(2)
	err := s.Store.Update(ctx, id, ch)
	if _, now := s.Load(ctx, id); missing == nil && errors.Is(now, session.ErrNotFound) {
		_ = s.Insert(ctx, read)
	}
	return err
}

func (s writesBack) Delete(ctx context.Context, id session.ID) error {
	pause(1) // lets Updates read first
	return s.Store.Delete(ctx, id)
}

type writesPair struct {
	session.Store
	mu      sync.Mutex
	dropped map[session.ID]bool
}

func (s *writesPair) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.Store.Update(ctx, id, ch)
	if err == nil && ch.ClientIP+ch.UserAgent != "" {
		s.dropped[id] = ch.UserAgent == ""
	}
	return err
}

func (s *writesPair) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, err := s.Store.Load(ctx, id)
	if err == nil && s.dropped[id] {
		rec.UserAgent = ""
	}
	return rec, err
}

type refusesNothing struct{ session.Store }

func (s refusesNothing) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	c := *ch
	c.If = session.Guard{}
	if reflect.ValueOf(c).IsZero() {
		return errors.New("nothing to set")
	}
	return s.Store.Update(ctx, id, ch)
}

type countsChanged struct{ session.Store }

func (s countsChanged) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	before, _ := s.Load(ctx, id)
	err := s.Store.Update(ctx, id, ch)
	after, _ := s.Load(ctx, id)
	if err == nil && reflect.DeepEqual(before, after) {
		return session.ErrNotFound
	}
	return err
}

type verifierPrefix struct{ session.Store }

func (s verifierPrefix) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	c := *ch
	if rec, err := s.Load(ctx, id); err == nil && len(c.If.Verifier) > 0 && bytes.HasPrefix(rec.Verifier, c.If.Verifier) {
		c.If.Verifier = rec.Verifier
	}
	return s.Store.Update(ctx, id, &c)
}

type anyGuard struct{ session.Store }

func (s anyGuard) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	err := s.Store.Update(ctx, id, ch)
	for _, g := range []session.Guard{{Verifier: ch.If.Verifier}, {SeenBefore: ch.If.SeenBefore}, {Versions: ch.If.Versions}} {
		if errors.Is(err, session.ErrConflict) && !g.IsZero() {
			c := *ch
			c.If = g
			err = s.Store.Update(ctx, id, &c)
		}
	}
	return err
}

type partial struct{ session.Store }

func (s partial) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	err := s.Store.Update(ctx, id, ch)
	if errors.Is(err, session.ErrConflict) {
		_ = s.Store.Update(ctx, id, &session.Change{Salt: ch.Salt})
	}
	return err
}

type guardMissing struct{ session.Store }

func (s guardMissing) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	err := s.Store.Update(ctx, id, ch)
	if errors.Is(err, session.ErrConflict) {
		return session.ErrNotFound
	}
	return err
}

type guardFirst struct{ session.Store }

func (s guardFirst) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	return lookThenWrite(ctx, s.Store, id, ch, ch.If, session.Guard{})
}

type versionFirst struct{ session.Store }

func (s versionFirst) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	kept := ch.If
	kept.Versions = nil
	return lookThenWrite(ctx, s.Store, id, ch, session.Guard{Versions: ch.If.Versions}, kept)
}

type verifierFirst struct{ session.Store }

func (s verifierFirst) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	kept := ch.If
	kept.Verifier = nil
	return lookThenWrite(ctx, s.Store, id, ch, session.Guard{Verifier: ch.If.Verifier}, kept)
}

type absentFirst struct{ session.Store }

func (s absentFirst) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	first, kept := session.Guard{Versions: map[string]int64{}}, ch.If
	kept.Versions = map[string]int64{}
	for key, version := range ch.If.Versions {
		if version == 0 {
			first.Versions[key] = 0
		} else {
			kept.Versions[key] = version
		}
	}
	return lookThenWrite(ctx, s.Store, id, ch, first, kept)
}

type seenFirst struct{ session.Store }

func (s seenFirst) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	kept := ch.If
	kept.SeenBefore = time.Time{}
	return lookThenWrite(ctx, s.Store, id, ch, session.Guard{SeenBefore: ch.If.SeenBefore}, kept)
}

// lookThenWrite checks one guard first, and then writes with another.
func lookThenWrite(ctx context.Context, s session.Store, id session.ID, ch *session.Change, first, then session.Guard) error {
	if err := s.Update(ctx, id, &session.Change{If: first}); err != nil {
		return err
	}
	pause(1)
	c := *ch
	c.If = then
	return s.Update(ctx, id, &c)
}

type wholeData struct{ session.Store }

func (s wholeData) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	c := *ch
	if rec, err := s.Load(ctx, id); err == nil && !ch.Replace {
		maps.Copy(rec.Values, ch.Set)
		for _, key := range ch.Unset {
			delete(rec.Values, key)
		}
		c.Set, c.Replace = rec.Values, true
	}
	pause(1)
	return s.Store.Update(ctx, id, &c)
}

type inSteps struct{ session.Store }

func (s inSteps) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	c := *ch
	c.User = ""
	if err := s.Store.Update(ctx, id, &c); err != nil {
		return err
	}
	pause(2)
	return s.Store.Update(ctx, id, &session.Change{User: ch.User})
}

func (s inSteps) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	pause(1)
	return s.Store.Load(ctx, id)
}

// losesIndex imitates a list of a user's sessions which each Insert reads and
// writes back.
type losesIndex struct {
	session.Store
	mu   sync.Mutex
	last map[string]session.ID
	lost map[session.ID]bool
}

func (s *losesIndex) Insert(ctx context.Context, rec *session.Record) error {
	s.mu.Lock()
	read := s.last[rec.User]
	s.mu.Unlock()
	pause(1)
	err := s.Store.Insert(ctx, rec)
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.last[rec.User]; now != read {
		s.lost[now] = true
	}
	s.last[rec.User] = rec.ID
	return err
}

func (s *losesIndex) List(ctx context.Context, user string) ([]session.Info, error) {
	pause(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	infos, err := s.Store.List(ctx, user)
	return slices.DeleteFunc(infos, func(info session.Info) bool { return s.lost[info.ID] }), err
}

type forgetsAgent struct{ session.Store }

func (s forgetsAgent) List(ctx context.Context, user string) ([]session.Info, error) {
	infos, err := s.Store.List(ctx, user)
	for i := range infos {
		infos[i].UserAgent = ""
	}
	return infos, err
}

type anyCase struct{ session.Store }

func (s anyCase) List(ctx context.Context, user string) ([]session.Info, error) {
	infos, err := s.Store.List(ctx, user)
	for _, name := range []string{strings.ToLower(user), strings.ToUpper(user)} {
		if more, _ := s.Store.List(ctx, name); name != user {
			infos = append(infos, more...)
		}
	}
	return infos, err
}

// numbers adds the sessions of another name of the same number.
type numbers struct{ session.Store }

func (s numbers) List(ctx context.Context, user string) ([]session.Info, error) {
	infos, err := s.Store.List(ctx, user)
	if _, digits := strconv.ParseUint(user, 10, 64); digits == nil {
		more, _ := s.Store.List(ctx, "0"+user)
		infos = append(infos, more...)
	}
	return infos, err
}

// indexed records each session's user at Insert, and List uses these. With all,
// only List of the empty user does, and returns every record.
type indexed struct {
	session.Store
	all   bool
	mu    sync.Mutex
	users []session.Info
}

func (s *indexed) Insert(ctx context.Context, rec *session.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users = append(s.users, rec.Info)
	return s.Store.Insert(ctx, rec)
}

func (s *indexed) List(ctx context.Context, user string) ([]session.Info, error) {
	if s.all != (user == "") || ctx.Err() != nil {
		return s.Store.List(ctx, user)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var infos []session.Info
	for _, noted := range s.users {
		if rec, err := s.Load(ctx, noted.ID); err == nil && (s.all || noted.User == user) {
			infos = append(infos, rec.Info)
		}
	}
	return infos, nil
}

// renames escapes dots by %2E and does not escape the percent sign. If two names
// become equal, the last one in alphabetical order is kept.
type renames struct{ session.Store }

func escape(key string) string { return strings.ReplaceAll(key, ".", "%2E") }

func rename[V any](m map[string]V, f func(string) string) map[string]V {
	renamed := make(map[string]V, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		renamed[f(key)] = m[key]
	}
	return renamed
}

func (s renames) Insert(ctx context.Context, rec *session.Record) error {
	c := *rec
	c.Values = rename(rec.Values, escape)
	return s.Store.Insert(ctx, &c)
}

func (s renames) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	c := *ch
	c.Set, c.If.Versions, c.Unset = rename(ch.Set, escape), rename(ch.If.Versions, escape), nil
	for _, key := range ch.Unset {
		c.Unset = append(c.Unset, escape(key))
	}
	return s.Store.Update(ctx, id, &c)
}

func (s renames) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	rec, err := s.Store.Load(ctx, id)
	if err == nil {
		rec.Values = rename(rec.Values, func(key string) string { return strings.ReplaceAll(key, "%2E", ".") })
	}
	return rec, err
}

type ignoresContext struct{ session.Store }

func (s ignoresContext) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	return s.Store.Load(context.WithoutCancel(ctx), id)
}

func (s ignoresContext) Insert(ctx context.Context, rec *session.Record) error {
	return s.Store.Insert(context.WithoutCancel(ctx), rec)
}

func (s ignoresContext) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	return s.Store.Update(context.WithoutCancel(ctx), id, ch)
}

func (s ignoresContext) Delete(ctx context.Context, id session.ID) error {
	return s.Store.Delete(context.WithoutCancel(ctx), id)
}

func (s ignoresContext) List(ctx context.Context, user string) ([]session.Info, error) {
	return s.Store.List(context.WithoutCancel(ctx), user)
}

type misreadsContext struct{ session.Store }

func (s misreadsContext) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	rec, err := s.Store.Load(ctx, id)
	if err != nil {
		return nil, session.ErrNotFound
	}
	return rec, nil
}

type confirmsHalf struct{ session.Store }

func (s confirmsHalf) Confirm(ctx context.Context, id session.ID) (*session.Record, error) {
	rec, err := s.Load(ctx, id)
	if err == nil {
		rec.Values = nil
	}
	return rec, err
}

// leavesValues imitates a store with a table for records and a table for values.
// Its Delete forgets the second table.
type leavesValues struct {
	session.Store
	mu   sync.Mutex
	left map[session.ID]map[string]session.Value
}

func (s *leavesValues) Insert(ctx context.Context, rec *session.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := *rec
	c.Values = maps.Clone(s.left[rec.ID])
	if c.Values == nil {
		c.Values = map[string]session.Value{}
	}
	maps.Copy(c.Values, rec.Values)
	return s.Store.Insert(ctx, &c)
}

func (s *leavesValues) Delete(ctx context.Context, id session.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec, err := s.Load(ctx, id); err == nil {
		s.left[id] = rec.Values
	}
	return s.Store.Delete(ctx, id)
}

// tornLoad reads a record and afterwards its values.
type tornLoad struct {
	session.Store
	pause time.Duration // between the two, in milliseconds
}

func (s tornLoad) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	rec, err := s.Store.Load(ctx, id)
	if err != nil {
		return nil, err
	}
	if s.pause > 0 {
		pause(s.pause)
	}
	if later, err := s.Store.Load(ctx, id); err == nil {
		rec.Values = later.Values
	}
	return rec, nil
}

type listsLive struct{ session.Store }

func (s listsLive) List(ctx context.Context, user string) ([]session.Info, error) {
	infos, err := s.Store.List(ctx, user)
	return slices.DeleteFunc(infos, func(info session.Info) bool {
		return !info.ExpiresAt.IsZero() && info.ExpiresAt.Before(time.Now())
	}), err
}

// skipsNothing skips the database if a Change has no effects.
type skipsNothing struct{ session.Store }

func (s skipsNothing) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	c := *ch
	c.If = session.Guard{}
	if reflect.ValueOf(c).IsZero() && ctx.Err() == nil {
		return nil
	}
	return s.Store.Update(ctx, id, ch)
}

// emptyList builds statements with a list of keys and fails if it is empty.
type emptyList struct{ session.Store }

func (s emptyList) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	if ch.Set != nil && len(ch.Set) == 0 || ch.Unset != nil && len(ch.Unset) == 0 {
		return errors.New(`syntax error at or near ")"`)
	}
	return s.Store.Update(ctx, id, ch)
}

// emptyGuard treats an empty map as a condition.
type emptyGuard struct{ session.Store }

func (s emptyGuard) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	err := s.Store.Update(ctx, id, ch)
	if errors.Is(err, session.ErrNotFound) && ch.If.Versions != nil {
		return session.ErrConflict
	}
	return err
}

// confirmsOnce caches the records that it confirms.
type confirmsOnce struct {
	session.Store
	mu   sync.Mutex
	kept map[session.ID]*session.Record
}

func (s *confirmsOnce) Confirm(ctx context.Context, id session.ID) (*session.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec, ok := s.kept[id]; ok {
		c := *rec
		return &c, nil
	}
	rec, err := confirm(s.Store, ctx, id)
	if err == nil {
		s.kept[id] = rec
	}
	return rec, err
}

// confirmsShared returns the same record to all callers until it changes.
type confirmsShared struct {
	session.Store
	shared *sharesLoaded
}

func (s confirmsShared) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	return s.shared.Update(ctx, id, ch)
}

func (s confirmsShared) Delete(ctx context.Context, id session.ID) error {
	return s.shared.Delete(ctx, id)
}

func (s confirmsShared) Confirm(ctx context.Context, id session.ID) (*session.Record, error) {
	return confirm(s.shared, ctx, id)
}

// confirmsPlainly returns the error of Load.
type confirmsPlainly struct{ session.Store }

func (s confirmsPlainly) Confirm(ctx context.Context, id session.ID) (*session.Record, error) {
	return s.Load(ctx, id)
}

// confirm is a correct Confirm for a correct store.
func confirm(s session.Store, ctx context.Context, id session.ID) (*session.Record, error) {
	rec, err := s.Load(ctx, id)
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		return nil, errors.Join(session.ErrUncertain, err)
	}
	return rec, err
}

// renewsBoth writes Verifier and Salt of a Change together.
type renewsBoth struct{ session.Store }

func (s renewsBoth) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	c := *ch
	if c.Verifier != nil && c.Salt == nil {
		c.Salt = []byte{}
	}
	return s.Store.Update(ctx, id, &c)
}
