package session

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"time"
)

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

// renewed derives the secret that follows s. Whoever knows s, the record's
// salt and the key arrives at the same one, so two requests that renew at
// once agree; any two of the three are not enough.
func (k keys) renewed(s secret, id ID, salt []byte) (next secret) {
	mac := hmac.New(sha256.New, k.renewal)
	mac.Write(s[:])
	mac.Write(id[:])
	mac.Write(salt)
	mac.Sum(next[:0])
	return next
}
