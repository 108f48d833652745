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

// List returns the live sessions of a user, those last seen first.
func (m *Manager) List(ctx context.Context, user string) ([]Info, error) {
	m.mustBeMade()
	ctx, stop := m.storeContext(ctx)
	defer stop.release()
	infos, err := m.listLive(ctx, user)
	return infos, m.wrapStoreError(ctx, err)
}

func (m *Manager) listLive(ctx context.Context, user string) ([]Info, error) {
	if user == "" {
		return nil, nil // anonymous sessions are nobody's
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

// list returns the sessions of a user, and no others: a database may compare
// names by a collation under which different ones are equal.
func (m *Manager) listByUser(ctx context.Context, user string) ([]Info, error) {
	infos, err := m.store.List(ctx, user)
	return slices.DeleteFunc(infos, func(i Info) bool { return i.User != user }), err
}

// enforceMaxPerUser ends what a user has beyond the maximum, least recently seen first. It
// counts the sign-ins before this one alone, so that two at once do not end
// each other.
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

func signedInBefore(i *Info, rec *Record) bool {
	return cmp.Or(i.SignedInAt.Compare(rec.SignedInAt), bytes.Compare(i.ID[:], rec.ID[:])) < 0
}

// endOldSession ends a session for a later sign-in, unless it has itself signed in
// again by then. A Delete has no guard, so the session first gets a verifier
// that no secret fits.
func (m *Manager) endOldSession(ctx context.Context, id ID, by *Record) error {
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
		err = m.store.Update(ctx, id, &Change{If: Guard{Verifier: found.Verifier}, Verifier: nobody, ExpiresAt: found.CreatedAt})
		if err == nil {
			return m.store.Delete(ctx, id)
		}
		if !needsReadBack(err) && !errors.Is(err, ErrNotFound) || !backoff.Wait(ctx, try, time.Second) {
			return err
		}
	}
}
