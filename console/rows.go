package console

import (
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-go/session"
)

// moment is a time as a page shows it.
type moment struct{ ISO, Day, Relative string }

// newMoment returns t, or the zero moment if t is zero.
func newMoment(t, now time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	m := moment{ISO: t.UTC().Format(time.RFC3339), Day: day(t), Relative: ago(now.Sub(t))}
	if t.After(now) {
		m.Relative = in(t.Sub(now))
	}
	return m
}

// sessionRow is a session as a page shows it.
type sessionRow struct {
	ID, Short, User                              string
	Device, Agent, IP                            string
	Created, SignedIn, LastSeen, Expires, Latest moment
}

func newSessionRow(i *session.Info, now time.Time) sessionRow {
	id := i.ID.String()
	return sessionRow{
		ID: id, Short: short(id), User: i.User,
		Device: device(i.UserAgent), Agent: i.UserAgent, IP: i.ClientIP,
		Created: newMoment(i.CreatedAt, now), SignedIn: newMoment(i.SignedInAt, now), LastSeen: newMoment(i.LastSeenAt, now),
		Expires: newMoment(i.ExpiresAt, now), Latest: newMoment(i.Deadline, now),
	}
}

// device names the client of a session.
func device(agent string) string {
	if agent == "" {
		return "Device not recorded"
	}
	return deviceName(deviceOf(agent))
}

// eventRow is an event as a page shows it.
type eventRow struct {
	At               moment
	Times            string // empty if the event occurred once
	Text, Detail     string
	Alarming         bool
	User, ID, Short  string
	Device, IP, Fail string
	LinkUser         bool // the name of the user is complete
}

func newEventRow(e *event, now time.Time) eventRow {
	row := eventRow{
		At: newMoment(e.last, now), Text: e.text(), Alarming: e.alarming(), User: e.user, IP: e.ip, Fail: e.err,
		LinkUser: !e.userCut,
	}
	detail, known := reasonTexts[e.reason]
	if !known {
		detail = string(e.reason)
	}
	row.Detail = detail
	if e.n > 1 {
		row.Times = strconv.Itoa(e.n) + " times since " + e.first.UTC().Format("15:04:05 UTC")
	}
	if !e.id.IsZero() {
		row.ID = e.id.String()
		row.Short = short(row.ID)
	}
	if e.agent != "" {
		row.Device = device(e.agent)
	}
	return row
}

// rowsOf returns the latest events, the latest one first.
func rowsOf(l events, now time.Time, n int) (rows []eventRow) {
	for i := len(l) - 1; i >= 0 && len(rows) < n; i-- {
		rows = append(rows, newEventRow(&l[i], now))
	}
	return rows
}

// snapshot returns copies of everything that r has recorded.
func (r *Recorder) snapshot(now time.Time) (slots []slot, notable, activity events, cs counts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls.last(now), slices.Clone(r.notable), slices.Clone(r.activity), slices.Clone(r.counts)
}

// eventsOf returns the events of one user or session, the latest one first.
func (r *Recorder) eventsOf(now time.Time, match func(*event) bool) []eventRow {
	r.mu.Lock()
	all := append(slices.Clone(r.notable), r.activity...)
	r.mu.Unlock()
	all = slices.DeleteFunc(all, func(e event) bool { return !match(&e) })
	slices.SortStableFunc(all, func(a, b event) int { return a.last.Compare(b.last) })
	return rowsOf(all, now, maxEvents)
}
