package session

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

var (
	errImportEmpty = errors.New("the credential is empty")
	errImportLate  = errors.New("call it before the request has a session or changes")
)

// Import gives a request without a session the session that continues one of
// another program, such as the one before a migration. credential identifies the
// other session. It must contain at least 128 random bits and be a secret that the
// client has presented, such as the ID in a signed cookie, because everybody who
// presents it gets the session.
//
// If nobody has imported the credential, Import calls fill, which signs the user in
// and sets values, and saves the session. Otherwise s becomes the existing session.
// So concurrent requests with one credential get one session and one token. If fill
// is nil, or changes nothing, no session begins. The existing session counts only as
// long as its token has not been renewed, as by a sign-in.
//
// Then Import calls stored, unless it is nil, with a context that ends at the store
// timeout. It may record that the other session has been imported. If stored returns
// an error, Import deletes a record that it has inserted, and returns the error. A
// caller must not fill a session again that has ended since. So stored should return
// [ErrNotFound] if the other session has ended.
//
// Import does not observe the end of ctx. It returns ErrNotFound if there is no
// session, or if the client uses the header of [WithTokenHeader]. It returns
// [ErrCrossSite] or [ErrOutsidePath] if the browser may have withheld the cookie of a
// session. Its other errors are those of [Session.Save]. If s has a session or
// pending changes, Import is an invalid call.
func (s *Session) Import(ctx context.Context, credential string, fill func(s *Session), stored func(ctx context.Context) error) error {
	imp, err := s.beginImport(credential)
	if err != nil {
		return err
	}
	imp.stored = stored
	found, err := s.joinImport(ctx, imp)
	switch {
	case err != nil:
		return err
	case !found && fill == nil:
		return ErrNotFound
	case !found:
		if err := s.insertImport(ctx, imp, fill); err != nil {
			return err
		}
	}
	return s.finishImport(ctx, imp)
}

// imported describes an import.
type imported struct {
	tokens []token // derived from the credential with each of the keys
	joined bool    // a concurrent request has inserted the record
	stored func(context.Context) error
}

// beginImport checks the state of the session and derives the tokens.
func (s *Session) beginImport(credential string) (*imported, error) {
	s.lock()
	defer s.unlock()
	switch {
	case credential == "":
		return nil, misuse("Import", errImportEmpty)
	case s.standing != anonymous || s.rec != nil || s.dirty() || s.pend.signOut || s.pend.invalid != nil:
		return nil, misuse("Import", errImportLate)
	case s.carrier == byHeader:
		return nil, ErrNotFound
	case s.withheldErr != nil:
		return nil, s.withheldErr
	case s.begun:
		return nil, ErrUndeliverable
	}
	imp := &imported{}
	id := importID(credential)
	for _, k := range s.m.keys {
		imp.tokens = append(imp.tokens, token{id: id, secret: k.importSecret(credential)})
	}
	imp.tokens = imp.tokens[:min(len(imp.tokens), maxTokens)]
	return imp, nil
}

// importID returns a UUIDv8 (RFC 9562, section 5.8). It does not depend on the
// keys, so two replicas find the same record while the secret is rotated.
func importID(credential string) ID {
	sum := sha256.Sum256([]byte("holdfast session: import\x00" + credential))
	id := ID(sum[:16])
	id.setVersion(8)
	return id
}

// importSecret derives the secret of an imported session's first token.
func (k keys) importSecret(credential string) (sec secret) {
	mac := hmac.New(sha256.New, k.imports)
	mac.Write([]byte(credential))
	mac.Sum(sec[:0])
	return sec
}

// joinImport admits the request with the derived tokens. It reports whether they
// open a session.
func (s *Session) joinImport(ctx context.Context, imp *imported) (found bool, err error) {
	probe := Session{m: s.m, request: s.request, admitted: s.admitted}
	if _, err := s.m.admit(ctx, &probe, imp.tokens); err != nil {
		return false, err
	}
	s.lock()
	defer s.unlock()
	s.lapsed = s.lapsed || probe.lapsed
	if probe.standing == anonymous {
		return false, nil
	}
	s.rec, s.secret, s.standing = probe.rec, probe.secret, probe.standing
	imp.joined = true
	return true, nil
}

// insertImport fills and saves the session. After an error, or if fill panics, no
// change remains pending.
func (s *Session) insertImport(ctx context.Context, imp *imported, fill func(s *Session)) (err error) {
	s.lock()
	s.pend.token, s.extras().imported = imp.tokens[0], imp
	s.unlock()
	defer func() {
		s.lock()
		defer s.unlock()
		s.pend, s.extra.imported = pending{}, nil
		if err == nil && s.rec == nil {
			err = ErrNotFound // fill has changed nothing
		}
	}()
	fill(s)
	return s.Save(ctx)
}

// finishImport calls stored and decides whether the response sets the cookie. If
// another request has inserted the record a moment ago, its response does so. A
// second cookie could arrive late, and replace the one of a sign-in.
func (s *Session) finishImport(ctx context.Context, imp *imported) error {
	if s.standing == current && imp.stored != nil {
		sctx, stop := s.m.storeContext(ctx)
		defer stop.release()
		if err := imp.stored(sctx); err != nil {
			return s.undoImport(ctx, imp, err)
		}
	}
	s.lock()
	defer s.unlock()
	if !imp.joined {
		return nil
	}
	s.cookie = nil
	if s.standing != current || s.m.now().Before(s.rec.CreatedAt.Add(grace)) {
		return nil
	}
	c, err := s.m.issueCookie(token{id: s.rec.ID, secret: s.secret}, &s.rec.Info)
	if err == nil {
		s.cookie, s.cookieSent = c, false
	}
	return err
}

// undoImport removes a record that this request has inserted, and makes the
// session anonymous.
func (s *Session) undoImport(ctx context.Context, imp *imported, why error) error {
	info := s.rec.Info
	s.forget()
	s.lock()
	s.cookie = nil
	s.unlock()
	if imp.joined {
		return why
	}
	if err := s.m.deleteWithRetry(ctx, info.ID); err != nil {
		return s.m.wrapStoreError(ctx, err)
	}
	s.m.reportSession(ctx, EventSignedOut, ReasonImport, &info)
	return why
}

// importing returns the import in progress, or nil.
func (s *Session) importing() *imported {
	if s.extra == nil {
		return nil
	}
	return s.extra.imported
}

// matches reports whether one of the tokens opens the record. imp may be nil.
func (imp *imported) matches(found *Record) bool {
	return imp != nil && slices.ContainsFunc(imp.tokens, func(t token) bool { return found.matches(t.secret) })
}

// adoptImported returns the record that exists instead of the one to insert, and its
// token. Another request has inserted it, unless the reply to an insert was lost.
func (s *Session) adoptImported(found *Record, lost bool) (*Record, token, error) {
	imp := s.importing()
	for _, t := range imp.tokens {
		if !found.matches(t.secret) {
			continue
		}
		if !s.m.isLive(&found.Info, s.m.now()) {
			return nil, token{}, fmt.Errorf("%w: the imported session has expired", ErrNotFound)
		}
		imp.joined = !lost
		return found, t, nil
	}
	return nil, token{}, ErrSuperseded
}
