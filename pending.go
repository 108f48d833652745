package session

import "time"

// pending holds the changes of a request that are not stored yet. They concern the
// stored record, or a new one if nothing is stored or the record is detached.
type pending struct {
	detached bool             // the stored record is to be left or deleted
	signOut  bool             // the stored record is to be deleted first, and the cookie too
	renew    bool             // the token is to be renewed
	inserts  bool             // a commit has tried to insert the new record
	cleared  int32            // number of calls of Clear, which removes the stored values
	user     string           // user of a pending sign-in; otherwise empty
	timeouts *timeouts        // see SetTimeouts; nil if they stay
	values   map[string]Value // a Version of 0 deletes the key
	invalid  error            // errors of invalid calls; nil without one
	token    token            // of the new record, the same while commits fail
	attempt  *attempt         // nil if the outcome of all changes is known
	at       string           // file and line of a call after the response began
}

// attempt is a change that a commit has sent without learning its outcome. If its
// values were sent again as new ones, they would overwrite values that other
// requests have stored since. So the next commit completes the attempt first.
type attempt struct {
	change   *Change
	next     token // the token of a renewal; otherwise zero
	cleared  int32 // pending.cleared when the change was sent
	timeouts *timeouts
}

// timeouts are those of one session, set by SetTimeouts.
type timeouts struct{ idle, lifetime time.Duration }

// detach drops the pending changes, except a sign-out and errors. Later
// changes concern a new record.
func (s *Session) detach() {
	s.pend = pending{detached: s.rec != nil, signOut: s.pend.signOut, invalid: s.pend.invalid, at: s.pend.at}
}

// target returns the stored record that the pending changes concern, or nil
// if they concern a new one. A superseded token has no target.
func (s *Session) target() *Record {
	if s.pend.detached || s.needsSignIn() {
		return nil
	}
	return s.rec
}

// user returns the user after the pending changes.
func (s *Session) user() string {
	if s.pend.user != "" {
		return s.pend.user
	}
	if rec := s.target(); rec != nil {
		return rec.User
	}
	return ""
}

// owner returns the user whose session a sign-in would continue.
func (s *Session) owner() string {
	if s.standing == unsettled && !s.pend.detached && s.pend.user == "" {
		return s.rec.User
	}
	return s.user()
}

// creates reports whether a commit would insert a record.
func (s *Session) creates() bool {
	if s.target() != nil {
		return false
	}
	for _, v := range s.pend.values {
		if v.Version != 0 {
			return true
		}
	}
	return s.pend.user != ""
}

// dirty reports whether there is anything to commit.
func (s *Session) dirty() bool {
	p := &s.pend
	asked := p.renew || p.cleared > 0 || len(p.values) > 0
	switch {
	case p.detached || s.creates() || p.signOut && s.endsMore():
		return true
	case s.needsSignIn():
		return asked || p.signOut
	default:
		return asked && s.target() != nil
	}
}

// changesToken reports whether a commit would produce a cookie that the
// client must get.
func (s *Session) changesToken() bool {
	return s.creates() || s.pend.renew && (s.target() != nil || s.needsSignIn())
}

// nextToken returns the token of the new record. It stays the same while
// commits fail, so a record whose insert had no reply is found again.
func (s *Session) nextToken() token {
	if s.pend.token.id.IsZero() {
		s.pend.token = token{id: newID(s.m.now()), secret: newSecret()}
	}
	return s.pend.token
}

// value returns the value of a key after the pending changes.
func (s *Session) value(name string) (Value, bool) {
	if v, ok := s.pend.values[name]; ok {
		return v, v.Version != 0
	}
	if rec := s.target(); rec != nil && s.pend.cleared == 0 {
		v, ok := rec.Values[name]
		return v, ok
	}
	return Value{}, false
}

// put adds the value of a key to the pending changes. A Version of 0 deletes
// the key. put refuses to overwrite a sealed value, because another deploy may
// be able to read it.
func (s *Session) put(name string, val Value) error {
	if err := checkName("key", name); err != nil {
		return err
	}
	if old, ok := s.value(name); ok && s.m.sealed(old) && val.Version != 0 {
		return errSealed
	}
	if s.pend.values == nil {
		s.pend.values = make(map[string]Value)
	}
	s.pend.values[name] = val
	return nil
}

// pendingChange returns the pending changes of values, for the record with an
// ID.
func (s *Session) pendingChange(record ID) *Change {
	ch := &Change{Replace: s.pend.cleared > 0, Set: s.pend.values}
	for name, v := range s.pend.values {
		if v.Version == 0 && !ch.Replace {
			ch.Unset = append(ch.Unset, name)
		}
	}
	if len(ch.Unset) > 0 || ch.Replace || s.m.encryption {
		ch.Set = make(map[string]Value, len(s.pend.values))
		for name, v := range s.pend.values {
			if v.Version != 0 {
				ch.Set[name] = s.m.protect(record, name, v)
			}
		}
	}
	return ch
}
