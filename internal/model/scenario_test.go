package model_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// The initial states of a scenario. In a state with sessions, each of the two
// browsers has one.
const (
	nothing   = "none"
	anonymous = "anonymous"
	signedIn  = "signed in"
)

var states = []string{nothing, anonymous, signedIn}

// scenario is an initial state and a set of concurrent operations.
type scenario struct {
	state   string
	ops     []op
	other   int  // number of trailing ops of the second browser
	wrapped bool // through Manager.Wrap
	shared  bool // in one process
	group   bool // the first two ops are goroutines of one request
	faults  []fault
	full    bool // prune nothing
	cap     bool // one session per user
	idle    time.Duration
}

func (sc *scenario) String() string {
	var names []string
	for i, o := range sc.ops {
		if i >= len(sc.ops)-sc.other && o.alone == nil {
			o.name += " on another device"
		}
		names = append(names, o.name)
	}
	text := strings.Join(names, " ∥ ") + ", " + sc.state
	if sc.wrapped {
		text += ", in handlers"
	}
	if sc.shared {
		text += ", one process"
	}
	if sc.group {
		text += ", the first two in one request"
	}
	if sc.cap {
		text += ", one session per user"
	}
	return text
}

// start is a session at the start of a run: the browser's cookie and the
// record.
type start struct {
	made   time.Time
	cookie *http.Cookie
	record *session.Record
}

// stage is shared by all runs of a scenario.
type stage struct {
	from      []start
	processes []*session.Manager
	after     *session.Manager // a Manager for requests after a run
	mem       *current
}

// current is the store of the current run.
type current struct{ session.Store }

func (sc *scenario) stage() (st *stage, err error) {
	st = &stage{mem: &current{memstore.New()}}
	for range sc.ops {
		m, err := sc.process()
		if err != nil {
			return nil, err
		}
		st.processes = append(st.processes, m)
	}
	if st.after, err = session.New(st.mem, secret, sc.options()...); err != nil {
		return nil, err
	}
	st.from, err = sc.template()
	return st, err
}

// template creates the sessions present at the start of each run.
func (sc *scenario) template() ([]start, error) {
	if sc.state == nothing {
		return make([]start, 2), nil
	}
	mem := memstore.New()
	m, err := session.New(mem, secret, sc.options()...)
	if err != nil {
		return nil, err
	}
	found := make([]start, 2)
	for i := range found {
		time.Sleep(tick) // so that the IDs are in order
		if found[i], err = sc.begin(m, mem); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (sc *scenario) options(more ...session.Option) []session.Option {
	quiet := session.WithLogger(slog.New(slog.DiscardHandler))
	if sc.cap {
		more = append(more, session.WithMaxPerUser(1))
	}
	if sc.idle > 0 {
		more = append(more, session.WithIdleTimeout(sc.idle))
	}
	return append(more, quiet)
}

func (sc *scenario) begin(m *session.Manager, mem *memstore.Store) (st start, err error) {
	ctx := context.Background()
	s, err := m.Load(ctx, nil)
	if err != nil {
		return st, err
	}
	if sc.state == signedIn {
		s.SignIn("ann")
	}
	color.Set(s, mark{0, s.User()})
	visits.Set(s, tally{10, 0, s.User()})
	if err := s.Save(ctx); err != nil {
		return st, err
	}
	st = start{time.Now(), s.Cookie(), nil}
	st.record, err = mem.Load(ctx, s.ID())
	return st, err
}

// aged returns the record with its times moved, as if it had been created
// earlier.
func (st start) aged(age time.Duration) *session.Record {
	rec, by := *st.record, time.Since(st.made)-age
	for _, t := range []*time.Time{&rec.CreatedAt, &rec.SignedInAt, &rec.LastSeenAt, &rec.ExpiresAt, &rec.Deadline} {
		if !t.IsZero() {
			*t = t.Add(by)
		}
	}
	return &rec
}

// world returns a new world at the start of a run.
func (sc *scenario) world(st *stage) (*world, error) {
	w := &world{from: st.from, mem: memstore.New(), start: map[session.ID]*session.Record{}, faults: sc.faults, shared: sc.shared}
	browsers := make([]*browser, 2)
	for i, start := range st.from {
		browsers[i] = &browser{start.cookie}
		if start.record == nil || i == 1 && sc.other == 0 {
			continue
		}
		rec := start.aged(sc.age())
		w.start[rec.ID] = rec
		w.ids = append(w.ids, rec.ID)
		if err := w.mem.Insert(context.Background(), rec); err != nil {
			return nil, err
		}
	}
	w.browsers = browsers
	for i, o := range sc.ops {
		a := &actor{n: i + 1, op: o, wrapped: sc.wrapped && o.alone == nil, world: w}
		if o.alone == nil {
			a.browser = browsers[0]
			if i >= len(sc.ops)-sc.other {
				a.browser = browsers[1]
			}
		}
		a.manager = st.processes[i]
		if sc.shared {
			a.manager = st.processes[0]
		}
		w.actors = append(w.actors, a)
	}
	if sc.group {
		return w, w.group()
	}
	return w, nil
}

// group admits a request and gives its Session to the first two actors.
func (w *world) group() (err error) {
	a := &actor{world: w, in: w.browsers[0].cookie, free: true}
	w.request, err = w.actors[0].manager.Load(a.context(), a.cookies())
	if err != nil {
		return err
	}
	for _, a := range w.actors[:2] {
		a.shares, a.user = w.request, w.request.User()
	}
	return nil
}

// age returns the age of the session at the start. If the scenario tests
// touches, it is more than the touch interval.
func (sc *scenario) age() time.Duration {
	if slices.ContainsFunc(sc.ops, func(o op) bool { return o.due }) {
		if sc.idle > 0 {
			return sc.idle / 4
		}
		return 2 * time.Hour
	}
	return time.Second
}

// first returns the ID of the first browser's session.
func (w *world) first() session.ID {
	if len(w.ids) == 0 {
		return session.ID{}
	}
	return w.ids[0]
}

// seen returns the IDs of all records of the run, including deleted ones and
// markers of revocations.
func (w *world) seen() map[session.ID]bool {
	ids := map[session.ID]bool{}
	for id := range maps.Keys(w.start) {
		ids[id] = true
	}
	for _, st := range w.log {
		if st.record != nil {
			ids[st.id] = true
		}
	}
	return ids
}

// trace describes the schedule.
func (w *world) trace() string {
	var b strings.Builder
	for _, st := range w.log {
		fmt.Fprintf(&b, "  %d %s: %s", st.actor.n, st.actor.op.name, st.what)
		if !st.id.IsZero() {
			fmt.Fprintf(&b, " %s", w.name(st.id))
		}
		if st.what == "update" {
			b.WriteString(describe(st.change))
		}
		if st.touch.write && !st.done {
			b.WriteString(", no effect")
		}
		b.WriteString(st.fault.String() + "\n")
	}
	for _, a := range w.actors {
		fmt.Fprintf(&b, "  %d answered: %v\n", a.n, a.err)
	}
	return b.String()
}

func (w *world) name(id session.ID) string {
	switch i := slices.Index(w.ids, id); {
	case id[6]>>4 == 8:
		return "marker"
	case i >= 0:
		return fmt.Sprint("session ", i+1)
	}
	return "session …" + id.String()[30:]
}

func describe(ch *session.Change) string {
	text := ""
	if ch.If.Verifier != nil {
		text += " if the token is the same"
	}
	for key := range ch.If.Versions {
		text += " if " + key + " is the same"
	}
	for key := range ch.Set {
		text += ", set " + key
	}
	if ch.Verifier != nil {
		text += ", new token"
	}
	if ch.User != "" {
		text += ", user " + ch.User
	}
	if ch.Replace {
		text += ", whole data"
	}
	return text
}
