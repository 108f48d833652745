package session

import (
	"context"
	"time"
)

// EventKind is the kind of an [Event]. It can be used as the value of a label
// in metrics.
type EventKind string

// The kinds of events. The first five are calls of the store. They have a Duration,
// and Err if the call failed. An absent record and a guard that does not hold are
// failures too, with an Err that wraps [ErrNotFound] or [ErrConflict]. For example,
// each sign-in looks for a revocation and normally finds no record.
const (
	EventLoad   EventKind = "load"   // Load or Confirm
	EventInsert EventKind = "insert" // Insert
	EventUpdate EventKind = "update" // Update
	EventDelete EventKind = "delete" // Delete
	EventList   EventKind = "list"   // List

	// EventStaleToken reports a validly signed token that was replaced more than 30
	// seconds ago. It may have been stolen.
	EventStaleToken EventKind = "stale_token"

	// EventLostChange reports a change that could not be saved after the response
	// began. The client may not know. Err is the reason.
	EventLostChange EventKind = "lost_change"

	// EventExpired reports a valid token of an expired session, while the session
	// is still in the store. Each request with the token reports it.
	EventExpired EventKind = "expired"
)

// The kinds of the events in the life of a session. They have a Reason, the
// session's User and, if [WithClientInfo] is set, its ClientIP and UserAgent. An
// event reports a change that the store has confirmed, and reports it once. A
// change with an unknown outcome ([ErrUncertain]) has no event.
const (
	// EventCreated reports a new session. If a sign-in has created it,
	// EventSignedIn follows.
	EventCreated EventKind = "created"

	// EventSignedIn reports a sign-in. If two concurrent requests sign the same
	// user in and end in one session, one of them reports it.
	EventSignedIn EventKind = "signed_in"

	// EventSignedOut reports a session that was ended by a sign-out, or replaced
	// by a sign-in.
	EventSignedOut EventKind = "signed_out"

	// EventRenewed reports a new token without a sign-in.
	EventRenewed EventKind = "renewed"

	// EventRevoked reports a session that was ended by a revocation.
	EventRevoked EventKind = "revoked"

	// EventEvicted reports a session that was ended because of [WithMaxPerUser].
	EventEvicted EventKind = "evicted"
)

// EventReason is the reason of an [Event] in the life of a session. It can be
// used as the value of a label in metrics.
type EventReason string

// The reasons of events.
const (
	ReasonChange            EventReason = "change"                // created by a change of an anonymous session
	ReasonSignIn            EventReason = "sign_in"               // created, signed in or replaced by a sign-in
	ReasonImport            EventReason = "import"                // created, signed in or undone by Session.Import
	ReasonSignInAsOtherUser EventReason = "sign_in_as_other_user" // replaced by a sign-in of another user
	ReasonSignOut           EventReason = "sign_out"              // ended by Session.SignOut
	ReasonRenew             EventReason = "renew"                 // renewed by Session.Renew
	ReasonSetTimeouts       EventReason = "set_timeouts"          // renewed by Session.SetTimeouts
	ReasonRevoke            EventReason = "revoke"                // ended by Manager.Revoke
	ReasonRevokeAll         EventReason = "revoke_all"            // ended by Manager.RevokeAll
	ReasonRevokeOthers      EventReason = "revoke_others"         // ended by Session.RevokeOthers
	ReasonRevokedSignIn     EventReason = "revoked_sign_in"       // ended because its sign-in was revoked in progress
	ReasonMaxPerUser        EventReason = "max_per_user"          // ended because of WithMaxPerUser
	ReasonIdleTimeout       EventReason = "idle_timeout"          // expired by the idle timeout
	ReasonLifetime          EventReason = "lifetime"              // expired by the lifetime
)

// Event describes a call of the store, an event in the life of a session or an
// unusual occurrence. It is passed to the functions of [WithObserver], which may
// read the request's session but must not change it. An Event has no token, no
// verifier and no value.
type Event struct {
	Kind      EventKind     // kind of the event
	Reason    EventReason   // reason of EventExpired and of events in the life of a session; otherwise empty
	ID        ID            // session ID; zero if it is not known
	User      string        // user of the session, or of EventList; empty if the session is anonymous
	ClientIP  string        // as in the session's Info, if the event has a Reason; otherwise empty
	UserAgent string        // as in the session's Info, if the event has a Reason; otherwise empty
	Duration  time.Duration // duration of a call of the store; otherwise zero
	Err       error         // error of a call of the store, or the reason of EventLostChange
}

// WithObserver adds a function to call for each [Event], for metrics, an audit
// log or mails to the user. It may be given several times. The functions are
// called in the goroutine of the request, after the event, in the order of the
// options. They must be safe for concurrent use and must not wait, because the
// request waits for them. ctx has the values of the request's context. The
// default is no observer.
func WithObserver(f func(context.Context, Event)) Option {
	return func(c *config) {
		before := c.observe
		c.observe = f
		if f == nil {
			c.addError("WithObserver(nil): leave the option out")
		} else if before != nil {
			c.observe = func(ctx context.Context, e Event) {
				before(ctx, e)
				f(ctx, e)
			}
		}
	}
}

// observed is a store that reports its calls.
type observed struct {
	Store
	m *Manager
}

// observedCall is a call of an observed store in progress.
type observedCall struct {
	step
	m     *Manager
	start time.Time
	event Event
}

// begin starts a call. The caller passes the context of the call to the store.
func (o observed) begin(ctx context.Context, e Event) observedCall {
	c := observedCall{m: o.m, event: e}
	c.ctx = ctx
	if o.m.tracer != nil {
		c.step = o.m.start(ctx, Operation{Kind: OperationKind(e.Kind)})
	}
	c.start = time.Now()
	return c
}

// end reports the end of the call and returns its error.
func (c *observedCall) end(err error) error {
	c.event.Duration, c.event.Err = time.Since(c.start), err
	if c.tracer != nil {
		c.step.end(outcomeOf(err), 0, err)
	}
	c.m.report(c.ctx, c.event)
	return err
}

func (c *observedCall) abandon() {
	if c.tracer != nil {
		c.step.abandon()
	}
}

func (o observed) Load(ctx context.Context, id ID) (*Record, error) {
	c := o.begin(ctx, Event{Kind: EventLoad, ID: id})
	defer c.abandon()
	rec, err := o.Store.Load(c.ctx, id)
	return rec, c.end(err)
}

// LoadBatch is called only if the store is a [BatchLoader].
func (o observed) LoadBatch(ctx context.Context, ids []ID) ([]*Record, error) {
	c := o.begin(ctx, Event{Kind: EventLoad})
	defer c.abandon()
	recs, err := o.Store.(BatchLoader).LoadBatch(c.ctx, ids)
	return recs, c.end(err)
}

func (o observed) Confirm(ctx context.Context, id ID) (*Record, error) {
	confirmer, ok := o.Store.(Confirmer)
	if !ok {
		return o.Load(ctx, id)
	}
	c := o.begin(ctx, Event{Kind: EventLoad, ID: id})
	defer c.abandon()
	rec, err := confirmer.Confirm(c.ctx, id)
	return rec, c.end(err)
}

func (o observed) Insert(ctx context.Context, rec *Record) error {
	c := o.begin(ctx, Event{Kind: EventInsert, ID: rec.ID})
	defer c.abandon()
	return c.end(o.Store.Insert(c.ctx, rec))
}

func (o observed) Update(ctx context.Context, id ID, ch *Change) error {
	c := o.begin(ctx, Event{Kind: EventUpdate, ID: id})
	defer c.abandon()
	return c.end(o.Store.Update(c.ctx, id, ch))
}

func (o observed) Delete(ctx context.Context, id ID) error {
	c := o.begin(ctx, Event{Kind: EventDelete, ID: id})
	defer c.abandon()
	return c.end(o.Store.Delete(c.ctx, id))
}

func (o observed) List(ctx context.Context, user string) ([]Info, error) {
	c := o.begin(ctx, Event{Kind: EventList, User: user})
	defer c.abandon()
	infos, err := o.Store.List(c.ctx, user)
	return infos, c.end(err)
}
