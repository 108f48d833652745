package session

import "time"

// isLive reports whether a session has not expired. It applies the times in
// the record. It also applies the timeouts configured now, unless the session
// has its own, so a deploy can shorten them.
func (m *Manager) isLive(i *Info, now time.Time) bool {
	if !now.Before(i.ExpiresAt) || !now.Before(i.Deadline) {
		return false
	}
	return i.IdleTimeout > 0 ||
		now.Before(i.LastSeenAt.Add(m.idleTimeout(i))) && now.Before(lifetimeStart(i).Add(m.lifetime))
}

// expiryReason returns the timeout that has ended an expired session.
func (m *Manager) expiryReason(i *Info, now time.Time) EventReason {
	if !now.Before(i.Deadline) || i.IdleTimeout == 0 && !now.Before(lifetimeStart(i).Add(m.lifetime)) {
		return ReasonLifetime
	}
	return ReasonIdleTimeout
}

// lifetimeStart returns the time from which the lifetime counts.
func lifetimeStart(i *Info) time.Time {
	if i.SignedInAt.After(i.CreatedAt) {
		return i.SignedInAt
	}
	return i.CreatedAt
}

// idleTimeout returns the idle timeout of a session.
func (m *Manager) idleTimeout(i *Info) time.Duration {
	switch {
	case i.IdleTimeout > 0:
		return i.IdleTimeout
	case i.User == "":
		return m.anonIdle
	default:
		return m.idle
	}
}

// touchInterval returns the minimum time between two touches of a session.
func (m *Manager) touchInterval(i *Info) time.Duration {
	if idle := m.idleTimeout(i); idle != m.idle {
		return min(m.touch, idle/10)
	}
	return m.touch
}

// idleExpiry returns the end of a session without activity after now.
func (m *Manager) idleExpiry(i *Info, now time.Time) time.Time {
	if e := now.Add(m.idleTimeout(i)); e.Before(i.Deadline) {
		return e
	}
	return i.Deadline
}

// milli returns a time with the precision of a store.
func milli(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
