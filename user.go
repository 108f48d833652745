package session

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/holdfast-go/session/internal/backoff"
)

// List returns the live sessions of user, the most recently seen one first. It
// returns no sessions if user is empty. List does not observe the end of ctx.
// It passes the values of ctx to the store, and the store timeout bounds it.
// It returns an error that wraps [ErrUnavailable] if the store failed.
func (m *Manager) List(ctx context.Context, user string) ([]Info, error) {
	m.mustBeMade()
	ctx, stop := m.storeContext(ctx)
	defer stop.release()
	infos, err := m.listLive(ctx, user)
	return infos, m.wrapStoreError(ctx, err)
}

// listLive is List without the timeout.
func (m *Manager) listLive(ctx context.Context, user string) ([]Info, error) {
	if user == "" {
		return nil, nil // anonymous sessions belong to no user
	}
	infos, err := m.listByUser(ctx, user)
	if err != nil {
		return nil, err
	}
	now := m.now()
	infos = slices.DeleteFunc(infos, func(i Info) bool { return !m.isLive(&i, now) })
	slices.SortFunc(infos, func(a, b Info) int { return b.LastSeenAt.Compare(a.LastSeenAt) })
	return infos, nil
}

// listByUser returns the sessions of exactly this user. A database may compare
// names by a collation under which different names are equal.
func (m *Manager) listByUser(ctx context.Context, user string) ([]Info, error) {
	infos, err := m.store.List(ctx, user)
	return slices.DeleteFunc(infos, func(i Info) bool { return i.User != user }), err
}

// enforceMaxPerUser ends the sessions of a user beyond the maximum, the least
// recently seen ones first. It counts only earlier sign-ins, so two concurrent
// sign-ins do not end each other.
func (m *Manager) enforceMaxPerUser(ctx context.Context, rec *Record) error {
	if m.maxPerUser == 0 {
		return nil
	}
	infos, err := m.listLive(ctx, rec.User)
	if err != nil {
		return err
	}
	infos = slices.DeleteFunc(infos, func(i Info) bool { return !signedInBefore(&i, rec) })
	for _, i := range infos[min(len(infos), m.maxPerUser-1):] {
		if err := m.endOldSession(ctx, i.ID, rec); err != nil {
			return err
		}
	}
	return nil
}

// signedInBefore orders sign-ins by time, and by ID if the times are equal.
func signedInBefore(i *Info, rec *Record) bool {
	return cmp.Or(i.SignedInAt.Compare(rec.SignedInAt), bytes.Compare(i.ID[:], rec.ID[:])) < 0
}

// endOldSession ends a session because of a later sign-in, unless the session
// has signed in again. A Delete has no guard. So the session first gets a
// verifier without a secret, under a guard, and is then deleted.
func (m *Manager) endOldSession(ctx context.Context, id ID, by *Record) error {
	nobody := newSecret().verifier()
	ended := func(found *Record) bool { return bytes.Equal(found.Verifier, nobody) }
	lost, live := false, false
	remove := func(found *Record) error {
		if live {
			m.reportSession(ctx, EventEvicted, ReasonMaxPerUser, &found.Info)
		}
		return m.store.Delete(ctx, id)
	}
	for try := 0; ; try++ {
		found, err := m.readBack(ctx, id, lost, ended)
		switch {
		case errors.Is(err, ErrNotFound):
			return nil
		case err != nil:
			return err
		case ended(found):
			return remove(found)
		case !signedInBefore(&found.Info, by):
			return nil
		}
		live = m.isLive(&found.Info, m.now()) // a concurrent sign-in may have ended it
		err = m.store.Update(ctx, id, &Change{If: Guard{Verifier: found.Verifier}, Verifier: nobody, ExpiresAt: found.CreatedAt})
		if err == nil {
			return remove(found)
		}
		lost = lost || errors.Is(err, ErrUncertain)
		if !needsReadBack(err) && !errors.Is(err, ErrNotFound) || !backoff.Wait(ctx, try, time.Second) {
			return err
		}
	}
}
