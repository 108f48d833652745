package session

import (
	"context"
	"time"
)

// Event is something that a [WithObserver] may count, trace or record. Name is
// one of
//
//	load, insert, update, delete, list   a call of the store, with its Duration and error
//	stranger   a signed token that its session no longer has was presented, long
//	           after it was renewed: perhaps a stolen one
//	lost       a change that came too late to be saved
//	expired    a valid token of a session was presented whose timeouts have passed
//
// The observer may read the session of the request, but must not change it.
type Event struct {
	Name     string
	ID       ID     // the zero ID: none or not known
	User     string // of list
	Duration time.Duration
	Err      error
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
	defer func(t time.Time) { o.done(ctx, t, Event{Name: "load", ID: id, Err: err}) }(time.Now())
	return o.Store.Load(ctx, id)
}

func (o observed) Confirm(ctx context.Context, id ID) (rec *Record, err error) {
	c, ok := o.Store.(Confirmer)
	if !ok {
		return o.Load(ctx, id)
	}
	defer func(t time.Time) { o.done(ctx, t, Event{Name: "load", ID: id, Err: err}) }(time.Now())
	return c.Confirm(ctx, id)
}

func (o observed) Insert(ctx context.Context, rec *Record) (err error) {
	defer func(t time.Time) { o.done(ctx, t, Event{Name: "insert", ID: rec.ID, Err: err}) }(time.Now())
	return o.Store.Insert(ctx, rec)
}

func (o observed) Update(ctx context.Context, id ID, ch *Change) (err error) {
	defer func(t time.Time) { o.done(ctx, t, Event{Name: "update", ID: id, Err: err}) }(time.Now())
	return o.Store.Update(ctx, id, ch)
}

func (o observed) Delete(ctx context.Context, id ID) (err error) {
	defer func(t time.Time) { o.done(ctx, t, Event{Name: "delete", ID: id, Err: err}) }(time.Now())
	return o.Store.Delete(ctx, id)
}

func (o observed) List(ctx context.Context, user string) (infos []Info, err error) {
	defer func(t time.Time) { o.done(ctx, t, Event{Name: "list", User: user, Err: err}) }(time.Now())
	return o.Store.List(ctx, user)
}

func (m *Manager) event(ctx context.Context, e Event) {
	if m.observe != nil {
		m.observe(ctx, e)
	}
}

// lost reports a change that cannot be saved. That is never silent.
func (m *Manager) lost(ctx context.Context, err error) {
	m.log.ErrorContext(ctx, "session: a change is lost", "error", err)
	m.event(ctx, Event{Name: "lost", Err: err})
}
