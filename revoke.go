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
	markerLife = 24 * time.Hour // a sign-in takes less time

	// maxEnded limits the number of sessions in a marker.
	maxEnded = 50

	// maxSkew is the difference between the clocks of two replicas up to which a
	// marker is not corrected.
	maxSkew = 30 * time.Second
)

// revocation is the content of a marker, the value of its key markerKey. Times
// are nanoseconds since 1970. A marker is a record whose ID follows from the
// user. It has neither user nor verifier.
type revocation struct {
	// NotBefore refuses sign-ins admitted earlier. Each revocation makes it later.
	// So a request can compare it with the time of its own revocation, to find
	// out whether another one came later.
	NotBefore int64            `json:"notBefore"`
	Ended     map[string]int64 `json:"ended,omitempty"` // times of revocation by session ID
}

// correct moves NotBefore back if a replica with a wrong clock has set it.
// Otherwise no sign-in would be possible until all clocks have reached it.
func (r *revocation) correct(now time.Time) (changed bool) {
	if r.NotBefore <= now.Add(maxSkew).UnixNano() {
		return false
	}
	r.NotBefore = now.UnixNano()
	return true
}

// trim limits the size of the marker. It removes sessions revoked longer ago
// than markerLife, because no sign-in takes so long. If there are too many
// sessions, it removes the oldest and refuses all sign-ins admitted before
// their revocation.
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

// markerID returns a UUIDv8 (RFC 9562, section 5.8), which newID never
// returns.
func markerID(user string) ID {
	sum := sha256.Sum256([]byte("holdfast session: revoked\x00" + user))
	id := ID(sum[:16])
	id.setVersion(8)
	return id
}

// Revoke ends one session of user, as from a list of devices. Get id from
// [Manager.List]. If the session's sign-in is still in progress, it fails with
// [ErrRevoked].
//
// Revoke does not observe the end of ctx. It passes the values of ctx to the
// store, and the store timeout bounds it.
//
// Revoke returns [ErrNotFound] if user has no session with this ID. It returns
// [ErrConflict] if other revocations of the user kept interfering until the
// store timeout, [ErrUncertain] if the outcome is unknown and [ErrUnavailable]
// if the store failed. The session may then still exist, so call Revoke again.
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
		// The sign-in may still be in progress. If the reply to its insert was
		// lost, it inserts the record again.
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
	// A record never gets another user, so it still belongs to this one.
	if err := m.deleteRecord(ctx, id); err != nil {
		return m.wrapStoreError(ctx, err)
	}
	if m.isLive(&rec.Info, m.now()) {
		m.reportSession(ctx, EventRevoked, ReasonRevoke, &rec.Info)
	}
	return nil
}

// RevokeAll ends all sessions of user and returns the number of those that had
// not expired. Sign-ins in progress fail with [ErrRevoked].
//
// RevokeAll looks into ctx for the current request. If ctx is the context of a
// request of this Manager, this request may still sign user in afterwards, for
// example after a change of password. RevokeAll does not observe the end of
// ctx. The store timeout applies to each deletion separately, because a user
// may have many sessions.
//
// An empty or invalid user is an invalid call. Other errors are those of
// [Manager.Revoke], except ErrNotFound. After an error some sessions may
// remain, so call RevokeAll again.
func (m *Manager) RevokeAll(ctx context.Context, user string) (int, error) {
	m.mustBeMade()
	if err := checkName("user", user); err != nil {
		return 0, misuse("RevokeAll", err)
	}
	return m.revoke(ctx, user, ID{}, scopeOf(ctx).of(m), ReasonRevokeAll)
}

// RevokeOthers is like [Manager.RevokeAll] for the signed-in user, but keeps
// this session. Call it after a change of password.
//
// If nobody is signed in, RevokeOthers is an invalid call. It returns
// [ErrSuperseded] if another request has renewed the token.
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
	return s.m.revoke(ctx, user, keep, s, ReasonRevokeOthers)
}

// revoke ends the sessions of a user except keep. by is the session that asks
// for it, or nil.
func (m *Manager) revoke(ctx context.Context, user string, keep ID, by *Session, why EventReason) (n int, err error) {
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
		by.revokedAt = marked.NotBefore
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
		// Each deletion has the whole store timeout, since there may be many.
		dctx, stop := m.storeContext(ctx)
		err := m.deleteRecord(dctx, i.ID)
		stop.release()
		if err != nil {
			return n, m.wrapStoreError(dctx, err)
		}
		if m.isLive(&i, now) {
			n++
			m.reportSession(ctx, EventRevoked, why, &i)
		}
	}
	return n, nil
}

// mark changes the marker of a user and returns the result.
func (m *Manager) mark(ctx context.Context, user string, change func(*revocation)) (revocation, error) {
	id := markerID(user)
	var sent []int64 // versions of the attempts so far
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

// putMarker writes a marker. found is the marker as it was read, or nil if
// there is no marker.
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

// revocableSince returns the time after which a revocation refuses the
// session's sign-in. It is the admission, or the request's own revocation.
func (s *Session) revocableSince() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if revoked := time.Unix(0, s.revokedAt); revoked.After(s.admitted) {
		return revoked
	}
	return s.admitted
}

// checkRevoked returns ErrRevoked if the session of a sign-in was revoked, or
// if all sessions of the user were revoked after since.
func (m *Manager) checkRevoked(ctx context.Context, rec *Record, since time.Time) error {
	marker, err := m.store.Load(ctx, markerID(rec.User))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("session: cannot determine whether %v was revoked: %w", rec.ID, err)
	}
	r := parseMarker(marker)
	if _, ended := r.Ended[rec.ID.String()]; ended {
		return ErrRevoked
	}
	if r.NotBefore <= since.UnixNano() {
		return nil
	}
	if r.correct(m.now()) {
		// This sign-in may have been in progress at the revocation. Later ones
		// were not.
		if _, err := m.mark(ctx, rec.User, func(*revocation) {}); err != nil {
			m.log.WarnContext(ctx, "session: revocation time of a replica with a fast clock was not corrected", "error", err)
		}
	}
	return ErrRevoked
}

// parseMarker returns the content of a marker. It treats a damaged marker as
// an empty one, because the listed sessions have been deleted.
func parseMarker(rec *Record) (r revocation) {
	v, _ := rec.valueOf(markerKey)
	_ = json.Unmarshal(v.Data, &r)
	return r
}
