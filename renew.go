package session

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/holdfast-go/session/internal/backoff"
)

// renew stores a new token together with all other pending changes. It returns
// the record and the token.
func (s *Session) renew(ctx context.Context) (*Record, token, error) {
	rec, salt := s.rec, make([]byte, 16)
	rand.Read(salt)
	next := token{id: rec.ID, secret: s.m.keys[0].renewed(s.secret, rec.ID, salt)}
	ch := s.pendingChange(rec.ID)
	if s.pend.user != "" {
		s.encryptAgain(ch, rec)
	}
	ch.refresh(s.nextInfo(rec.Info))
	ch.If.Verifier = s.secret.verifier()
	ch.Verifier, ch.Salt, ch.RenewedAt = next.secret.verifier(), salt, ch.LastSeenAt
	renewed, t, err := s.sendRenewal(ctx, ch, next)
	if errors.Is(err, ErrUncertain) {
		s.mu.Lock()
		s.keepAttempt(ch, next)
		s.mu.Unlock()
	}
	return renewed, t, err
}

// sendRenewal stores a change of the token to next. The salt is new for each
// renewal, so it distinguishes this renewal from another request's.
func (s *Session) sendRenewal(ctx context.Context, ch *Change, next token) (*Record, token, error) {
	m, id := s.m, s.rec.ID
	mine := func(found *Record) bool { return bytes.Equal(found.Salt, ch.Salt) }
	lost := s.pend.attempt != nil
	for try := 0; ; try++ {
		err := m.store.Update(ctx, id, ch)
		if err == nil {
			renewed := s.rec.clone()
			renewed.Apply(ch)
			return renewed, next, nil
		}
		if !needsReadBack(err) {
			return nil, token{}, err
		}
		lost = lost || errors.Is(err, ErrUncertain)
		found, lerr := m.readBack(ctx, id, lost, mine)
		switch {
		case lerr != nil:
			return nil, token{}, lerr
		case mine(found):
			return found, next, nil // it was applied, but the reply was lost
		case !bytes.Equal(found.Verifier, ch.If.Verifier):
			rec, next, err := s.join(ctx, found)
			if lost && errors.Is(err, ErrSuperseded) {
				err = ErrUncertain // it may have been applied, and then renewed again
			}
			return rec, next, err
		case !backoff.Wait(ctx, try, time.Second):
			return nil, token{}, err
		}
		ch.dropChanged(found)
	}
}

// join lets a sign-in derive the token of a concurrent renewal and adds its
// changes to the record. So two clicks on "sign in" end in one session.
//
// Only a sign-in may join, because its credentials have just been checked.
// Otherwise a request with a stolen token, admitted earlier and held open,
// would get the token that the owner received by signing in again.
func (s *Session) join(ctx context.Context, found *Record) (*Record, token, error) {
	user := s.pend.user
	if user == "" || found.User != user || !s.m.now().Before(found.RenewedAt.Add(grace)) {
		return nil, token{}, ErrSuperseded
	}
	// A sign-in writes one time to both fields.
	otherSignIn := found.RenewedAt.Equal(found.SignedInAt)
	for _, k := range s.m.keys {
		next := token{id: found.ID, secret: k.renewed(s.secret, found.ID, found.Salt)}
		if !found.matches(next.secret) {
			continue
		}
		ch := s.pendingChange(found.ID)
		if s.pend.timeouts != nil {
			info := found.Info
			s.applyTimeouts(&info)
			ch.refresh(info)
		}
		if len(ch.Set)+len(ch.Unset) == 0 && !ch.Replace && s.pend.timeouts == nil {
			s.announced = otherSignIn
			return found, next, nil
		}
		ch.If.Verifier = found.Verifier
		err := s.m.sendChange(ctx, found, ch)
		if errors.Is(err, ErrConflict) {
			err = ErrSuperseded // renewed once more
		}
		s.announced = s.announced || err == nil && otherSignIn
		found.Apply(ch)
		return found, next, err
	}
	return nil, token{}, ErrSuperseded
}

// renewed derives the secret that follows s. Requests with the same old
// secret, salt and key derive the same new secret, so two concurrent renewals
// agree. Two of the three inputs are not enough.
func (k keys) renewed(s secret, id ID, salt []byte) (next secret) {
	mac := hmac.New(sha256.New, k.renewal)
	mac.Write(s[:])
	mac.Write(id[:])
	mac.Write(salt)
	mac.Sum(next[:0])
	return next
}
