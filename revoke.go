package session

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/holdfast-go/session/internal/backoff"
)

const (
	markerKey  = "revoked"
	markerLife = 24 * time.Hour // no sign-in takes longer

	// maxEnded bounds how many sessions a marker names.
	maxEnded = 50

	// maxSkew is by how much the clocks of two replicas may differ without
	// being corrected in a marker.
	maxSkew = 30 * time.Second
)

// revocation is what a marker holds: the value of its key markerKey. Times are
// nanoseconds since 1970.
type revocation struct {
	// NotBefore refuses sign-ins admitted earlier. Each revocation makes it
	// later, so that a request which knows that of its own revocation can tell
	// whether another one has come after it.
	NotBefore int64            `json:"notBefore"`
	Ended     map[string]int64 `json:"ended,omitempty"` // IDs of revoked sessions, and when
}

// correct moves a time back that a replica with a wrong clock has set: no
// sign-in would be possible until all clocks have reached it.
func (r *revocation) correct(now time.Time) (changed bool) {
	if r.NotBefore <= now.Add(maxSkew).UnixNano() {
		return false
	}
	r.NotBefore = now.UnixNano()
	return true
}

// trim keeps the marker small. A session revoked so long ago has no sign-in
// under way. Of too many the oldest are left out, and all sign-ins refused that
// began before those were revoked.
func (r *revocation) trim(now time.Time) {
	old := now.Add(-markerLife).UnixNano()
	maps.DeleteFunc(r.Ended, func(_ string, at int64) bool { return at < old })
	for len(r.Ended) > maxEnded {
		first, at := "", int64(math.MaxInt64)
		for id, t := range r.Ended {
			if t < at {
				first, at = id, t
			}
		}
		delete(r.Ended, first)
		r.NotBefore = max(r.NotBefore, at)
	}
}

// markerID returns a UUIDv8 (RFC 9562, section 5.8), which newID never makes.
func markerID(user string) ID {
	sum := sha256.Sum256([]byte("holdfast session: revoked\x00" + user))
	id := ID(sum[:16])
	id.setVersion(8)
	return id
}

// Revoke ends one session of a user, as from a list of devices. It is
// [ErrNotFound] where the user has none of that ID.
func (m *Manager) Revoke(ctx context.Context, user string, id ID) error {
	m.mustBeMade()
	ctx, stop := m.storeContext(ctx)
	defer stop.release()
	rec, err := m.store.Load(ctx, id)
	if err != nil {
		return m.wrapStoreError(ctx, err)
	}
	if user == "" || rec.User != user {
		return ErrNotFound
	}
	if m.now().Sub(rec.SignedInAt) < markerLife {
		// The sign-in may be under way: where its insert's reply was lost, it
		// inserts the record again.
		_, err := m.mark(ctx, user, func(r *revocation) {
			if r.Ended == nil {
				r.Ended = make(map[string]int64)
			}
			r.Ended[id.String()] = m.now().UnixNano()
		})
		if err != nil {
			return m.wrapStoreError(ctx, err)
		}
	}
	// A record's user never changes to another one, so this is still theirs.
	return m.wrapStoreError(ctx, m.store.Delete(ctx, id))
}

// RevokeAll ends all sessions of a user and all sign-ins that are under way,
// save one by the request whose context ctx is, and returns how many sessions
// it ended. Each deletion has the store timeout for itself. After an error some
// may be left: call it again.
func (m *Manager) RevokeAll(ctx context.Context, user string) (int, error) {
	m.mustBeMade()
	if err := checkName("user", user); err != nil {
		return 0, misuse("RevokeAll", err)
	}
	return m.revoke(ctx, user, ID{}, scopeOf(ctx).of(m))
}

// RevokeOthers ends all other sessions of the signed-in user, as is due after a
// change of password, and returns how many it ended. Each deletion has the
// store timeout for itself. After an error some may be left: call it again.
func (s *Session) RevokeOthers(ctx context.Context) (int, error) {
	s.mu.Lock()
	user, keep, late := s.user(), s.target().id(), s.needsSignIn()
	if late {
		keep = s.rec.id() // a pending sign-in renews or joins it
	}
	s.mu.Unlock()
	switch {
	case user == "" && late:
		return 0, ErrSuperseded
	case user == "":
		return 0, misuse("RevokeOthers", errors.New("nobody is signed in"))
	}
	return s.m.revoke(ctx, user, keep, s)
}

func (m *Manager) revoke(ctx context.Context, user string, keep ID, by *Session) (n int, err error) {
	bctx, stop := m.storeContext(ctx)
	defer stop.release()
	now := m.now()
	marked, err := m.mark(bctx, user, func(r *revocation) {
		r.NotBefore = max(r.NotBefore+1, now.UnixNano())
	})
	if err != nil {
		return 0, m.wrapStoreError(bctx, err)
	}
	if by != nil {
		by.mu.Lock()
		by.revoked = time.Unix(0, marked.NotBefore)
		by.mu.Unlock()
	}
	infos, err := m.listByUser(bctx, user)
	if err != nil {
		return 0, m.wrapStoreError(bctx, err)
	}
	for _, i := range infos {
		if i.ID == keep {
			continue
		}
		// Each has the whole store timeout: a user may have many.
		dctx, stop := m.storeContext(ctx)
		err := m.store.Delete(dctx, i.ID)
		stop.release()
		if err != nil {
			return n, m.wrapStoreError(dctx, err)
		}
		if m.isLive(&i, now) {
			n++
		}
	}
	return n, nil
}

// mark changes what a user's marker holds, and returns the result.
func (m *Manager) mark(ctx context.Context, user string, change func(*revocation)) (revocation, error) {
	id := markerID(user)
	var sent []int64 // versions
	shows := func(found *Record) bool { return slices.Contains(sent, found.Values[markerKey].Version) }
	lost := false
	for try := 0; ; try++ {
		found, err := m.readBack(ctx, id, lost, shows)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return revocation{}, err
		}
		if err == nil && shows(found) {
			return parseMarker(found), nil
		}
		sent = append(sent, newVersion())
		r, err := m.putMarker(ctx, id, found, sent[try], change)
		if err == nil {
			return r, nil
		}
		lost = lost || errors.Is(err, ErrUncertain)
		if !needsReadBack(err) && !errors.Is(err, ErrNotFound) || !backoff.Wait(ctx, try, 100*time.Millisecond) {
			return r, err
		}
	}
}

// putMarker writes a marker in place of the one that was found, if any.
func (m *Manager) putMarker(ctx context.Context, id ID, found *Record, version int64, change func(*revocation)) (revocation, error) {
	now := m.now()
	r := parseMarker(found)
	r.correct(now)
	change(&r)
	r.trim(now)
	data, err := json.Marshal(r)
	if err != nil {
		return r, err
	}
	set := map[string]Value{markerKey: {Data: data, Version: version}}
	expires := milli(now).Add(markerLife)
	if found == nil {
		return r, m.store.Insert(ctx, &Record{Info: Info{ID: id, CreatedAt: milli(now), ExpiresAt: expires}, Values: set})
	}
	on := Guard{Versions: map[string]int64{markerKey: found.Values[markerKey].Version}}
	return r, m.store.Update(ctx, id, &Change{If: on, Set: set, ExpiresAt: expires})
}

// since returns the time from which on a revocation refuses the session's
// sign-in: its admission, or its own revocation if it came with one.
func (s *Session) revocableSince() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.revoked.After(s.admitted) {
		return s.revoked
	}
	return s.admitted
}

// checkRevoked refuses a sign-in whose session was revoked, or all of the
// user's sessions later than since.
func (m *Manager) checkRevoked(ctx context.Context, rec *Record, since time.Time) error {
	marker, err := m.store.Load(ctx, markerID(rec.User))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("session: cannot tell whether %v was revoked: %w", rec.ID, err)
	}
	r := parseMarker(marker)
	if _, ended := r.Ended[rec.ID.String()]; ended {
		return ErrRevoked
	}
	if r.NotBefore <= since.UnixNano() {
		return nil
	}
	if r.correct(m.now()) {
		// This sign-in may have been under way; those to come are not.
		if _, err := m.mark(ctx, rec.User, func(*revocation) {}); err != nil {
			m.log.WarnContext(ctx, "session: a revocation of a replica whose clock is ahead was not corrected", "error", err)
		}
	}
	return ErrRevoked
}

// parseMarker takes a damaged marker for none: the list has been deleted.
func parseMarker(rec *Record) (r revocation) {
	v, _ := rec.valueOf(markerKey)
	_ = json.Unmarshal(v.Data, &r)
	return r
}
