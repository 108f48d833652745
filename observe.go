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
	// is still in the store.
	EventExpired EventKind = "expired"
)

// Event describes a call of the store or an unusual occurrence. It is passed
// to the function of [WithObserver], which may read the request's session but
// must not change it.
type Event struct {
	Kind     EventKind     // kind of the event
	ID       ID            // session ID; zero if it is not known
	User     string        // user of EventList and EventExpired; otherwise empty
	Duration time.Duration // duration of a call of the store; otherwise zero
	Err      error         // error of a call of the store, or the reason of EventLostChange
}

// observed is a store that reports its calls.
type observed struct {
	Store
	report func(context.Context, Event)
}

func (o observed) done(ctx context.Context, start time.Time, e Event) {
	e.Duration = time.Since(start)
	o.report(ctx, e)
}

func (o observed) Load(ctx context.Context, id ID) (rec *Record, err error) {
	defer func(t time.Time) { o.done(ctx, t, Event{Kind: EventLoad, ID: id, Err: err}) }(time.Now())
	return o.Store.Load(ctx, id)
}

func (o observed) Confirm(ctx context.Context, id ID) (rec *Record, err error) {
	c, ok := o.Store.(Confirmer)
	if !ok {
		return o.Load(ctx, id)
	}
	defer func(t time.Time) { o.done(ctx, t, Event{Kind: EventLoad, ID: id, Err: err}) }(time.Now())
	return c.Confirm(ctx, id)
}

func (o observed) Insert(ctx context.Context, rec *Record) (err error) {
	defer func(t time.Time) { o.done(ctx, t, Event{Kind: EventInsert, ID: rec.ID, Err: err}) }(time.Now())
	return o.Store.Insert(ctx, rec)
}

func (o observed) Update(ctx context.Context, id ID, ch *Change) (err error) {
	defer func(t time.Time) { o.done(ctx, t, Event{Kind: EventUpdate, ID: id, Err: err}) }(time.Now())
	return o.Store.Update(ctx, id, ch)
}

func (o observed) Delete(ctx context.Context, id ID) (err error) {
	defer func(t time.Time) { o.done(ctx, t, Event{Kind: EventDelete, ID: id, Err: err}) }(time.Now())
	return o.Store.Delete(ctx, id)
}

func (o observed) List(ctx context.Context, user string) (infos []Info, err error) {
	defer func(t time.Time) { o.done(ctx, t, Event{Kind: EventList, User: user, Err: err}) }(time.Now())
	return o.Store.List(ctx, user)
}

func (m *Manager) report(ctx context.Context, e Event) {
	if m.observe != nil {
		m.observe(ctx, e)
	}
}

// reportLost logs and reports a change that cannot be saved.
func (m *Manager) reportLost(ctx context.Context, err error) {
	m.log.ErrorContext(ctx, "session: change could not be saved", "error", err)
	m.report(ctx, Event{Kind: EventLostChange, Err: err})
}
