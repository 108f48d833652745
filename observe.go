package session

import (
	"context"
	"time"
)

// EventKind is the kind of an [Event]. It can be used as the value of a label in
// metrics.
type EventKind string

const (
	// EventLoad, EventInsert, EventUpdate, EventDelete and EventList are calls
	// of the store. They have a Duration, and Err if the call failed. EventLoad
	// includes Confirm.
	EventLoad   EventKind = "load"
	EventInsert EventKind = "insert"
	EventUpdate EventKind = "update"
	EventDelete EventKind = "delete"
	EventList   EventKind = "list"

	// EventStaleToken reports a token with a valid signature that was replaced
	// more than 30 seconds ago. It may have been stolen.
	EventStaleToken EventKind = "stale_token"

	// EventLostChange reports a change that came too late to be saved. Err is
	// the reason.
	EventLostChange EventKind = "lost_change"

	// EventExpired reports a valid token of a session that has expired, while
	// the session is still in the store.
	EventExpired EventKind = "expired"
)

// Event describes a call of the store or an unusual occurrence. It is passed to
// the function set by [WithObserver], which may read the request's session but
// must not change it.
type Event struct {
	Kind     EventKind     // what happened
	ID       ID            // session ID; zero if there is none or it is not known
	User     string        // user of EventList and EventExpired
	Duration time.Duration // duration of a call of the store
	Err      error         // error of a call of the store, or the reason of EventLostChange
}

// observed reports the calls of a store.
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

// lost reports a change that cannot be saved. That is never silent.
func (m *Manager) reportLost(ctx context.Context, err error) {
	m.log.ErrorContext(ctx, "session: a change is lost", "error", err)
	m.report(ctx, Event{Kind: EventLostChange, Err: err})
}
