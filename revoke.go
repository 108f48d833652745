package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	markerKey  = "revoked"      // and the IDs of sessions that were ended by theirs
	markerLife = 24 * time.Hour // no sign-in is in flight for longer
)

// revocation is what a marker holds.
type revocation struct {
	NotBefore int64  `json:"notBefore"` // nanoseconds since 1970
	Stamp     string `json:"stamp"`     // tells one revocation from another
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
	ctx, stop := m.bounded(ctx)
	defer stop.release()
	rec, err := m.store.Load(ctx, id)
	if err != nil {
		return m.explain(ctx, err)
	}
	if user == "" || rec.User != user {
		return ErrNotFound
	}
	if m.now().Sub(rec.LoggedIn) < markerLife {
		// The sign-in may be under way: where its insert's reply was lost, it
		// inserts the record again.
		ended := map[string]Value{id.String(): {Data: []byte("true"), Version: newVersion()}}
		unguarded := func(*Record) (Guard, bool) { return Guard{}, false }
		if err := m.putMarker(ctx, user, ended, unguarded); err != nil {
			return m.explain(ctx, err)
		}
	}
	// A record's user never changes to another one, so this is still theirs.
	return m.explain(ctx, m.store.Delete(ctx, id))
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
	user, keep, late := s.user(), s.target().id(), s.standing == superseded
	if late {
		keep = s.rec.id() // which a pending sign-in will join
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
	bctx, stop := m.bounded(ctx)
	defer stop.release()
	stamp, err := m.mark(bctx, user)
	if err != nil {
		return 0, m.explain(bctx, err)
	}
	if by != nil {
		by.mu.Lock()
		by.stamps = append(by.stamps, stamp)
		by.mu.Unlock()
	}
	infos, err := m.store.List(bctx, user)
	if err != nil {
		return 0, m.explain(bctx, err)
	}
	now := m.now()
	for _, i := range infos {
		if i.ID == keep {
			continue
		}
		// Each has the whole store timeout: a user may have many.
		dctx, stop := m.bounded(ctx)
		err := m.store.Delete(dctx, i.ID)
		stop.release()
		if err != nil {
			return n, m.explain(dctx, err)
		}
		if m.live(&i, now) {
			n++
		}
	}
	return n, nil
}

// mark writes the marker, never with an earlier time than it has, and returns
// its stamp.
func (m *Manager) mark(ctx context.Context, user string) (stamp string, err error) {
	now := m.now()
	r := revocation{NotBefore: now.UnixNano(), Stamp: rand.Text()}
	data, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	value := Value{Data: data, Version: newVersion()}
	return r.Stamp, m.putMarker(ctx, user, map[string]Value{markerKey: value}, func(found *Record) (Guard, bool) {
		is := found.Values[markerKey]
		done := is.Version == value.Version || parseMarker(is).NotBefore > r.NotBefore
		return Guard{Versions: map[string]int64{markerKey: is.Version}}, done
	})
}

// putMarker writes to a user's marker, guarded as guard says of what is there,
// unless that is done.
func (m *Manager) putMarker(ctx context.Context, user string, set map[string]Value, guard func(found *Record) (Guard, bool)) error {
	id, now := markerID(user), milli(m.now())
	expires := now.Add(markerLife)
	for try := 0; ; try++ {
		found, err := m.store.Load(ctx, id)
		switch {
		case errors.Is(err, ErrNotFound):
			err = m.store.Insert(ctx, &Record{Info: Info{ID: id, Created: now, Expires: expires}, Values: set})
		case err != nil:
			return err
		default:
			on, done := guard(found)
			if done {
				return nil
			}
			err = m.store.Update(ctx, id, &Change{If: on, Set: set, Expires: expires})
		}
		if err == nil {
			return nil
		}
		if !isLost(err) && !errors.Is(err, ErrNotFound) || !pause(ctx, try, 100*time.Millisecond) {
			return err
		}
	}
}

// checkRevoked refuses a sign-in whose session was revoked, or whose request
// was admitted before all of the user's were, unless it was that request that
// did so.
func (m *Manager) checkRevoked(ctx context.Context, rec *Record, admitted time.Time, own []string) error {
	marker, err := m.store.Load(ctx, markerID(rec.User))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("session: cannot tell whether %v was revoked: %w", rec.ID, err)
	}
	if _, ended := marker.Values[rec.ID.String()]; ended {
		return ErrRevoked
	}
	r := parseMarker(marker.Values[markerKey])
	for _, stamp := range own {
		if r.Stamp == stamp {
			return nil
		}
	}
	if r.NotBefore > admitted.UnixNano() {
		return ErrRevoked
	}
	return nil
}

// parseMarker takes a damaged marker for none: the list has been deleted.
func parseMarker(v Value) (r revocation) {
	_ = json.Unmarshal(v.Data, &r)
	return r
}
