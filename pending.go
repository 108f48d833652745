package session

import (
	"time"
)

// pending is what a request has asked for and what is not yet stored. It
// concerns the stored record or, where there is none or it is detached, a new
// one.
type pending struct {
	detached bool // the stored record is to go
	destroy  bool // before anything else, and its cookie too
	user     string
	renew    bool
	limits   *limits
	cleared  int              // calls of Clear: the stored values are to go
	values   map[string]Value // Version 0: the key is to go
	fault    error
	token    token // of the new record, kept while commits fail
	inserts  bool  // a commit has tried to insert it
	tried    *attempt
	at       string // the call that came after the response began
}

// attempt is a change that a commit has sent without learning its outcome. To
// send its values again as if they were new would undo what other requests have
// stored on top of them, so the next commit completes it first.
type attempt struct {
	change  *Change
	next    token // the token of a renewal, else zero
	cleared int   // pending.cleared when it was sent
	limits  *limits
}

type limits struct{ idle, lifetime time.Duration }

// detach drops what is pending and lets what follows begin a new record.
func (s *Session) detach() {
	s.pend = pending{detached: s.rec != nil, destroy: s.pend.destroy, fault: s.pend.fault, at: s.pend.at}
}

// target returns the stored record that the pending state concerns, nil where
// that is a new one. A superseded token reads nothing.
func (s *Session) target() *Record {
	if s.pend.detached || s.replaced() {
		return nil
	}
	return s.rec
}

func (s *Session) user() string {
	if s.pend.user != "" {
		return s.pend.user
	}
	if rec := s.target(); rec != nil {
		return rec.User
	}
	return ""
}

// owner returns the user whose session a sign-in would take over.
func (s *Session) owner() string {
	if s.standing == unsettled && !s.pend.detached && s.pend.user == "" {
		return s.rec.User
	}
	return s.user()
}

// creates tells whether a commit would insert a record: an untouched visitor
// has none.
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

// dirty tells whether a commit has anything to do.
func (s *Session) dirty() bool {
	p := &s.pend
	asked := p.renew || p.cleared > 0 || len(p.values) > 0
	switch {
	case p.detached || s.creates():
		return true
	case s.replaced():
		return asked || p.destroy
	default:
		return asked && s.target() != nil
	}
}

// changesToken tells whether a commit would make a cookie that the client
// must get.
func (s *Session) changesToken() bool {
	return s.creates() || s.pend.renew && (s.target() != nil || s.replaced())
}

// nextToken returns that of the record to be inserted. It stays the same
// while commits fail, so that one whose reply was lost is found again.
func (s *Session) nextToken() token {
	if s.pend.token.id.IsZero() {
		s.pend.token = token{id: newID(s.m.now()), secret: newSecret()}
	}
	return s.pend.token
}

// value returns what a key has after the pending changes.
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

// data returns the pending changes of values, for a record of that ID.
func (s *Session) data(record ID) *Change {
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
